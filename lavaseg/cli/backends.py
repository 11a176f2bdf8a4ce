"""The option `--backend`: its choices and their help come from the table of backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from lavaseg.deploy.backends import BACKENDS, check_backend
from lavaseg.errors import LavasegError

ALL = "all"
"""Stands for all choices, where several are possible."""


def backend_option(what: str, names: Sequence[str], *, several: bool = False) -> Any:
    """The option `--backend`; a name that is not offered is a usage error.

    Args:
        what: the choice, in the words of the help.
        names: backends that can be chosen.
        several: `ALL` is a choice, too.
    """
    choices = [ALL, *names] if several else list(names)

    def checked(name: str) -> str:
        try:
            check_backend(name, choices)
        except LavasegError as error:
            raise typer.BadParameter(str(error)) from None
        return name

    titles = "; ".join(f"{name}: {BACKENDS[name].title}" for name in names)
    return typer.Option(
        "--backend", metavar="|".join(choices), help=f"{what}. {titles}.", callback=checked
    )
