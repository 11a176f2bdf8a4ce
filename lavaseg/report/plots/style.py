"""The look of all figures: colours, quiet axes, names that are no formulas."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as PlainFigure
from matplotlib.patches import Patch
from matplotlib.text import Text

from lavaseg.data import colours as shared

BLUE, ORANGE, GREEN, INK, FAINT = "#0072B2", "#D55E00", "#009E73", "#1f2933", "#8a949e"
IGNORED = "#ffffff"
SERIES = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
"""Colours of series, Okabe and Ito's; `MARKERS` tells them apart in print."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LETTER = 0.078
"""Width of a letter of 9 points in inches, on the safe side."""


class Figure(PlainFigure):
    """A figure that notebooks show even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


@contextmanager
def own_style() -> Iterator[None]:
    """While open, no `matplotlibrc` changes figures, and SVG files keep text as text."""
    with rc_context():
        rcdefaults()
        rcParams["svg.hashsalt"] = "lavaseg"
        yield


def class_colours(classes: Sequence[str], colours: np.ndarray | None = None) -> list[str]:
    """A colour for each class as '#rrggbb'.

    Args:
        classes: class names.
        colours: uint8 (K, 3), such as those of the data set; None: those that classes have which
            no data set gives any.
    """
    found = shared.class_colours(classes) if colours is None else colours
    return [to_hex(colour / 255) for colour in found]


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


def dress(axes: Axes, grid: Literal["x", "y"] = "y") -> None:
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


def class_patches(
    classes: Sequence[str],
    shown: Sequence[int],
    ignored: bool,
    colours: np.ndarray | None = None,
) -> list[Patch]:
    """What a legend of classes shows.

    Args:
        shown: the classes' ids, in order.
        ignored: whether there are pixels that do not count.
        colours: as of `class_colours`.
    """
    faces = class_colours(classes, colours)
    patches = [
        Patch(facecolor=faces[k], edgecolor=INK, linewidth=0.5, label=classes[k]) for k in shown
    ]
    if ignored:
        patches.append(Patch(facecolor=IGNORED, edgecolor=INK, linewidth=0.5, label="not counted"))
    return patches


def step_groups(steps: int, most: int = 6) -> list[range]:
    """Consecutive steps 0 .. T-1 in at most `most` groups, whose lengths differ by one at most."""
    count = min(steps, most)
    edges = [round(k * steps / count) for k in range(count + 1)]
    return [range(first, stop) for first, stop in itertools.pairwise(edges)]


def steps_named(steps: range) -> str:
    """Steps as people count them: 'step 1', 'steps 4 to 6'."""
    if len(steps) == 1:
        return f"step {steps[0] + 1}"
    return f"steps {steps[0] + 1} to {steps[-1] + 1}"


@dataclass(frozen=True)
class Sheet:
    """A figure of cells of one size at places in inches, fast with hundreds of cells.

    Args:
        figure: the figure.
        cells: its axes, (rows, columns); those of pictures, without ticks.
        bars: axes for a colour bar at the right of each row; none if there is no room for them.
    """

    figure: Figure
    cells: np.ndarray
    bars: list[Axes]


def sheet(
    rows: int,
    columns: int,
    cell: tuple[float, float],
    *,
    left: float,
    right: float | None = None,
    top: float = 0.45,
    bottom: float = 0.1,
    gap: tuple[float, float] = (0.08, 0.3),
    bar: bool = False,
) -> Sheet:
    """Empty cells.

    Args:
        cell: (width, height) in inches.
        left, right, top, bottom: margins in inches.
        gap: between cells, (horizontal, vertical), in inches.
        bar: leave room for a colour bar at each row.
    """
    right = (0.85 if bar else 0.1) if right is None else right
    width = left + columns * cell[0] + (columns - 1) * gap[0] + right
    height = top + rows * (cell[1] + gap[1]) + bottom
    figure = Figure(figsize=(width, height))
    cells = np.empty((rows, columns), object)
    bars = []

    def place(x: float, y: float, size: tuple[float, float]) -> Axes:
        return figure.add_axes((x / width, 1 - y / height, size[0] / width, size[1] / height))

    for row in range(rows):
        y = top + (row + 1) * cell[1] + row * gap[1]
        for column in range(columns):
            axes = place(left + column * (cell[0] + gap[0]), y, cell)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#c4ccd4")
            cells[row, column] = axes
        if bar:
            at = left + columns * cell[0] + (columns - 1) * gap[0] + 0.12
            bars.append(place(at, y, (0.12, cell[1])))
    return Sheet(figure, cells, bars)


def row_label(axes: Axes, text: str, *, beside_axis: bool = False) -> None:
    """Words at the left of a row of cells, or of the numbers of their axis."""
    label = axes.annotate(
        text,
        (0, 0.5),
        xytext=(-34 if beside_axis else -7, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=9,
        color=INK,
    )
    label.set_parse_math(False)


def left_margin(labels: Iterable[str]) -> float:
    """Inches that labels of rows take, the longest of their lines."""
    longest = max((len(part) for label in labels for part in label.split("\n")), default=0)
    return 0.3 + LETTER * longest
