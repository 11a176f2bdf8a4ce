"""`lavaseg plot`: one figure of runs, networks in integers or recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavaseg.cli.console import check_out, check_writable, print_table, say
from lavaseg.cli.inputs import DataOptions, data_options
from lavaseg.errors import LavasegError


def plot(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="What to show; without any, the kinds are listed."),
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Run folders, .net files, or recordings of `lavaseg record`.",
            show_default=False,
        ),
    ] = None,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="File to write: .png, .svg or .pdf.", show_default="KIND.png"
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Names with commas: conv1,conv2.",
            show_default="as many as a page holds, or all",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="INPUT",
            help="A picture, recording of events, folder or data set, as of `lavaseg simulate`; "
            "may be repeated.",
            show_default="test data of the run, else noise",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", "-n", min=1, help="At most this many.", show_default="1 to 16, by kind"
        ),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps",
            help="Another T; predictions takes several: 1,2,4.",
            show_default="as trained; predictions: 1, 2, 4 ... up to that",
        ),
    ] = None,
    auxiliary: Annotated[
        bool, typer.Option("--auxiliary", help="Predictions of the auxiliary read-outs, too.")
    ] = False,
    titles: Annotated[
        list[str] | None,
        typer.Option(
            "--title",
            help="What the figure calls a source; once for each.",
            show_default="its path",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            help="Seed of the encoder's draws.",
            show_default="the recipe's, 0 for a .net",
        ),
    ] = None,
    set_: DataOptions = None,
) -> None:
    """Draw what networks do: spikes, rates, predictions, membranes.

    Of a run, the float network as trained; of a .net file, the integers that Lava runs; of a
    recording, what was recorded. `lavaseg plot` alone lists the kinds.

    Example: `lavaseg plot spikes runs/demo --layers conv1,conv8 -o spikes.png`

    Example: `lavaseg plot rates runs/plain runs/rmp --title plain --title RMP -o rates.pdf`
    """
    from lavaseg.report.plotting import KINDS, check_name
    from lavaseg.report.plotting import plot as draw

    if kind is None:
        rows = [
            (name, "one or more" if found.several else "one", found.about)
            for name, found in KINDS.items()
        ]
        print_table("Kinds of plots", ["kind", "sources", "what it shows"], rows, "what it shows")
        return
    target = check_name(out_ or Path(f"{kind}.png"))
    if kind in KINDS:
        check_writable(target.parent)
    check_out(target, [*(sources or ()), *(Path(word) for word in inputs or ())])
    draw(
        kind,
        sources or (),
        target,
        layers=None if layers is None else [name.strip() for name in layers.split(",")],
        inputs=inputs or (),
        samples=samples,
        steps=_numbers(steps),
        auxiliary=auxiliary,
        titles=titles or (),
        seed=seed,
        data_options=data_options(set_),
    )
    say(f"plot: {target}")


def _numbers(words: str | None) -> tuple[int, ...]:
    """The numbers of `--steps`."""
    parts = [] if words is None else [part.strip() for part in words.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise LavasegError(f"--steps {words!r}: expected numbers with commas, such as 1,2,4")
    return tuple(map(int, parts))
