"""How good a network is, and how training goes: confusion matrix and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lavaseg.errors import LavasegError
from lavaseg.report.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    Figure,
    dress,
    without_formulas,
)
from lavaseg.report.wording import format_short

_NAMED = 40
"""Most classes whose cells have lines between them and numbers in them."""


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
    lines = {"edgecolors": "white", "linewidth": 1} if count <= _NAMED else {"rasterized": True}
    mesh = axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, **lines)
    cells = np.ndindex(count, count) if count <= _NAMED else ()
    for row, column in cells:
        if np.isnan(share[row, column]) or (count > 12 and row != column):
            continue
        text = f"{100 * share[row, column]:.1f}"
        if count <= 12:
            text += f" %\n{format_short(int(confusion[row, column]))}"
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
    axes.tick_params(labelsize=min(9.0, 45 * side / count), length=0, colors=INK)
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
        dress(axes)
        if axes.get_legend_handles_labels()[0]:
            without_formulas(axes.legend(frameon=False, fontsize=8).get_texts())
    return figure


def rate_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
) -> Figure:
    """The loss of a training whose learning rate rises, over the rate.

    Args:
        rates, losses, smoothed: of each step.
        suggestion: the rate to be marked, or None.
    """
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color=FAINT, markersize=4, label="a batch")
    axes.plot(rates, smoothed, color=BLUE, linewidth=1.8, label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion, color=ORANGE, linestyle="--", label=f"suggested: {suggestion:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate", fontsize=9)
    axes.set_ylabel("loss", fontsize=9)
    dress(axes)
    axes.legend(frameon=False, fontsize=8)
    return figure
