"""Figures of several runs: how they learned, and what their mIoU costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

from lavaseg.errors import LavasegError
from lavaseg.report.plots.style import (
    FAINT,
    INK,
    MARKERS,
    SERIES,
    Figure,
    dress,
    without_formulas,
)

_LINES = ("-", "--", ":", "-.")
_WIDE = 6.0
"""Largest operations divided by smallest from which on the axis is logarithmic."""


_UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
"""Of time, the first one that is filled twice."""


@dataclass(frozen=True)
class Learning:
    """How one run learned, a value an epoch.

    Args:
        epochs: their numbers.
        seconds: training time at the end of each, from the beginning; NaN where it is not known.
        miou: validation mIoU (0 .. 1), NaN where there is none.
        loss: training loss.
    """

    epochs: Sequence[int]
    seconds: Sequence[float]
    miou: Sequence[float]
    loss: Sequence[float]


def learning_curves(runs: Mapping[str, Learning]) -> Figure:
    """Validation mIoU and training loss of several runs, over epochs and over time.

    Args:
        runs: by the names that the legend shows.

    Raises:
        LavasegError: no run has an epoch.
    """
    if not any(len(found.epochs) for found in runs.values()):
        raise LavasegError("there are no training curves to draw")
    judged = any(math.isfinite(value) for found in runs.values() for value in found.miou)
    longest = max(
        (s for found in runs.values() for s in found.seconds if math.isfinite(s)), default=0
    )
    timed = longest > 0
    unit, size = next((u for u in _UNITS if longest >= 2 * u[1]), _UNITS[-1])
    rows, columns = 1 + judged, 1 + timed
    legend = 0.24 * math.ceil(len(runs) / _across(runs)) + 0.2
    figure = Figure(figsize=(9.0, 2.5 * rows + legend), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, (name, found) in enumerate(runs.items()):
        values = [100 * np.asarray(found.miou, float)] * judged + [np.asarray(found.loss, float)]
        for row, curve in enumerate(values):
            _line(grid[row, 0], found.epochs, curve, name, number)
            if timed:
                _line(grid[row, 1], np.asarray(found.seconds) / size, curve, name, number)
    labels = ["validation mIoU [%]"] * judged + ["training loss"]
    for row, label in zip(grid, labels, strict=True):
        row[0].set_ylabel(label, fontsize=9)
    for axes in grid.flat:
        dress(axes)
    grid[-1, 0].set_xlabel("epoch", fontsize=9)
    grid[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if judged:
        grid[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if timed:
        grid[-1, 1].set_xlabel(f"training time [{unit}]", fontsize=9)
    handles, names = grid[0, 0].get_legend_handles_labels()
    box = figure.legend(
        handles, names, loc="outside upper left", ncols=_across(runs), frameon=False, fontsize=8.5
    )
    without_formulas(box.get_texts())
    return figure


def _across(names: Mapping[str, object]) -> int:
    """Entries of a legend that fit side by side."""
    return max(1, int(8.6 / (0.55 + 0.075 * max(map(len, names)))))


def _line(
    axes: Axes, across: Sequence[float] | np.ndarray, values: np.ndarray, name: str, number: int
) -> None:
    axes.plot(
        across,
        values,
        linestyle=_LINES[number // len(SERIES) % len(_LINES)],
        marker=MARKERS[number % len(MARKERS)] if len(values) <= 30 else None,
        color=SERIES[number % len(SERIES)],
        linewidth=1.4,
        markersize=3.5,
        label=name,
    )


@dataclass(frozen=True)
class Priced:
    """A network as a point: what it costs, and how good it is.

    Args:
        operations: synaptic operations of one sample; None of an artificial network.
        miou: 0 .. 1, of the same evaluation.
        integers: whether it is a network in integers; a float network is drawn hollow.
    """

    operations: float | None
    miou: float
    integers: bool = True


def miou_against_operations(points: Mapping[str, Priced]) -> Figure:
    """mIoU against synaptic operations; an artificial network is a line across.

    Args:
        points: by the names that the legend shows.

    Raises:
        LavasegError: there are none.
    """
    if not points:
        raise LavasegError("there are no operations to draw")
    spiking = [p.operations for p in points.values() if p.operations]
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, point) in enumerate(points.items()):
        colour = SERIES[number % len(SERIES)]
        if point.operations is None:
            axes.axhline(100 * point.miou, color=colour, linestyle="--", linewidth=1.3, label=name)
            continue
        axes.plot(
            [point.operations],
            [100 * point.miou],
            linestyle="none",
            marker=MARKERS[number % len(MARKERS)],
            markersize=9,
            color=colour,
            markerfacecolor=colour if point.integers else "white",
            markeredgewidth=1.6,
            label=name,
        )
        axes.annotate(
            name.split(" ")[0],
            (point.operations, 100 * point.miou),
            xytext=(7, 5),
            textcoords="offset points",
            fontsize=8.5,
            color=INK,
            parse_math=False,
        )
    if spiking and max(spiking) > _WIDE * min(spiking):
        axes.set_xscale("log")
        few = max(spiking) < 30 * min(spiking)  # then powers of ten alone say too little
        axes.xaxis.set_minor_formatter(EngFormatter() if few else NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.margins(0.12)
    axes.set_xlabel("synaptic operations of one sample", fontsize=9)
    axes.set_ylabel("test mIoU [%]", fontsize=9)
    dress(axes)
    axes.grid(axis="x", color="#e3e8ed", linewidth=0.8)
    if not spiking:
        axes.set_xticks([])
    box = figure.legend(
        loc="outside right upper", frameon=False, fontsize=8.5, labelcolor=INK, edgecolor=FAINT
    )
    without_formulas(box.get_texts())
    return figure
