"""`lavaseg report`: one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavaseg.cli.console import check_out, check_writable, say
from lavaseg.cli.inputs import Moved, open_run


def report(
    run: Annotated[Path, typer.Argument(help="Run folder that `lavaseg train` made.")],
    out_: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write.", show_default="RUN/report.html"),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare",
            help="A run to set beside it, such as one without RMP; may be repeated.",
        ),
    ] = None,
    set_: Moved = None,
) -> None:
    """Write one HTML page about a run that opens without network.

    Pictures with prediction and truth, over T, too, spike maps, training curves, membranes and
    spike rates of each layer, confusion, energy, and the verdict of `lavaseg verify`.

    Example: `lavaseg report runs/rmp --compare runs/plain -o rmp.html`
    """
    opened = open_run(run, set_)
    others = [open_run(path) for path in compare or ()]
    if set_:  # what moved for the run moved for those on the same data
        own = open_run(run).recipe.data
        others = [open_run(o.path, set_) if o.recipe.data == own else o for o in others]
    path = out_ or opened.files.report.path
    check_out(path, opened.files.besides(opened.files.report))
    check_writable(path.parent)

    from lavaseg.report import write_report

    written = write_report(opened, path, compare=others)
    say(f"report: {written}")
