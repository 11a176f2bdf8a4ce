"""A comparison as one HTML page: tables, figures inline, no request to anywhere."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.report import plots
from lavaseg.report.comparing.figures import Figures
from lavaseg.report.comparing.groups import WHOSE, Group, Member
from lavaseg.report.embedding import embedded
from lavaseg.report.templates import environment
from lavaseg.report.wording import energy_range, format_count, format_percent

if TYPE_CHECKING:
    from lavaseg.report.comparing.comparison import Comparison

IN_ORDER = 24
"""Most classes that are shown in their own order; more are sorted by what differs most."""
NONE = "–"


def render_comparison(found: Comparison) -> str:
    """The page as one HTML string; everything from users is escaped."""
    page = environment().get_template("compare.html")
    with plots.own_style():
        return page.render(
            found=found,
            groups=[_group(found, group) for group in found.groups],
            runs=[_run(m, f) for m, f in zip(found.members, found.figures, strict=True)],
        )


def _run(member: Member, figures: Figures) -> dict[str, str]:
    """A row of the list of runs."""
    subject = member.subject
    if subject.run is None:
        what = "network in integers, in no run's folder"
    else:
        recipe = subject.run.recipe
        what = f"{recipe.model.name}, recipe {recipe.name}"
    trained = NONE
    if figures.planned is not None:
        trained = f"{figures.epochs} of {figures.planned} epochs"
        if math.isfinite(figures.seconds):
            trained += f", {_duration(figures.seconds)}"
        if subject.device:
            trained += f", {subject.device}"
    return {
        "mark": member.mark,
        "title": subject.title,
        "path": "" if subject.path is None else str(subject.path),
        "what": what,
        "trained": trained,
        "lava": _lava(member),
    }


def _lava(member: Member) -> str:
    verdict = member.subject.verdict
    if verdict is None:
        return "not compared"
    return "equal" if verdict["ok"] else "different"


def _group(found: Comparison, group: Group) -> dict[str, Any]:
    """All that the page shows of one group."""
    shown, values, points = group.class_differences()
    return {
        "title": group.title,
        "marks": ", ".join(member.mark for member in group.members),
        "reference": group.reference.mark,
        "rows": [_row(group, m, found.figures[m.number - 1]) for m in group.members],
        "at_labels": any(
            m.subject.trained_at_labels or m.subject.exported_at_labels for m in group.members
        ),
        "whose": WHOSE[group.whose],
        "shown": shown,
        "sorted": len(group.classes) > IN_ORDER,
        "classes": _classes(group, values, points),
        "figures": _drawn(found, group),
    }


def _row(group: Group, member: Member, figures: Figures) -> dict[str, str]:
    """Figures of one member as text."""
    cost, subject = figures.cost, member.subject
    labels = subject.exported_at_labels or subject.trained_at_labels
    float_costs = figures.costs_of == "floats" and not subject.artificial
    above, of_floats = group.above(member)
    return {
        "mark": member.mark,
        "title": subject.title,
        "trained": format_percent(figures.trained, 2),
        "exported": format_percent(figures.exported, 2),
        "rounding": signed(-figures.rounding),
        "against": signed(above) + ("*" if of_floats else ""),
        "at_labels": NONE if labels is None else format_percent(labels.miou, 2),
        "operations": _count(cost.operations) + ("*" if float_costs and cost.operations else ""),
        "uncounted": cost.uncounted,
        "energy": energy_range(cost.estimates[0]) if cost.estimates else NONE,
        "rate": NONE if cost.rate is None else format_percent(cost.rate, 2),
        "parameters": _count(figures.parameters),
        "integers": _count(figures.integers),
        "neurons": _count(cost.neurons or None),
        "steps": NONE if figures.steps is None else str(figures.steps),
        "best": format_percent(figures.best, 2),
    }


def _count(number: float | None) -> str:
    return NONE if number is None else format_count(number)


def signed(points: float, digits: int = 2) -> str:
    """A difference in points with its sign: '+0.31', '−1.20'; '–' if there is none."""
    if not math.isfinite(points):
        return NONE
    return f"{points:+.{digits}f}".replace("-", "−")


def _classes(group: Group, values: np.ndarray, points: np.ndarray) -> list[dict[str, Any]]:
    """A row for each class: IoU of the first, IoU and difference of the others."""
    rows = []
    for index in class_order(points):
        cells = []
        for value, above in zip(values[index], points[index], strict=True):
            state = "" if not abs(above) >= 0.05 else "up" if above > 0 else "down"
            cells.append({"iou": format_percent(value), "points": signed(above, 1), "state": state})
        rows.append({"name": group.classes[index], "cells": cells})
    return rows


def class_order(points: np.ndarray) -> list[int]:
    """Classes in the order in which they are shown.

    Args:
        points: by which the IoU of each member is above that of the first, (classes, members).

    Returns:
        Their own order; of many classes, first those whose IoU differ most.
    """
    order = list(range(len(points)))
    if len(points) <= IN_ORDER or points.shape[1] < 2:
        return order
    spread = np.nan_to_num(np.abs(points[:, 1:])).max(1)
    return sorted(order, key=lambda index: -spread[index])


def _drawn(found: Comparison, group: Group) -> dict[str, str]:
    """The figures of a group as data URIs."""
    names = {m.number: f"{m.mark} {m.subject.title}" for m in group.members}
    figures = {}
    learning = {names[m.number]: _learning(m) for m in group.members if len(m.subject.history) > 0}
    if learning:
        figures["learning"] = embedded(plots.learning_curves(learning))
    points = {}
    for member in group.members:
        figured, evaluation = found.figures[member.number - 1], member.subject.evaluation
        if evaluation is None or not (member.subject.artificial or figured.cost.operations):
            continue
        of_integers = figured.costs_of == "integers"
        miou = figured.exported if of_integers else figured.trained
        points[names[member.number]] = plots.Priced(figured.cost.operations, miou, of_integers)
    if any(point.operations is not None for point in points.values()):
        figures["operations"] = embedded(plots.miou_against_operations(points))
    membranes = {
        names[m.number]: {k: h[-1] for k, h in m.subject.membranes.histograms.items()}
        for m in group.members
        if m.subject.membranes is not None
    }
    if len(membranes) > 1:
        label, *others = membranes
        figures["membranes"] = embedded(
            plots.membrane_histograms(
                membranes[label], {other: membranes[other] for other in others}, label=label
            )
        )
    return figures


def _learning(member: Member) -> plots.Learning:
    """The curves of a run from the rows of its table."""
    history = member.subject.history
    seconds = [row.get("seconds", math.nan) for row in history]
    return plots.Learning(
        [int(row["epoch"]) for row in history],
        [*accumulate(seconds)],
        [row.get("val_miou", math.nan) for row in history],
        [row.get("loss", math.nan) for row in history],
    )


def _duration(seconds: float) -> str:
    """A time in the largest unit that it fills: '42 s', '3.5 min', '2.1 h'."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
