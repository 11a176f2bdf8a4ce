"""`lavaseg doctor`: what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.console import UNABLE, print_json, print_table, say
from lavaseg.cli.inputs import Json

if TYPE_CHECKING:
    from lavaseg.deploy.doctor import Check


def doctor(
    purpose: Annotated[
        str,
        typer.Option("--for", help="What must work: simulate, lava, demo, slurm or loihi2."),
    ] = "demo",
    json: Json = False,
) -> None:
    """Say what this machine can do, and which command mends what is missing or wrong.

    Looks at Python and its packages, Lava (which runs a tiny network), shared memory, memory,
    disk, GPU, Slurm, Loihi's extension and boards. Changes nothing. Exits with 1 if the demo, or
    what --for names, could not run here.

    Example: `lavaseg doctor --for lava`
    """
    from lavaseg.deploy.doctor import PURPOSES, as_plain, examine, obstacles

    obstacles((), purpose)  # an unknown purpose is refused before anything is looked at
    checks = examine()
    if json:
        print_json(as_plain(checks))
    else:
        _show(checks)
        for name, title in PURPOSES.items():
            hindering = ", ".join(check.name for check in obstacles(checks, name))
            say(f"{name:10}{'no ' if hindering else 'yes'}  {title}"
                f"{'; mend: ' + hindering if hindering else ''}")  # fmt: skip
    if obstacles(checks, purpose):
        raise typer.Exit(UNABLE)


def _show(checks: tuple[Check, ...]) -> None:
    from lavaseg import __version__

    rows = []
    for check in checks:
        rows.append((check.state, check.name, check.found))
        if check.remedy:
            rows.append(("", "", f"-> {check.remedy}"))
    print_table(f"lavaseg {__version__} on this machine", ("", "what", "found"), rows, "found")
