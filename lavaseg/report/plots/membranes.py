"""Distributions of membranes around the threshold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import MaxNLocator

from lavaseg.errors import LavasegError
from lavaseg.report.plots.style import BLUE, GREEN, INK, ORANGE, Figure, dress, without_formulas
from lavaseg.results.membranes import Histogram

_NEAR = (0.9, 1.1)
"""Membranes within 10 % of the threshold: where a small error flips a spike."""


def membrane_histograms(
    membranes: Mapping[str, Histogram],
    compare: Mapping[str, Mapping[str, Histogram]] | None = None,
    *,
    label: str = "this run",
) -> Figure:
    """Distribution of membranes around the threshold, one panel a population.

    Args:
        membranes: a histogram for each population.
        compare: those of other runs (say, without RMP), by the names of the runs, drawn as lines
            over them where a population has the same name.
        label: name of the run itself in the legend.
    """
    if not membranes:
        raise LavasegError("there are no membranes to draw")
    styles = [(colour, line) for line in ("-", "--", ":") for colour in (ORANGE, GREEN, INK)]
    lines = [*zip((compare or {}).items(), itertools.cycle(styles), strict=False)]
    columns = min(3, len(membranes))
    rows = math.ceil(len(membranes) / columns)
    figure = Figure(figsize=(max(9.0, 3.1 * columns), 2.35 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(membranes) :]:
        axes.set_visible(False)
    for axes, (name, histogram) in zip(grid.flat, membranes.items(), strict=False):
        axes.stairs(
            histogram.percent, histogram.edges, fill=True, color=BLUE, alpha=0.55, label=label
        )
        near = f"{histogram.share(*_NEAR):.1f} %"
        shares = []
        for (title, others), (colour, line) in lines:
            if (other := others.get(name)) is None:
                continue
            axes.stairs(
                other.percent,
                other.edges,
                color=colour,
                linestyle=line,
                linewidth=1.6,
                label=title,
            )
            shares.append(f"{other.share(*_NEAR):.1f} %")
        if shares:
            near += f" ({'line' if len(shares) == 1 else 'lines'}: {', '.join(shares)})"
        axes.axvline(1.0, color=INK, linestyle="--", linewidth=1.2, label="threshold")
        axes.axvspan(*_NEAR, color=INK, alpha=0.08, linewidth=0)
        axes.set_title(f"{name}\nnear threshold {near}", fontsize=9, loc="left", color=INK)
        axes.set_xlim(histogram.edges[0], histogram.edges[-1])
        dress(axes)
        _scale(axes, [histogram, *(o[name] for (_, o), _ in lines if name in o)])
    for axes in grid[:, 0]:
        axes.set_ylabel("membranes [% per bin]", fontsize=9)
    for index in range(columns):
        axes = [a for a in grid[:, index] if a.get_visible()][-1]
        axes.set_xlabel("membrane / threshold", fontsize=9)
    entries: dict[str, Artist] = {}
    for axes in grid.flat:
        handles, labels = axes.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    legend = figure.legend(
        list(entries.values()), list(entries), loc="outside upper right", ncols=3, frameon=False
    )
    without_formulas(legend.get_texts())
    return figure


def _scale(axes: Axes, drawn: Sequence[Histogram]) -> None:
    """Scale a panel by the bins between the outermost, which hold all that lies beyond.

    Where these reach out of the panel, their numbers stand in it, those of the first histogram.
    """
    inner = max(float(histogram.percent[1:-1].max(initial=0)) for histogram in drawn)
    if not inner:
        axes.set_ylim(bottom=0)
        return
    axes.set_ylim(0, 1.18 * inner)
    own = drawn[0].percent
    for share, x, side, words in (
        (own[0], 0.01, "left", "◂ {:.1f} % at or below"),
        (own[-1], 0.99, "right", "{:.1f} % at or above ▸"),
    ):
        if share > 1.18 * inner:
            axes.text(
                x,
                0.97,
                words.format(share),
                transform=axes.transAxes,
                ha=side,
                va="top",
                fontsize=7.5,
                color=INK,
                bbox={"facecolor": "white", "alpha": 0.95, "edgecolor": "none", "pad": 1},
            )


def membrane_epochs(histograms: Mapping[str, Sequence[Histogram]], epochs: Sequence[int]) -> Figure:
    """Distribution of membranes over the epochs of training, one panel a population.

    Args:
        histograms: of each population, one an epoch, all with the same bins.
        epochs: their numbers, ascending.

    Raises:
        LavasegError: nothing to draw, or another number of histograms than of epochs.
    """
    if not histograms or not len(epochs):
        raise LavasegError("there are no membranes to draw")
    for name, found in histograms.items():
        if len(found) != len(epochs):
            raise LavasegError(f"{name!r} has {len(found)} histograms for {len(epochs)} epochs")
    columns = min(3, len(histograms))
    rows = math.ceil(len(histograms) / columns)
    width = {1: 6.0, 2: 8.0}.get(columns, 9.5)
    figure = Figure(figsize=(width, 2.2 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    shares = {
        name: np.stack([histogram.percent for histogram in found], 1)
        for name, found in histograms.items()
    }
    # the outer bins hold all that lies beyond, often most: they are not what the scale is made for
    most = max(float(share[1:-1].max()) for share in shares.values())
    norm = PowerNorm(0.6, 0, most or 1.0, clip=True)
    places = np.arange(len(epochs) + 1) - 0.5
    for axes, (name, share) in zip(grid.flat, shares.items(), strict=False):
        edges = histograms[name][0].edges
        mesh = axes.pcolormesh(places, edges, share, cmap="Blues", norm=norm, rasterized=True)
        axes.axhline(1.0, color=ORANGE, linestyle="--", linewidth=1.2)
        near = [histogram.share(*_NEAR) for histogram in histograms[name]]
        axes.set_title(
            f"{name}\nnear threshold {near[0]:.1f} % → {near[-1]:.1f} %",
            fontsize=9,
            loc="left",
            color=INK,
            parse_math=False,
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.xaxis.set_major_formatter(lambda at, _: _epoch_at(at, epochs))
        axes.tick_params(labelsize=8.5, colors=INK)
    for axes in grid.flat[len(histograms) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("membrane / threshold", fontsize=9)
    for index in range(columns):
        [a for a in grid[:, index] if a.get_visible()][-1].set_xlabel("epoch", fontsize=9)
    bar = figure.colorbar(
        mesh, ax=grid, shrink=min(1.0, 2.4 / rows), anchor=(0, 1), pad=0.02, extend="max"
    )
    bar.set_label("membranes [% per bin]", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(
        "membranes before reset by epoch; dashed: threshold; the outermost bins hold all beyond",
        fontsize=9,
        color=INK,
        x=0.01,
        ha="left",
    )
    return figure


def _epoch_at(place: float, epochs: Sequence[int]) -> str:
    """The epoch at a place of the axis, or ''."""
    index = round(place)
    return str(epochs[index]) if index == place and 0 <= index < len(epochs) else ""
