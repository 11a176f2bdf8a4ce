"""The option `--backend`: its choices and their help come from the table of backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    return choice_option(what, {name: BACKENDS[name].title for name in names}, choices)


def choice_option(
    what: str,
    titles: Mapping[str, str],
    choices: Sequence[str] = (),
    *,
    show_default: str | bool = True,
) -> Any:
    """The option `--backend`, of names with their titles.

    Args:
        choices: names that can be chosen, if others than those with titles.
        show_default: what the help says of the default.
    """
    choices = list(choices or titles)

    def checked(name: str | None) -> str | None:
        try:
            if name is not None:
                check_backend(name, choices)
        except LavasegError as error:
            raise typer.BadParameter(str(error)) from None
        return name

    about = "; ".join(f"{name}: {title}" for name, title in titles.items())
    return typer.Option(
        "--backend",
        metavar="BACKEND",
        help=f"{what}. {about}.",
        callback=checked,
        show_default=show_default,
    )
