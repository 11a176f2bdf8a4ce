"""Spikes where they happen: maps of layers over the picture, and what a code adds up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.ticker import MaxNLocator

from lavaseg.errors import LavasegError
from lavaseg.report.plots.style import (
    BLUE,
    INK,
    ORANGE,
    Figure,
    as_rgb,
    left_margin,
    row_label,
    sheet,
    step_groups,
    steps_named,
)

_HEAT = LinearSegmentedColormap.from_list(
    "spikes", [(0.0, "#ffffff"), (0.15, "#fde3cf"), (0.5, "#f08b4b"), (1.0, "#5f1f00")]
)
"""One hue from light to dark, which colour-blind eyes order as others do."""


@dataclass(frozen=True)
class SpikeMaps:
    """Spikes of the layers of a network while it sees one sample.

    Args:
        name: of the sample.
        picture: what it sees, uint8 (C, H, W).
        spikes: of each layer, over its channels, whole numbers (T, h, w).
        shapes: of each layer, (channels, h, w).
    """

    name: str
    picture: np.ndarray
    spikes: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[int, int, int]]


def spike_maps(samples: Sequence[SpikeMaps], unit: str = "spikes") -> Figure:
    """Spike counts of layers laid over the picture, over groups of steps and over all T.

    A row is a layer of a sample. Its colours are spikes a step at each place, all channels
    together, on one scale for the row; the number of spikes stands under each map (MFS-Seg,
    Su et al. 2024, figure 5).

    Args:
        samples: at least one, all with the same number of steps.
        unit: what is counted.

    Raises:
        LavasegError: there is nothing to draw.
    """
    rows = [(sample, layer) for sample in samples for layer in sample.spikes]
    if not rows:
        raise LavasegError("there are no spikes to draw")
    steps = len(rows[0][0].spikes[rows[0][1]])
    groups = step_groups(steps) if steps > 1 else []
    labels = [_row_name(sample, layer, len(samples) > 1) for sample, layer in rows]
    height, width = samples[0].picture.shape[1:]
    cell = _cell(height, width, 2 + len(groups))
    made = sheet(len(rows), 2 + len(groups), cell, left=left_margin(labels), top=0.6, bar=True)
    for row, (sample, layer) in enumerate(rows):
        spikes, cells = sample.spikes[layer], made.cells[row]
        rgb = as_rgb(sample.picture)
        cells[0].imshow(rgb, interpolation="nearest", aspect="auto")
        row_label(cells[0], labels[row])
        parts = [*groups, range(steps)]
        means = [spikes[list(part)].mean(0) for part in parts]
        scale = Normalize(0, max(float(mean.max()) for mean in means) or 1.0)  # silent: 0 to 1
        for axes, part, mean in zip(cells[1:], parts, means, strict=True):
            _overlay(axes, rgb, scale(mean))
            axes.set_xlabel(f"{int(spikes[list(part)].sum()):,}", fontsize=8, color=INK)
            axes.xaxis.labelpad = 2
        mappable = ScalarMappable(scale, _HEAT)
        bar = made.figure.colorbar(mappable, cax=made.bars[row])
        bar.ax.tick_params(labelsize=7.5, colors=INK)
        bar.ax.yaxis.set_major_locator(MaxNLocator(4))
    titles = ["picture", *(steps_named(group) for group in groups)]
    titles.append("all steps" if steps > 1 else "its one step")
    for axes, title in zip(made.cells[0], titles, strict=True):
        axes.set_title(title, fontsize=8.5, color=INK)
    made.figure.text(
        0.08 / made.figure.get_figwidth(),
        1 - 0.08 / made.figure.get_figheight(),
        f"colour: {unit} a step at each place, all channels together; under each map: {unit}",
        fontsize=8.5,
        color=INK,
        va="top",
    )
    return made.figure


def _row_name(sample: SpikeMaps, layer: str, named: bool) -> str:
    shape = " × ".join(map(str, sample.shapes[layer]))
    return f"{sample.name}\n{layer}\n{shape}" if named else f"{layer}\n{shape}"


def _cell(height: int, width: int, columns: int) -> tuple[float, float]:
    """Size of a picture's cell in inches: a wide picture is not taller than it needs."""
    across = min(1.9, 11.0 / columns) if width >= height else min(1.5, 11.0 / columns)
    return across, max(across * height / width, 0.55)


def _overlay(axes: Axes, rgb: np.ndarray, level: np.ndarray) -> None:
    """A map, 0 .. 1 at each place, over a pale grey copy of the picture, stretched to its size."""
    height, width = rgb.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    grey = rgb.astype(float).mean(-1) / 255
    axes.imshow(0.62 + 0.38 * grey, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto")
    colours = _HEAT(np.asarray(level, float))
    colours[..., 3] = (2.2 * np.asarray(level, float)).clip(0, 0.92)
    axes.imshow(colours, interpolation="nearest", extent=extent, aspect="auto")


@dataclass(frozen=True)
class CodedSample:
    """What the encoder makes of one sample.

    Args:
        name: of the sample.
        picture: uint8 (C, H, W).
        messages: of each step, (T, c, H, W): spikes 0 or 1, or messages. Two channels are ON and
            OFF, three red, green and blue.
    """

    name: str
    picture: np.ndarray
    messages: np.ndarray


def rate_code(samples: Sequence[CodedSample], largest: int = 1, unit: str = "spikes") -> Figure:
    """A code's spikes, added up from the first step on: Kim et al. 2022, figure 5.

    Brightness is the sum over steps 1 .. t divided by the largest that is possible in t steps; of
    ON and OFF spikes, divided by the largest that a pixel of the sample has after T steps.

    Args:
        samples: at least one, all with the same number of steps.
        largest: the largest message of a pixel in one step.
        unit: what is counted under each picture.

    Raises:
        LavasegError: there is nothing to draw.
    """
    if not samples:
        raise LavasegError("there are no samples to draw")
    steps = len(samples[0].messages)
    shown = [group[-1] + 1 for group in step_groups(steps, 7)]
    shown = sorted({1, *shown}) if steps > 1 else [1]
    labels = [sample.name for sample in samples]
    height, width = samples[0].picture.shape[1:]
    cell = _cell(height, width, 1 + len(shown))
    made = sheet(len(samples), 1 + len(shown), cell, left=left_margin(labels), top=0.35)
    for cells, sample in zip(made.cells, samples, strict=True):
        cells[0].imshow(as_rgb(sample.picture), interpolation="nearest", aspect="auto")
        row_label(cells[0], sample.name)
        total = np.cumsum(sample.messages.astype(np.int64), 0)
        most = max(int(total[-1].max()), 1)
        for axes, t in zip(cells[1:], shown, strict=True):
            scale = most * t / steps if total.shape[1] == 2 else largest * t
            axes.imshow(_as_colours(total[t - 1] / scale), interpolation="nearest", aspect="auto")
            sent = int((sample.messages[:t] != 0).sum())
            axes.set_xlabel(f"{sent:,} {unit}", fontsize=8, color=INK)
            axes.xaxis.labelpad = 2
    titles = ["picture", *(f"t = {t}" for t in shown)]
    for axes, title in zip(made.cells[0], titles, strict=True):
        axes.set_title(title, fontsize=9, color=INK)
    return made.figure


def _as_colours(level: np.ndarray) -> np.ndarray:
    """Levels 0 .. 1, (c, H, W), as colours (H, W, 3)."""
    level = level.clip(0, 1)
    if len(level) == 3:
        return np.moveaxis(level, 0, -1)
    if len(level) == 2:
        ink = 1 - np.array([to_rgb(ORANGE), to_rgb(BLUE)])
        return (1 - np.einsum("chw,ck->hwk", level, ink)).clip(0, 1)
    return np.repeat(level.mean(0)[..., None], 3, -1)
