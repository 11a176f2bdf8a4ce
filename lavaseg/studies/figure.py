"""Figures of a study, drawn from its results alone: mean and spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.studies.measures import QUANTITIES
from lavaseg.studies.results import Results
from lavaseg.studies.study import FigureSpec, Study
from lavaseg.system.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[str, list[tuple[str, float, float]]]
"""Name, and (label along the horizontal, mean, spread) of each point."""
_LETTERS = 60
"""What fits below the horizontal axis."""


def file_name(number: int) -> str:
    """Of figure `number`, the first of which is 0."""
    return "figure.png" if number == 0 else f"figure-{number + 1}.png"


def draw(study: Study, results: Results, spec: FigureSpec, path: Path) -> None:
    """Write a figure as PNG."""
    from matplotlib.figure import Figure

    curves = curves_of(study, results, spec)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    KINDS[spec.kind](axes, curves)
    if spec.kind == "lines" and spec.log:
        axes.set_xscale("log")
    axes.set(xlabel=_plain(spec.x), ylabel=QUANTITIES[spec.y].heading)
    remark = "" if results.settings == "standard" else f" ({results.settings})"
    axes.set_title(_plain(f"{spec.title or study.title}{remark}"), fontsize="medium", wrap=True)
    axes.grid(alpha=0.3)
    if any(name for name, _ in curves):
        axes.legend(title=_plain(", ".join(spec.lines)) or None)
    with replacing(path) as part:
        figure.savefig(part, dpi=150, format="png")


def curves_of(study: Study, results: Results, spec: FigureSpec) -> list[Curve]:
    """What a figure shows: one curve for each combination of labels that has values."""
    known = [
        [spec.where[name]]
        if name in spec.where
        else list(dict.fromkeys([*study.axes.get(name, ()), *results.labels(name)]))
        for name in spec.lines
    ]
    found = []
    for labels in product(*known):
        where = {**spec.where, **dict(zip(spec.lines, labels, strict=True))}
        values = results.select(spec.y, where, [spec.x])
        points = {v.labels[spec.x]: list[float]() for v in values if spec.x in v.labels}
        for value in values:
            points[value.labels[spec.x]].append(QUANTITIES[spec.y].factor * value.value)
        if points:
            found.append((_plain(", ".join(labels)), [_point(x, ys) for x, ys in points.items()]))
    return found


def _point(x: str, values: list[float]) -> tuple[str, float, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return x, float(np.mean(values)), spread


def _lines(axes: Axes, curves: list[Curve]) -> None:
    for name, points in curves:
        ordered = sorted((as_number(x), mean, spread) for x, mean, spread in points)
        xs, means, spreads = zip(*ordered, strict=True)
        axes.errorbar(xs, means, spreads, marker="o", markersize=3, capsize=2, label=name)


def _bars(axes: Axes, curves: list[Curve]) -> None:
    labels = list(dict.fromkeys(x for _, points in curves for x, _, _ in points))
    width = 0.8 / max(len(curves), 1)
    for number, (name, points) in enumerate(curves):
        places = [labels.index(x) + (number - (len(curves) - 1) / 2) * width for x, _, _ in points]
        means, spreads = [p[1] for p in points], [p[2] for p in points]
        axes.bar(places, means, width, yerr=spreads, capsize=2, label=name)
    axes.set_xticks(range(len(labels)), [_plain(label) for label in labels])
    if sum(map(len, labels)) > _LETTERS:
        axes.tick_params("x", labelrotation=60)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")


def _plain(text: str) -> str:
    """Text whose dollars are no formulas."""
    return text.replace("$", r"\$")


def as_number(label: str) -> float:
    """A label along the horizontal of lines.

    Raises:
        LavasegError: it is no number.
    """
    try:
        found = float(label)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise LavasegError(f"a figure of lines needs numbers along x, got {label!r}: use bars")
    return found


KINDS: dict[str, Callable[[Any, list[Curve]], None]] = {"lines": _lines, "bars": _bars}
"""Functions that draw curves into axes."""
