"""Figures of a study, drawn from its results alone: mean and spread over seeds, printed figures."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.studies.measures import QUANTITIES
from lavaseg.studies.results import Results
from lavaseg.studies.study import FigureSpec, Study
from lavaseg.studies.table import complete
from lavaseg.system.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[str, list[tuple[str, float, float]]]
"""Name, and (label along the horizontal, mean, spread) of each point."""
Labelled = list[tuple[tuple[str, ...], list[tuple[str, float, float]]]]
"""Curves by their labels, before they have names."""
Cloud = tuple[str, list[tuple[float, float, float, float]]]
"""Name, and (mean and spread along x, mean and spread along y) of each point."""
Places = dict[tuple[str, str], float]
"""Where the point of a curve and a label stands along the horizontal."""
_LETTERS = 80
"""What fits side by side below the horizontal axis."""
_ROWS = 3
"""Lines that a label below the horizontal axis may be broken into; longer ones stand slantwise."""
_INCHES = 6.4, 4.0
_BAR = 0.11
"""Inches that a bar needs at least."""


def file_name(number: int) -> str:
    """Of figure `number`, the first of which is 0."""
    return "figure.png" if number == 0 else f"figure-{number + 1}.png"


def draw(study: Study, results: Results, spec: FigureSpec, path: Path) -> None:
    """Write a figure as PNG."""
    from matplotlib.figure import Figure

    clouds = spec.kind == "points"
    found: Any = (_against if clouds else _labelled)(study, results, spec)
    telling = _telling([labels for labels, _ in found])
    curves = _named(found)
    heading = ", ".join(spec.lines[i] for i in telling)
    names = [name for name, _ in curves if name]
    printed = [] if clouds else _printed(study, spec, found)
    names += ["printed"] * bool(printed)
    width, height = _INCHES
    if spec.kind == "bars":
        width = max(width, _BAR * sum(len(points) for _, points in curves))
    beside = 0.08 * max(map(len, [*names, heading])) + 0.5 if names else 0.0
    figure = Figure(figsize=(width + beside, height), layout="constrained")
    axes = figure.subplots()
    at = KINDS[spec.kind](axes, curves)
    _mark_printed(axes, at, printed)
    if spec.log:
        _LOG_SCALES[spec.kind](axes, curves)
    across = QUANTITIES[spec.x].heading if clouds else _plain(spec.x)
    axes.set(xlabel=across, ylabel=QUANTITIES[spec.y].heading)
    remark = "" if results.settings == "standard" else f" ({results.settings})"
    title = textwrap.fill(f"{spec.title or study.title}{remark}", int(10 * width))
    axes.set_title(_plain(title), fontsize="medium")
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    if names:
        # beside the axes, where it covers no curve
        figure.legend(title=_plain(heading), loc="outside right upper")
    with replacing(path) as part:
        figure.savefig(part, dpi=150, format="png")


def curves_of(study: Study, results: Results, spec: FigureSpec) -> list[Curve]:
    """What a figure shows: one curve for each combination of labels that has values."""
    return _named(_labelled(study, results, spec))


def clouds_of(study: Study, results: Results, spec: FigureSpec) -> list[Cloud]:
    """What a figure of points shows: one line for each combination of labels that has values."""
    return _named(_against(study, results, spec))


def _named(found: Any) -> list[Any]:
    """Curves by what tells them apart."""
    telling = _telling([labels for labels, _ in found])
    return [(_plain(", ".join(labels[i] for i in telling)), points) for labels, points in found]


def _labelled(study: Study, results: Results, spec: FigureSpec) -> Labelled:
    """The points of each combination of labels that has values."""
    found = []
    for labels in product(*(_known(study, results, spec, name) for name in spec.lines)):
        where = {**spec.where, **dict(zip(spec.lines, labels, strict=True))}
        values = results.select(spec.y, where, [spec.x])
        points = {v.labels[spec.x]: list[float]() for v in values if spec.x in v.labels}
        for value in values:
            points[value.labels[spec.x]].append(QUANTITIES[spec.y].factor * value.value)
        if points:
            found.append((labels, [_point(x, ys) for x, ys in points.items()]))
    return found


def _known(study: Study, results: Results, spec: FigureSpec, name: str) -> list[str]:
    """The labels of an axis or condition that a figure shows."""
    if name in spec.where:
        return [spec.where[name]]
    return list(dict.fromkeys([*study.axes.get(name, ()), *results.labels(name)]))


def _against(study: Study, results: Results, spec: FigureSpec) -> list[tuple[tuple[str, ...], Any]]:
    """Means and spreads of two quantities for each combination of labels that has both."""

    def point(quantity: str, where: Mapping[str, str]) -> tuple[float, float] | None:
        factor = QUANTITIES[quantity].factor
        values = [factor * value.value for value in results.select(quantity, where)]
        return _point("", values)[1:] if values else None

    found = []
    for labels in product(*(_known(study, results, spec, name) for name in spec.lines)):
        where = {**spec.where, **dict(zip(spec.lines, labels, strict=True))}
        steps = _known(study, results, spec, spec.along) if spec.along else [""]
        points = []
        for step in steps:
            at = {**where, spec.along: step} if spec.along else where
            x, y = point(spec.x, at), point(spec.y, at)
            if x and y:
                points.append((*x, *y))
        if points:
            found.append((labels, points))
    return found


def printed_points(
    study: Study, results: Results, spec: FigureSpec
) -> list[tuple[str, str, float]]:
    """Printed figures of points that are drawn: name of the curve, label along x, value."""
    return _printed(study, spec, _labelled(study, results, spec))


def _printed(study: Study, spec: FigureSpec, curves: Labelled) -> list[tuple[str, str, float]]:
    where = complete(study, spec.where)
    drawn = {
        (labels, x): name
        for (name, _), (labels, points) in zip(_named(curves), curves, strict=True)
        for x, _, _ in points
    }
    found = []
    for printed in study.printed:
        given = complete(study, printed.at)
        place = tuple(given.get(name, "") for name in spec.lines), given.get(spec.x, "")
        rest = {k: v for k, v in given.items() if k not in (*spec.lines, spec.x)}
        shown = all(where.get(k, v) == v for k, v in rest.items())
        if printed.quantity == spec.y and place in drawn and shown:
            found.append((drawn[place], place[1], QUANTITIES[spec.y].factor * printed.value))
    return found


def _mark_printed(
    axes: Axes, at: Mapping[tuple[str, str], float], points: Sequence[tuple[str, str, float]]
) -> None:
    """A star for each printed figure, where the measured one of the same labels stands."""
    marked = [(at[curve, x], value) for curve, x, value in points]
    if marked:
        xs, ys = zip(*dict.fromkeys(marked), strict=True)
        axes.plot(xs, ys, "*", color="black", markersize=9, label="printed", zorder=3)


def _telling(found: Sequence[tuple[str, ...]]) -> list[int]:
    """Places of the labels that differ between curves; all of them if there is one curve."""
    places = range(len(found[0]) if found else 0)
    return [i for i in places if len(found) == 1 or len({labels[i] for labels in found}) > 1]


def _point(x: str, values: list[float]) -> tuple[str, float, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return x, float(np.mean(values)), spread


def _lines(axes: Axes, curves: list[Curve]) -> Places:
    for name, points in curves:
        ordered = sorted((as_number(x), mean, spread) for x, mean, spread in points)
        xs, means, spreads = zip(*ordered, strict=True)
        axes.errorbar(xs, means, _visible(spreads), marker="o", markersize=3, capsize=2, label=name)
    return {(name, x): as_number(x) for name, points in curves for x, _, _ in points}


def _points(axes: Axes, clouds: list[Cloud]) -> Places:
    for name, points in clouds:
        xs, across, ys, up = zip(*points, strict=True)
        axes.errorbar(
            xs, ys, _visible(up), _visible(across), marker="o", markersize=3, capsize=2, label=name
        )
    return {}


def _log_scale(axes: Axes, curves: list[Curve]) -> None:
    """A logarithmic horizontal axis with a tick where something was measured."""
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    ticks = {as_number(x): x for _, points in curves for x, _, _ in points}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())


def _plain_log(axes: Axes, clouds: list[Cloud]) -> None:
    """A logarithmic horizontal axis with plain numbers, between powers of ten where few are."""
    from matplotlib.ticker import LogFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(LogFormatter())
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))


def _bars(axes: Axes, curves: list[Curve]) -> Places:
    labels = list(dict.fromkeys(x for _, points in curves for x, _, _ in points))
    width, at = 0.8 / max(len(curves), 1), Places()
    for number, (name, points) in enumerate(curves):
        places = [labels.index(x) + (number - (len(curves) - 1) / 2) * width for x, _, _ in points]
        means, spreads = [p[1] for p in points], [p[2] for p in points]
        at |= {(name, x): place for (x, _, _), place in zip(points, places, strict=True)}
        axes.bar(places, means, width, yerr=_visible(spreads), capsize=2, label=name)
    room = _LETTERS // max(len(labels), 1)
    fold = partial(textwrap.fill, break_long_words=False, break_on_hyphens=False)
    broken = [fold(label, max(room, 1)) for label in labels]
    lines = [line for label in broken for line in label.split("\n")]
    rows = max((label.count("\n") for label in broken), default=0)
    if max(map(len, lines), default=0) <= room and rows < _ROWS:
        axes.set_xticks(range(len(labels)), [_plain(label) for label in broken])
        return at
    axes.set_xticks(range(len(labels)), [_plain(fold(label, 24)) for label in labels])
    axes.tick_params("x", labelrotation=60)
    for tick in axes.get_xticklabels():
        tick.set_horizontalalignment("right")
        tick.set_rotation_mode("anchor")
    return at


def _visible(spreads: Sequence[float]) -> Sequence[float] | None:
    """Spreads as error bars; none where there is one seed."""
    return spreads if any(spreads) else None


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


KINDS: dict[str, Callable[[Any, list[Any]], Places]] = {
    "lines": _lines,
    "bars": _bars,
    "points": _points,
}
"""Functions that draw curves into axes."""
_LOG_SCALES: dict[str, Callable[[Any, list[Any]], None]] = {
    "lines": _log_scale,
    "bars": lambda axes, curves: axes.set_yscale("log"),
    "points": _plain_log,
}
"""What `log` does to each kind: of bars the vertical axis is logarithmic."""
