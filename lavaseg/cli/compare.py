"""`lavaseg compare`: runs and exported networks side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.console import (
    check_outs,
    check_writable,
    is_narrow,
    print_json,
    print_table,
    say,
)
from lavaseg.cli.inputs import Json
from lavaseg.system.progress import line
from lavaseg.system.words import percent, shortened

if TYPE_CHECKING:
    from lavaseg.report.comparing import Comparison
    from lavaseg.report.comparing.groups import Group, Member

_NAME = 26
"""Letters of a name in a table; longer ones lose their middle."""
_CLASSES = 24
"""Most classes that are all printed; of more, those that differ most."""
_FEW = 12
NONE = "-"


def compare(
    given: Annotated[
        list[Path], typer.Argument(metavar="RUN|NET...", help="Run folders and .net files.")
    ],
    out_: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write the page (.html) or all figures (.csv); may be repeated.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Set runs and exported networks side by side, any number of them.

    mIoU as trained and in integers, IoU of classes, synaptic operations, energy, rates,
    parameters, and the fields of the recipes that differ; the page adds learning curves and mIoU
    against operations. Only what folders keep is read: what is missing is named with the command
    that makes it. The first of each data set is what the others are held against.

    Example: `lavaseg compare runs/plain runs/rmp -o compare.html -o compare.csv`
    """
    from lavaseg.report.comparing import check_ending
    from lavaseg.report.comparing import compare as compare_all

    targets = [check_ending(path) for path in out_ or ()]
    check_outs(targets, [path for path in given if path.is_file()])
    for target in targets:
        check_writable(target.parent)
    found = compare_all(given)
    for target in targets:
        found.save(target)
    if json:
        print_json(found.to_dict())
        return
    for group in found.groups:
        _show_results(found, group)
        _show_classes(group)
    _show_fields(found)
    for remark in found.remarks:
        line(remark)
    _show_missing(found)
    for target in targets:
        say(f"compared: {target}")
    if not targets:
        say("`-o compare.html` adds learning curves and mIoU against operations")


def _show_results(found: Comparison, group: Group) -> None:
    """mIoU and costs of a group."""
    reference = group.reference.mark
    rows = []
    for member in group.members:
        figures = found.figures[member.number - 1]
        cost, subject = figures.cost, member.subject
        above, of_floats = group.above(member)
        floats = "*" if figures.costs_of == "floats" and not subject.artificial else ""
        rows.append(
            (
                member.mark,
                shortened(subject.title, _NAME),
                percent(figures.trained),
                percent(figures.exported),
                signed(above) + ("*" if of_floats else ""),
                _count(cost.operations, floats),
                _energy(cost.picojoules),
                NONE if cost.rate is None else percent(cost.rate),
                _count(figures.parameters),
            )
        )
    columns = [
        "#",
        "run",
        ">mIoU trained",
        ">mIoU integers",
        f">points to {reference}",
        ">synaptic operations",
        ">energy",
        ">spike rate",
        ">parameters",
    ]
    print_table(
        f"{group.title} (costs are those of one sample)",
        columns,
        rows,
        whole=["#", "run"],
        labels=2,
        tight=is_narrow(),
    )
    if any("*" in cell for row in rows for cell in row[4:6]):
        say("* of the float networks; all others of those in integers")


def _show_classes(group: Group) -> None:
    """IoU of each class, and of many classes those that differ most."""
    from lavaseg.report.comparing.groups import WHOSE
    from lavaseg.report.comparing.page import class_order

    shown, values, above = group.class_differences()
    if len(shown) < 2:
        return
    order = class_order(above)
    few = len(order) > _CLASSES
    if few:
        order = order[:_FEW]
    rows = []
    for index in order:
        base = values[index, 0]
        iou = f"{100 * base:.1f}" if math.isfinite(base) else NONE
        rows.append((group.classes[index], iou, *(signed(x, 1) for x in above[index, 1:])))
    which = f", the {_FEW} classes that differ most" if few else ""
    print_table(
        f"IoU of classes of {shown[0].mark} in percent, and points that others are above it "
        f"({WHOSE[group.whose]}{which})",
        ["class", *(f">{member.mark}" for member in shown)],
        rows,
        tight=len(shown) > 5,
    )


def _show_fields(found: Comparison) -> None:
    """The fields that differ, with the runs that have each value."""
    if len(found.subjects) < 2:
        return
    if not found.fields:
        if sum(subject.run is not None for subject in found.subjects) > 1:
            say("recipes: every field is the same")
        return
    rows = []
    for field, values in found.fields.items():
        with_run = [m for m in found.members if m.subject.run is not None]
        marks: dict[str, list[Member]] = {}
        for member in with_run:
            marks.setdefault(values[member.number - 1], []).append(member)
        said = [
            f"{value} ({' '.join(member.mark for member in members)})"
            for value, members in marks.items()
        ]
        rows.append((field, ", ".join(said)))
    print_table("What differs in the recipes", ["field", "values"], rows, wrap="values")


def _show_missing(found: Comparison) -> None:
    """What is not there, and the commands."""
    if not found.missing:
        return
    say("What is missing", "bold")
    for member, part in found.missing:
        command = f": `{part.command}`" if part.command else ""
        say(f"{member.mark}  {part.what}{command}")


def signed(points: float, digits: int = 2) -> str:
    """A difference in points with its sign, or '-'."""
    return f"{points:+.{digits}f}" if math.isfinite(points) else NONE


def _count(number: float | None, mark: str = "") -> str:
    return NONE if number is None else f"{number:,.0f}{mark}"


def _energy(picojoules: tuple[float, float] | None) -> str:
    """An energy, or the larger end of a range."""
    from lavaseg.results.energy import format_energy

    if picojoules is None:
        return NONE
    least, most = map(format_energy, picojoules)
    return most if least == most else f"to {most}"
