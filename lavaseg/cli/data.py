"""`lavaseg data`: which data sets there are, whether their files are sound, what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.console import MISTAKE, complain, print_json, print_table, say
from lavaseg.cli.inputs import DataOptions, Json, data_options
from lavaseg.errors import LavasegError
from lavaseg.system.words import counted

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.data.base import DataSet
    from lavaseg.data.checks import Findings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="List data sets, check their files, look at samples.",
)

SHEET = 12
"""Samples on a contact sheet."""
FEW, MANY = 2, 40
"""Problems that are listed: where an option may help, and else."""
OWN = ("folder", "event-folder")
"""Data sets whose option `classes` says what label maps hold."""


@app.command("list")
def list_(json: Json = False) -> None:
    """List the data sets: what each one is, and where its files are or how to get them.

    Files are looked for in the folder that LAVASEG_DATA names, else in ./data.

    Example: `lavaseg data list`
    """
    from lavaseg.data import DATASETS, source, summary

    rows = []
    for name in DATASETS:
        try:
            found, where = True, source(name)
        except LavasegError as error:
            found, where = False, str(error)
        rows.append({"name": name, "what": summary(name), "found": found, "where": where})
    if json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['name']:16}{row['what']}", "bold")
        say(f"{'':16}{'' if row['found'] else 'not ready: '}{row['where']}")


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A data set of `lavaseg data list`.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Its folder (data option root).")
    ] = None,
    set_: DataOptions = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Contact sheet to write.", show_default="NAME.png"),
    ] = None,
    json: Json = False,
) -> None:
    """Read every sample: counts, shapes, label histogram, and files that are unsound.

    Where label maps hold values or colours that are no class, it proposes the option that makes
    classes of them.

    Also draws a contact sheet, samples of all parts with their labels laid over them. Exits with
    2 if anything is wrong; sound samples are counted all the same.

    Example: `lavaseg data check camvid ~/data -o camvid.png`
    """
    from lavaseg.data.checks import check as check_samples
    from lavaseg.system.progress import bar

    sheet = _png(out or Path(f"{name}.png"))
    data = _load(name, folder, set_)
    _check_apart(sheet, data)
    with bar(f"check {name}") as report:
        found = check_samples(data, report)
    drawn = _draw(data, found, sheet, _colours(data, set_))
    if json:
        print_json(
            {
                "name": name,
                "source": data.source,
                "classes": data.classes,
                "remarks": data.remarks,
                "parts": [_json(f) for f in found],
            }
        )
    else:
        _print(data, found)
        if drawn:
            say(f"contact sheet: {sheet}")
    _complain(data, found)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A data set of `lavaseg data list`.")],
    index: Annotated[int, typer.Argument(min=0, help="Number of the sample, from 0.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Picture to write.", show_default="NAME-INDEX.png"),
    ] = None,
    part: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    set_: DataOptions = None,
) -> None:
    """Draw one sample with its label laid over it.

    Example: `lavaseg data show digits-photos 3 -o sample.png`
    """
    from lavaseg.data.checks import part_of

    path = _png(out or Path(f"{name}-{index}.png"))
    data = _load(name, None, set_)
    samples = part_of(data, part)
    if index >= len(samples):
        raise LavasegError(
            f"data set {name!r} has {part} samples 0 to {len(samples) - 1}, got {index}"
        )
    _check_apart(path, data)
    picture, label = samples[index]
    _save([(f"{part} {index}", picture, label)], data, path, _colours(data, set_))
    say(f"drawn: {path}")


def _check_apart(path: Path, data: DataSet) -> None:
    """Refuse to write among a data set's files, where it would be read as a sample."""
    source = Path(data.source).resolve()
    if source.is_dir() and source in path.resolve().parent.parents:
        raise LavasegError(f"--out {path} lies among the files of the data set: write elsewhere")


def _json(findings: Findings) -> dict[str, Any]:
    plain = {
        name: value for name, value in vars(findings).items() if name not in ("held", "missing")
    }
    return plain | {"shapes": _shapes(findings)}


def _complain(data: DataSet, found: list[Findings]) -> None:
    """Lists what is wrong, the first of it, and what would help; exits if anything is."""
    from lavaseg.data.label_classes import proposal

    problems: dict[bool, list[str]] = {True: [], False: []}  # those of labels, others
    for f in found:
        mislabelled = set(f.mislabelled)
        for index, text in f.problems:
            problems[index in mislabelled].append(f"{f.part} {index}: {text}")
    count = sum(map(len, problems.values()))
    if not count:
        for f in found:
            if f.samples and not f.pixels.any():
                raise LavasegError(f"no pixel of the {f.part} part has a class: all are ignored")
        return
    held = {mark for f in found for mark in f.held}
    if held:  # sound label maps hold values, too
        held |= {number for f in found for number in f.pixels.nonzero()[0].tolist()}
    missing = {mark for f in found for mark in f.missing}
    helps = bool(held or missing) and data.name in OWN
    for about_labels, texts in problems.items():
        shown = FEW if about_labels and helps else MANY
        for text in texts[:shown]:
            complain(text)
        if len(texts) > shown:
            complain(f"... and {len(texts) - shown:,} more; --json lists all")
    remedy = f"; {proposal(held, missing, data.classes, data.ignore_index)}" if helps else ""
    complain(f"error: {counted(count, 'sample')} cannot be used{remedy}")
    raise typer.Exit(MISTAKE)


def _png(path: Path) -> Path:
    if path.suffix.lower() != ".png":
        raise LavasegError(f"pictures are written as PNG: {path.name!r} must end in .png")
    return path


def _load(name: str, folder: Path | None, items: list[str] | None) -> DataSet:
    from lavaseg.data import load

    options = data_options(items)
    if folder is not None:
        options["root"] = str(folder)
    return load(name, **options)


def _print(data: DataSet, found: list[Findings]) -> None:
    say(data.source)
    for remark in data.remarks:
        say(remark)
    print_table(
        "Parts",
        ["part", ">samples", ">unusable", "shape of pictures", ">ignored pixels"],
        (
            (f.part, f.samples, len(f.problems), _shapes(f) or "-", _share(f.ignored, _all(f)))
            for f in found
        ),
    )
    print_table(
        "Share of each class in the pixels that count, and of the pictures that show it",
        ["label", "class", *(f">{f.part}" for f in found)],
        (
            (
                number,
                name,
                *(
                    f"{_share(f.pixels[number], f.pixels.sum())} in "
                    f"{_share(f.pictures[number], sum(f.shapes.values()))}"
                    for f in found
                ),
            )
            for number, name in enumerate(data.classes)
        ),
    )


def _all(findings: Findings) -> int:
    return int(findings.pixels.sum()) + findings.ignored


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _shapes(findings: Findings) -> str:
    ordered = findings.shapes.most_common()
    texts = ["x".join(map(str, shape)) for shape, _ in ordered]
    if len(ordered) == 1:
        return texts[0]
    if len(ordered) > 3:
        sides = [range(min(side), max(side) + 1) for side in zip(*findings.shapes, strict=True)]
        return "x".join(f"{s[0]}-{s[-1]}" if len(s) > 1 else str(s[0]) for s in sides)
    return ", ".join(f"{text} ({count})" for text, (_, count) in zip(texts, ordered, strict=True))


def _draw(data: DataSet, found: list[Findings], path: Path, colours: np.ndarray) -> bool:
    """A contact sheet of sound samples, spread over all parts; False if there are none."""
    from lavaseg.data.checks import part_of

    chosen = []
    for findings in found:
        broken = {index for index, _ in findings.problems}
        sound = [index for index in range(findings.samples) if index not in broken]
        wanted = min(SHEET // len(found), len(sound))
        for index in (sound[k * len(sound) // wanted] for k in range(wanted)):
            chosen.append((f"{findings.part} {index}", *part_of(data, findings.part)[index]))
    if chosen:
        _save(chosen, data, path, colours)
    return bool(chosen)


def _colours(data: DataSet, items: list[str] | None) -> np.ndarray:
    """The colour of each class, uint8 (K, 3): the data set's own where it has some."""
    from lavaseg.data.colours import class_colours, data_colours
    from lavaseg.recipes import Choice

    return class_colours(
        data.classes, data_colours(Choice(name=data.name, options=data_options(items)))
    )


def _save(
    samples: list[tuple[str, Any, Any]], data: DataSet, path: Path, colours: np.ndarray
) -> None:
    from lavaseg.events import preview
    from lavaseg.report.plots import labelled
    from lavaseg.system.files import replacing

    shown = [(title, preview(stimulus), label) for title, stimulus, label in samples]
    figure = labelled(shown, data.classes, ignore_index=data.ignore_index, colours=colours)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)
