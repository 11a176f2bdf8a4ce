"""Figures: pictures with prediction and truth, membranes, spike rates, confusion, training.

Every function takes plain arrays and returns a matplotlib Figure of its own: nothing goes
through pyplot, so there is no global state and no display is needed; a notebook shows the figure
that a cell ends with, whatever the user's backend is. Colours are told apart by
colour-blind eyes; white is the background whatever the page around it.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as PlainFigure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lavaseg.data.pictures import palette
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus, preview

BLUE, ORANGE, GREEN, INK, FAINT = "#0072B2", "#D55E00", "#009E73", "#1f2933", "#8a949e"
IGNORED = "#ffffff"

_NEAR = (0.9, 1.1)
"""Membranes within 10 % of the threshold: where a small error flips a spike."""


class Figure(PlainFigure):
    """A figure that notebooks show even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


@dataclass(frozen=True)
class Histogram:
    """Membranes of one population before reset, over neurons, steps and samples.

    Args:
        edges: bin edges in units of the threshold, ascending, (bins + 1,).
        counts: membranes in each bin, (bins,).
    """

    edges: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        edges, counts = np.asarray(self.edges, float), np.asarray(self.counts)
        if edges.ndim != 1 or counts.shape != (len(edges) - 1,) or not (np.diff(edges) > 0).all():
            raise LavasegError(
                "a histogram needs ascending edges and one count fewer than edges, got edges "
                f"{edges.shape} and counts {counts.shape}"
            )
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "counts", counts)

    @property
    def percent(self) -> np.ndarray:
        """Each bin in percent of all membranes; zeros if there are none."""
        return 100 * self.counts / max(int(self.counts.sum()), 1)

    def share(self, low: float, high: float) -> float:
        """Percent of membranes between `low` and `high`; bins that are cut count in part."""
        below = np.concatenate([[0.0], np.cumsum(self.percent)])
        return float(np.diff(np.interp([low, high], self.edges, below))[0])


def class_colours(count: int) -> list[str]:
    """A colour for each class as '#rrggbb', those of the label maps that are written."""
    return [to_hex(colour / 255) for colour in palette(count)]


def as_rgb(picture: np.ndarray) -> np.ndarray:
    """A picture uint8 (C, H, W) as uint8 (H, W, 3).

    Three channels are red, green and blue, one is grey; two are ON and OFF events (orange, blue);
    of more, the mean is shown.
    """
    if len(picture) == 3:
        return np.moveaxis(picture, 0, -1)
    if len(picture) == 2:
        colours = np.array([to_rgb(ORANGE), to_rgb(BLUE)])
        level = picture.astype(float) / max(int(picture.max()), 1)
        ink = np.einsum("chw,ck->hwk", level, 1 - colours)
        return (255 * (1 - ink).clip(0, 1)).astype(np.uint8)
    grey = picture.mean(0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1)


def prediction_grid(
    pictures: np.ndarray,
    truths: np.ndarray,
    predictions: np.ndarray,
    classes: Sequence[str],
    *,
    ignore_index: int | None = None,
) -> Figure:
    """Pictures, truth and prediction, one column a sample, with the share of pixels right.

    Args:
        pictures: uint8 (N, C, H, W).
        truths, predictions: class ids (N, H, W); another size than the pictures' is allowed.
        classes: class names.
        ignore_index: label of pixels that do not count; drawn white.
    """
    count = len(pictures)
    if count == 0 or len(truths) != count or predictions.shape != truths.shape:
        raise LavasegError(
            f"pictures {pictures.shape}, truths {truths.shape} and predictions "
            f"{predictions.shape} must hold the same samples, at least one"
        )
    colours = [*(to_rgb(colour) for colour in class_colours(len(classes))), to_rgb(IGNORED)]
    palette = (255 * np.array(colours)).round().astype(np.uint8)
    aspect = pictures.shape[2] / pictures.shape[3]
    cell = min(max(9.0 / (count + 0.3), 1.1), 2.2)
    width = max(cell * (count + 0.3), 4.5)
    letters = max(len(name) for name in [*classes, "not counted"])
    columns = max(int(width / (0.6 + 0.085 * letters)), 1)
    legend_rows = math.ceil((len(classes) + 1) / columns)
    height = 3.1 * cell * aspect + 0.45 + 0.25 * legend_rows
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(3, count, squeeze=False)
    counted = np.ones(truths.shape, bool) if ignore_index is None else truths != ignore_index
    for column in range(count):
        right = (predictions[column] == truths[column])[counted[column]]
        share = f"{100 * right.mean():.1f} % right" if right.size else "nothing counts"
        labels = np.where(counted[column], truths[column], len(classes))
        images = (as_rgb(pictures[column]), palette[labels], palette[predictions[column]])
        for axes, image in zip(grid[:, column], images, strict=True):
            axes.imshow(image, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set_color("#c4ccd4")
        grid[2, column].set_xlabel(share, fontsize=8, color=INK)
    for axes, label in zip(grid[:, 0], ("picture", "truth", "prediction"), strict=True):
        axes.set_ylabel(label, fontsize=10, color=INK)
    handles = [
        Patch(facecolor=colour, edgecolor=INK, linewidth=0.5, label=name)
        for name, colour in zip(classes, class_colours(len(classes)), strict=True)
    ]
    if not counted.all():
        handles.append(Patch(facecolor=IGNORED, edgecolor=INK, linewidth=0.5, label="not counted"))
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), columns), frameon=False
    )
    without_formulas(legend.get_texts())
    return figure


def labelled(
    samples: Sequence[tuple[str, Stimulus, np.ndarray]],
    classes: Sequence[str],
    *,
    ignore_index: int | None = None,
) -> Figure:
    """Pictures, each over a copy with its labels laid over it, and a legend of the classes shown.

    Args:
        samples: (title, picture or events, label) of each.
        classes: class names.
        ignore_index: label of pixels that do not count; drawn white.
    """
    if not samples:
        raise LavasegError("there are no samples to draw")
    colours = np.array([to_rgb(c) for c in [*class_colours(len(classes)), IGNORED]])
    columns = min(len(samples), 6)
    rows = math.ceil(len(samples) / columns)
    height, width = samples[0][2].shape
    cell = 2.1 if len(samples) > 1 else 4.0
    shown = sorted({int(k) for *_, label in samples for k in np.unique(label)} - {ignore_index})
    across = max(int(columns * cell / 1.5), 1)
    legend = 0.25 * math.ceil((len(shown) + 1) / across) + 0.2
    size = (max(columns * cell, 4.5), rows * (2 * cell * height / width + 0.3) + legend)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, (title, picture, label) in enumerate(samples):
        row, column = 2 * (number // columns), number % columns
        ids = np.where(label == ignore_index, len(classes), label)
        rgb = as_rgb(preview(picture))
        mixed = 0.35 * rgb / 255 + 0.65 * colours[ids]
        grid[row, column].imshow(rgb, interpolation="nearest")
        grid[row, column].set_title(title, fontsize=8, color=INK)
        grid[row + 1, column].imshow(mixed, interpolation="nearest")
    handles = [
        Patch(facecolor=colours[k], edgecolor=INK, linewidth=0.5, label=classes[k]) for k in shown
    ]
    if any((label == ignore_index).any() for *_, label in samples):
        handles.append(Patch(facecolor=IGNORED, edgecolor=INK, linewidth=0.5, label="not counted"))
    box = figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), across),
        frameon=False,
        fontsize=8,
    )
    without_formulas(box.get_texts())
    return figure


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
        axes.set_ylim(bottom=0)
        _dress(axes)
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


def spike_rates(rates: Mapping[str, float]) -> Figure:
    """Spikes per neuron and step of each population, in percent.

    Args:
        rates: spikes per neuron and step (0 .. 1) of each population, from input to read-out.
    """
    if not rates:
        raise LavasegError("there are no spike rates to draw")
    figure = Figure(figsize=(9.0, 0.36 * len(rates) + 1.1), layout="constrained")
    axes = figure.subplots()
    percent = [100 * rate for rate in rates.values()]
    bars = axes.barh(list(rates), percent, color=BLUE, height=0.66)
    axes.bar_label(bars, [f"{value:.2f} %" for value in percent], padding=4, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, max(max(percent) * 1.14, 0.1))
    axes.set_title("spike rate of each population", fontsize=10, loc="left", color=INK)
    axes.set_xlabel("spikes per neuron and step [%]", fontsize=9)
    _dress(axes, grid="x")
    return figure


def confusion_matrix(confusion: np.ndarray, classes: Sequence[str]) -> Figure:
    """Where the pixels of each class went: rows are the truth and sum to 100 %.

    Args:
        confusion: pixels, (true class, predicted class).
        classes: class names.
    """
    count = len(classes)
    if confusion.shape != (count, count):
        raise LavasegError(
            f"a confusion matrix of {count} classes must be {(count, count)}, got {confusion.shape}"
        )
    total = confusion.sum(1, keepdims=True)
    share = np.divide(confusion, total, out=np.full(confusion.shape, np.nan), where=total > 0)
    side = min(2.4 + 0.95 * count, 11.0)
    figure = Figure(figsize=(side + (1.6 if count > 12 else 0.6), side), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
    for row, column in np.ndindex(count, count):
        if np.isnan(share[row, column]) or (count > 12 and row != column):
            continue
        text = f"{100 * share[row, column]:.1f}"
        if count <= 12:
            text += f" %\n{_short(int(confusion[row, column]))}"
        axes.text(
            column + 0.5,
            row + 0.5,
            text,
            ha="center",
            va="center",
            fontsize=9 if count <= 6 else 6.5,
            color="white" if share[row, column] > 0.55 else INK,
        )
    places = np.arange(count) + 0.5
    tilt = 0 if count <= 4 else 40
    axes.set_xticks(places, list(classes), rotation=tilt, ha="right" if tilt else "center")
    axes.set_yticks(places, list(classes))
    without_formulas([*axes.get_xticklabels(), *axes.get_yticklabels()])
    axes.invert_yaxis()
    axes.set_xlabel("predicted class", fontsize=9)
    axes.set_ylabel("true class", fontsize=9)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=9, length=0, colors=INK)
    axes.set_title("share and number of each true class's pixels", fontsize=9, color=INK)
    if count > 12:  # too small for numbers: the colours need a scale
        bar = figure.colorbar(mesh, ax=axes, shrink=0.7, format=PercentFormatter(1.0))
        bar.set_label("share of the true class's pixels", fontsize=9)
    return figure


def training_curves(
    loss: Mapping[str, Mapping[int, float]],
    miou: Mapping[str, Mapping[int, float]],
    *,
    best: int | None = None,
) -> Figure:
    """Loss and mIoU over epochs.

    Args:
        loss, miou: named curves, epoch -> value; mIoU as a fraction (0 .. 1). Without curves of
            mIoU the loss stands alone.
        best: the epoch whose weights were kept, marked by a line.
    """
    if not any(loss.values()) and not any(miou.values()):
        raise LavasegError("there are no training curves to draw")
    figure = Figure(figsize=(9.0, 2.9), layout="constrained")
    left, *right = figure.subplots(1, 1 + bool(miou), squeeze=False)[0]
    percent = {name: {e: 100 * v for e, v in curve.items()} for name, curve in miou.items()}
    panels = [(left, loss, "loss", "loss")]
    panels += [(axes, percent, "mIoU", "mIoU [%]") for axes in right]
    for axes, curves, title, label in panels:
        styles = zip((BLUE, ORANGE, GREEN), ("o-", "s--", "^:"), strict=True)
        for (name, curve), (colour, style) in zip(curves.items(), styles, strict=False):
            epochs = sorted(curve)
            axes.plot(
                epochs,
                [curve[epoch] for epoch in epochs],
                style,
                color=colour,
                label=name,
                linewidth=1.6,
                markersize=3.5,
            )
        if best is not None:
            axes.axvline(best, color=INK, linestyle=":", linewidth=1.2, label=f"kept: epoch {best}")
        axes.set_title(title, fontsize=10, loc="left", color=INK)
        axes.set_xlabel("epoch", fontsize=9)
        axes.set_ylabel(label, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _dress(axes)
        if axes.get_legend_handles_labels()[0]:
            without_formulas(axes.legend(frameon=False, fontsize=8).get_texts())
    return figure


def _dress(axes: Axes, grid: Literal["x", "y"] = "y") -> None:
    """Quiet axes: no box, a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=8.5, colors=INK)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color="#e3e8ed", linewidth=0.8)


def without_formulas(texts: Iterable[Text]) -> None:
    """Names are text: a dollar sign in a class name starts no formula."""
    for text in texts:
        text.set_parse_math(False)


def _short(count: int) -> str:
    """A pixel count in few characters: 12345 is '12.3k'."""
    for limit, unit in ((10**6, "M"), (10**4, "k")):
        if count >= limit:
            return f"{count / (10**6 if unit == 'M' else 10**3):.3g}{unit}"
    return str(count)
