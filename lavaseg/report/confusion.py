"""Confusion of classes on a page: the pairs that cost most, and a matrix of any size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lavaseg.report.embedding import data_uri
from lavaseg.report.wording import format_percent, format_short
from lavaseg.results import metrics

NUMBERED = 12
"""Most classes whose cells have two lines: share and number of pixels."""
TABLED = 24
"""Most classes whose matrix is a table of numbers; that of more is a picture with names."""
WORST = 12
"""Pairs that are listed."""
_BLUE = (0, 114, 178)
_LEVELS = 256


@dataclass(frozen=True)
class Pair:
    """Pixels of one class that were taken for another.

    Args:
        truth, prediction: ids of the two classes.
        pixels: their number.
        share: of the true class's pixels, 0 .. 1.
        cost: mIoU points that these pixels cost: what mIoU would gain if they alone were right.
    """

    truth: int
    prediction: int
    pixels: int
    share: float
    cost: float


def worst_pairs(confusion: np.ndarray, most: int = WORST) -> list[Pair]:
    """The confusions that cost most mIoU, the worst first.

    With c pixels of class i taken for class j, IoU of i would be (hits_i + c) / union_i without
    them, and IoU of j hits_j / (union_j - c). Confusions that cost as much are ordered by pixels.

    Args:
        confusion: int (K, K), rows truth, columns prediction.
    """
    wrong = confusion - np.diag(np.diag(confusion))
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hits
    occurring = max(int((union > 0).sum()), 1)
    truths, predictions = np.nonzero(wrong)
    count = wrong[truths, predictions].astype(np.float64)
    less = union[predictions] - count
    # a class that is nowhere but in these pixels would no longer occur: its IoU of 0 goes, too
    after = np.divide(hits[predictions], less, out=np.zeros_like(count), where=less > 0)
    gain = count / union[truths] + after - hits[predictions] / union[predictions]
    order = np.lexsort((-count, -gain))[:most]
    total = confusion.sum(1)
    return [
        Pair(
            int(truths[k]),
            int(predictions[k]),
            int(count[k]),
            float(count[k] / total[truths[k]]),
            float(100 * gain[k] / occurring),
        )
        for k in order
    ]


@dataclass(frozen=True)
class Cell:
    """A cell of a small matrix: its text, the pixels below it, and how deep its colour is."""

    share: str
    pixels: str
    depth: float

    @property
    def deep(self) -> bool:
        """Whether letters on it must be light."""
        return self.depth > 0.55


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix for a page, rows truth.

    Args:
        names: of the classes that occur, in the order of rows and columns.
        absent: number of classes that occur neither in truth nor in predictions.
        cells: of few classes, each cell; else empty.
        picture: of many classes, a PNG of a pixel a cell as data URI; else "".
    """

    names: tuple[str, ...]
    absent: int
    cells: tuple[tuple[Cell, ...], ...] = ()
    picture: str = ""


def matrix(confusion: np.ndarray, classes: Sequence[str]) -> Matrix:
    """The matrix: few classes in their own order with numbers, many by IoU, the worst first.

    Args:
        confusion: int (K, K), rows truth, columns prediction.
        classes: class names.
    """
    iou = metrics.iou(confusion)
    kept = [int(k) for k in np.flatnonzero(~np.isnan(iou))]
    absent = len(classes) - len(kept)
    many = len(kept) > TABLED
    if many:
        kept.sort(key=lambda k: iou[k])
    chosen = confusion[np.ix_(kept, kept)]
    total = chosen.sum(1, keepdims=True)
    share = np.divide(chosen, total, out=np.zeros(chosen.shape), where=total > 0)
    names = tuple(classes[k] for k in kept)
    if many:
        return Matrix(names, absent, picture=_picture(share))
    return Matrix(names, absent, _cells(share, chosen))


def _cells(share: np.ndarray, pixels: np.ndarray) -> tuple[tuple[Cell, ...], ...]:
    few = len(share) <= NUMBERED

    def cell(row: int, column: int) -> Cell:
        value, count = float(share[row, column]), int(pixels[row, column])
        if not count:
            text = "0" if few and pixels[row].any() else ""
        elif few:
            text = format_percent(value)
        else:
            text = f"{100 * value:.0f}" if value >= 0.005 else "·"
        return Cell(text, format_short(count) if few and count else "", round(value, 3))

    places = range(len(share))
    return tuple(tuple(cell(row, column) for column in places) for row in places)


def _picture(share: np.ndarray) -> str:
    """One pixel a cell, blue on nothing; the root of the share, so that small ones are seen."""
    levels = np.rint((_LEVELS - 1) * np.sqrt(share)).astype(np.uint8)
    image = Image.fromarray(levels, "P")
    image.putpalette(_BLUE * _LEVELS)
    file = io.BytesIO()
    image.save(file, "PNG", transparency=bytes(range(_LEVELS)), optimize=True)
    return data_uri("image/png", file.getvalue())
