"""Pictures with truth and predictions, and pictures with their labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus, preview
from lavaseg.report.plots.style import (
    IGNORED,
    INK,
    Figure,
    as_rgb,
    class_colours,
    class_patches,
    left_margin,
    row_label,
    sheet,
    without_formulas,
)
from lavaseg.system.words import counted as count_of

_LEGEND = 30
"""Most classes that a legend names."""


def prediction_grid(
    pictures: np.ndarray,
    truths: np.ndarray | None,
    predictions: np.ndarray | Mapping[str, np.ndarray],
    classes: Sequence[str],
    *,
    ignore_index: int | None = None,
    colours: np.ndarray | None = None,
) -> Figure:
    """Pictures, truth and predictions, one column a sample, with the share of pixels right.

    Args:
        pictures: uint8 (N, C, H, W).
        truths: class ids (N, H, W), or None where they are not known; another size than the
            pictures' is allowed.
        predictions: class ids (N, H, W); or several of them, a row each, by the names of the rows,
            which may have sizes of their own where there is no truth.
        classes: class names.
        ignore_index: label of pixels that do not count; drawn white.
        colours: of the classes, uint8 (K, 3), such as those of the data set.

    Raises:
        LavasegError: arrays that do not hold the same samples, at least one.
    """
    named = predictions if isinstance(predictions, Mapping) else {"prediction": predictions}
    count = len(pictures)
    for found in named.values():
        fits = len(found) == count and (truths is None or found.shape == truths.shape)
        if count == 0 or not fits:
            truth = "" if truths is None else f", truths {truths.shape}"
            raise LavasegError(
                f"pictures {pictures.shape}{truth} and predictions {found.shape} must hold the "
                "same samples, at least one"
            )
    if not named:
        raise LavasegError("there are no predictions to draw")
    counted = np.ones((count, 1, 1), bool)
    if truths is not None and ignore_index is not None:
        counted = truths != ignore_index
    shown, further = _shown(classes, truths, named, ignore_index)
    patches = class_patches(classes, shown, not counted.all(), colours)
    if further:
        more = count_of(further, "further class", "further classes")
        patches.append(Patch(facecolor="none", label=more))
    rows = ["picture", *([] if truths is None else ["truth"]), *named]
    left = left_margin(rows) - 0.1
    aspect = pictures.shape[2] / pictures.shape[3]
    cell = min(max(9.0 / (count + 0.3), 1.1), 2.2)
    drawn = left + count * (cell + 0.08)
    width = max(drawn, 4.5)  # a legend of few pictures needs room, too
    right = width - drawn + 0.1
    columns = max(
        int(width / (0.6 + 0.085 * max(len(str(patch.get_label())) for patch in patches))), 1
    )
    legend = 0.25 * math.ceil(len(patches) / columns) + 0.15
    made = sheet(
        len(rows),
        count,
        (cell, cell * aspect),
        left=left,
        right=right,
        top=0.08,
        bottom=legend,
        gap=(0.08, 0.24 if len(named) > 1 else 0.1),
    )
    faces = np.array([to_rgb(c) for c in [*class_colours(classes, colours), IGNORED]])
    ids = (255 * faces).round().astype(np.uint8)
    for column in range(count):
        cells = iter(made.cells[:, column])
        next(cells).imshow(as_rgb(pictures[column]), interpolation="nearest", aspect="auto")
        if truths is not None:
            labels = np.where(counted[column], truths[column], len(classes))
            next(cells).imshow(ids[labels], interpolation="nearest", aspect="auto")
        for axes, found in zip(cells, named.values(), strict=True):
            axes.imshow(ids[found[column]], interpolation="nearest", aspect="auto")
            if truths is not None:
                mask = np.broadcast_to(counted[column], truths[column].shape)
                hits = (found[column] == truths[column])[mask]
                share = f"{100 * hits.mean():.1f} % right" if hits.size else "nothing counts"
                axes.set_xlabel(share, fontsize=8, color=INK)
                axes.xaxis.labelpad = 2
    for axes, label in zip(made.cells[:, 0], rows, strict=True):
        row_label(axes, label)
    box = made.figure.legend(
        handles=patches, loc="lower center", ncols=min(len(patches), columns), frameon=False
    )
    without_formulas(box.get_texts())
    return made.figure


def _shown(
    classes: Sequence[str],
    truths: np.ndarray | None,
    predictions: Mapping[str, np.ndarray],
    ignore_index: int | None,
) -> tuple[list[int], int]:
    """The classes that a legend names, all if they are few, else those with most pixels.

    The second number says how many more there are in the maps.
    """
    if len(classes) <= 12:
        return list(range(len(classes))), 0
    found = [*([] if truths is None else [truths]), *predictions.values()]
    pixels = np.zeros(256, np.int64)
    for labels in found:
        pixels += np.bincount(np.ravel(labels), minlength=256)[:256]
    largest = np.argsort(-pixels, kind="stable")
    present = [int(k) for k in largest if pixels[k] and k != ignore_index and k < len(classes)]
    return sorted(present[:_LEGEND]), len(present[_LEGEND:])


def labelled(
    samples: Sequence[tuple[str, Stimulus, np.ndarray]],
    classes: Sequence[str],
    *,
    ignore_index: int | None = None,
    colours: np.ndarray | None = None,
) -> Figure:
    """Pictures, each over a copy with its labels laid over it, and a legend of the classes shown.

    Args:
        samples: (title, picture or events, label) of each.
        classes: class names.
        ignore_index: label of pixels that do not count; drawn white.
        colours: of the classes, uint8 (K, 3), such as those of the data set.
    """
    if not samples:
        raise LavasegError("there are no samples to draw")
    faces = np.array([to_rgb(c) for c in [*class_colours(classes, colours), IGNORED]])
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
        mixed = 0.35 * rgb / 255 + 0.65 * faces[ids]
        grid[row, column].imshow(rgb, interpolation="nearest")
        grid[row, column].set_title(title, fontsize=8, color=INK)
        grid[row + 1, column].imshow(mixed, interpolation="nearest")
    ignored = any((label == ignore_index).any() for *_, label in samples)
    handles = class_patches(classes, shown, ignored, colours)
    box = figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), across),
        frameon=False,
        fontsize=8,
    )
    without_formulas(box.get_texts())
    return figure
