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
    set_: Moved = None,
) -> None:
    """Write one HTML page about a run that opens without network.

    Pictures with prediction and truth, after each time step, too, spike maps, training curves,
    membranes and spike rates of each layer, confusion, energy, and the verdict of `lavaseg verify`.
    `lavaseg compare` sets several runs side by side.

    Example: `lavaseg report runs/rmp -o rmp.html`
    """
    opened = open_run(run, set_)
    path = out_ or opened.files.report.path
    check_out(path, opened.files.besides(opened.files.report))
    check_writable(path.parent)

    from lavaseg.report import write_report

    written = write_report(opened, path)
    say(f"report: {written}")
