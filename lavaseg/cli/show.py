"""`lavaseg show`: a network as a drawing, and its spikes for one picture as an animation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.complete import complete_shown
from lavaseg.cli.console import check_out, check_writable, say
from lavaseg.cli.console import width as console_width
from lavaseg.cli.models import sheet
from lavaseg.errors import LavasegError
from lavaseg.system.words import command, counted

if TYPE_CHECKING:
    from lavaseg.report.diagram import Shown
    from lavaseg.report.sources import Source
    from lavaseg.runs import Run

COLUMNS = 80
"""Letters of a line where stdout is no terminal."""
MOVING = (".html", ".gif", ".png")
"""Endings of files of spikes."""


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NET|RUN|MODEL",
            help="A .net file, a run folder, or the name of a recipe, a system or a model.",
            autocompletion=complete_shown,
        ),
    ],
    picture: Annotated[
        str | None,
        typer.Option(
            "--picture",
            "-p",
            metavar="N|FILE",
            help="Show the spikes for test sample N of the run, or for a file, instead.",
        ),
    ] = None,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .svg; of spikes .html, .gif or .png (APNG).",
            show_default="NET.svg, RUN/network.svg or MODEL.svg; of spikes .html",
        ),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Draw in the terminal alone, write no file.")
    ] = False,
    slots: Annotated[
        bool,
        typer.Option("--slots", help="Draw the parts of integer neurons as hardware holds them."),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Option of a model, or field of a recipe; with --picture of the data set. "
            "May be repeated.",
        ),
    ] = None,
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            help="CHANNELSxHEIGHTxWIDTH that a recipe or model is drawn for.",
            show_default="the recipe's data, 3x64x64 for a model",
        ),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            "--classes", min=2, help="Number of classes.", show_default="as of --input, or 21"
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", min=1, help="Channels of a model's first layer."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Of spikes: names with commas, conv1,conv2.",
            show_default="as many as a page holds",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, help="Of spikes: seed of the encoder's draws.", show_default="0"
        ),
    ] = None,
) -> None:
    """Draw a network: layers, branches, joins, delays, residual currents, levels and sizes.

    Prints the drawing for a terminal and writes it as SVG. With --picture: the spikes of every
    layer for one picture, step by step (of integer neurons at one step: level by level), beside
    input, label and prediction, as one page that opens without network.

    Of a run, the float network is drawn; spikes are those of its exported network, as on Lava.

    Example: `lavaseg show runs/demo/net.net`

    Example: `lavaseg show spiking_deeplab --set 'aspp=[1,6,12,18]' --text`

    Example: `lavaseg show runs/demo --picture 3 -o spikes.html`
    """
    if picture is not None:
        _check_alone(picture, text=text, slots=slots, input=input_, classes=classes, width=width)
        _animate(what, picture, out_, layers, seed, set_ or [])
        return
    for option, value in (("--layers", layers), ("--seed", seed)):
        if value is not None:
            raise LavasegError(f"{option} goes with --picture, which shows spikes")
    from lavaseg.report.diagram.drawing import diagram
    from lavaseg.report.diagram.opening import Options, find_network

    size = None if input_ is None else sheet(input_)
    found = find_network(what, Options(set_ or (), size, classes, width))
    target = None if text else _target(what, found, out_)
    if text and out_ is not None:
        raise LavasegError(f"--text writes no file: leave out --out {out_}")
    drawn = diagram(found, slots=slots)
    typer.echo(drawn.text(console_width(COLUMNS), ascii_only=_is_ascii()))
    if found.remark:
        say(found.remark)
    if target is not None:
        drawn.save(target)
        say(f"drawing: {target}")
    if found.run is not None and found.run.files.net.current():
        run = found.run
        spikes = command("show", run.path, "--picture", 0)
        say(f"Next: {command('show', run.files.net.path)}, as exported, or {spikes}")


def _check_alone(picture: str, **others: object) -> None:
    for name, value in others.items():
        if value:
            raise LavasegError(
                f"--{name} is of drawings, and --picture {picture} asks for spikes: give one of "
                "them"
            )


def _target(what: str, found: Shown, out: Path | None) -> Path:
    """The SVG file to write, beside what is drawn by default."""
    path = Path(what)
    if out is None and found.run is not None:
        out = found.run.files.drawing.path
    elif out is None:
        out = path.with_suffix(".svg") if path.is_file() else Path(f"{Path(what).stem}.svg")
    if out.suffix.lower() != ".svg":
        raise LavasegError(f"drawings are written as .svg: --out {out} must end in .svg")
    kept = [] if found.run is None else found.run.files.besides(found.run.files.drawing)
    check_out(out, [*kept, *([path] if path.is_file() else [])])
    check_writable(out.parent)
    return out


def _is_ascii() -> bool:
    """Whether stdout cannot show lines and marks."""
    try:
        "│●×".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def _animate(
    what: str, picture: str, out: Path | None, layers: str | None, seed: int | None, set_: list[str]
) -> None:
    """The spikes of one picture."""
    from lavaseg.cli.inputs import data_options
    from lavaseg.report.animation import recorded
    from lavaseg.report.sources import Wanted

    source, target, kept = _source(what, out)
    check_out(target, [*kept, *([Path(picture)] if Path(picture).is_file() else [])])
    check_writable(target.parent)
    wanted = Wanted((_input(picture, source.run),), 1, data_options(set_), seed)
    names = None if layers is None else [name.strip() for name in layers.split(",")]
    spikes = recorded(source, wanted, layers=names)
    if target.suffix.lower() == ".html":
        from lavaseg.report.animation import page
        from lavaseg.system.files import write_atomically

        write_atomically(target, page(spikes))
    else:
        from lavaseg.report.animation import moving_picture

        moving_picture(spikes, target)
    say(f"spikes: {target} ({target.stat().st_size / 1024:,.0f} KiB)")
    if spikes.left_out:
        further = counted(spikes.left_out, "further layer")
        say(f"{further} that fire are not shown: --layers chooses others")


def _source(what: str, out: Path | None) -> tuple[Source, Path, list[Path]]:
    """The network whose spikes are shown, the file to write, and those that are its own."""
    from lavaseg.report.sources import NetSource, RunSource, open_sources
    from lavaseg.runs import Run

    path = Path(what)
    if not path.exists():
        raise LavasegError(
            f"--picture shows spikes of a trained network: there is no run folder and no .net file "
            f"{what}"
        )
    if not path.is_dir():
        (source,) = open_sources(path)
        target = out or path.with_suffix(".html")
        kept = [path]
    else:
        run = Run.open(path)
        exported = run.files.net.current()
        source = NetSource(run.net(), str(path), run) if exported else RunSource(run)
        target = out or run.files.animation.path
        kept = run.files.besides(run.files.animation)
    if target.suffix.lower() not in MOVING:
        raise LavasegError(
            f"spikes are written as {', '.join(MOVING)}: --out {target} has another ending"
        )
    return source, target, kept


def _input(picture: str, run: Run | None) -> str:
    """The INPUT that a word names: a file, or the number of a test sample."""
    if Path(picture).exists() or not picture.isdecimal():
        return picture
    if run is None:
        raise LavasegError(
            f"--picture {picture} is a test sample of a run: this network lies in no run folder, "
            "give a file"
        )
    return f"{run.recipe.data.name}:{picture}"
