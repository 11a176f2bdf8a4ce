"""A picture of chips: each core in the colour of its layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as PlainFigure
from matplotlib.patches import Patch

from lavaseg.chip import CORES_PER_CHIP, LayerMapping, Mapping
from lavaseg.report.embedding import svg
from lavaseg.report.plots import FAINT, INK, Figure, without_formulas
from lavaseg.system.files import write_atomically
from lavaseg.system.words import counted

COLUMNS = 12
"""Cores of a chip in a row of the picture; where they lie on the chip is not public."""
_ROWS = CORES_PER_CHIP // COLUMNS
_GAP = 2
"""Between chips, in cores."""
_NAMED = 24
"""Layers that the legend names; the rest share a colour."""
_NUMBERED = 60
"""Most chips that are numbered one by one."""
_FREE = "#eef1f4"
_REST = "#4b2e83"
_HELPERS = {
    "wait": ("spikes that wait", "#c3ccd5"),
    "clock": ("clocks", "#7d8893"),
    "echo": ("echoes", "#a99985"),
    "relay": ("relays of sums", "#d9cdb8"),
    "input": ("input, played from the chip", "#565f69"),
}


@dataclass(frozen=True)
class _Group:
    """What has a colour of its own."""

    label: str
    colour: str
    layers: list[LayerMapping]

    @property
    def legend(self) -> str:
        return f"{self.label} ({sum(layer.cores for layer in self.layers):,})"


def chip_map(mapping: Mapping, title: str = "") -> Figure:
    """The cores of all chips that a network takes, 12 x 10 a chip, coloured by layer.

    Args:
        mapping: of any size; the 24 populations with most cores have colours of their own.
        title: of the picture.
    """
    chips = max(1, mapping.chips)
    across = min(max(4, math.ceil(math.sqrt(1.2 * chips))), chips) if chips > 4 else chips
    down = -(-chips // across)
    groups = _groups(mapping)
    wide, high = across * (COLUMNS + _GAP) - _GAP, down * (_ROWS + _GAP)
    picture = max(1.4, 9.0 * high / max(wide, 4 * COLUMNS))
    legend = 0.19 * -(-len(groups) // 4) + 0.2
    figure = Figure(figsize=(9.0, picture + legend + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    pixels = 10 if chips <= _NUMBERED else 3
    sheet = np.ones((round(high * pixels), round((wide + _GAP) * pixels), 3))
    for chip, cores in enumerate(_colours(mapping, groups, chips)):
        row, column = divmod(chip, across)
        left, top = column * (COLUMNS + _GAP), row * (_ROWS + _GAP)
        _draw(sheet[round(top * pixels) :, round(left * pixels) :], cores, pixels)
        if chips <= _NUMBERED:
            axes.text(left, top - 0.25, f"chip {chip}", fontsize=7, color=INK)
    axes.imshow(sheet, extent=(0, sheet.shape[1] / pixels, sheet.shape[0] / pixels, 0))
    axes.set_xlim(0, max(wide, 4 * COLUMNS))
    axes.set_ylim(high - _GAP, -_GAP)
    axes.set_aspect("equal", anchor="W")
    handles = [
        Patch(facecolor=g.colour, edgecolor=FAINT, linewidth=0.5, label=g.legend) for g in groups
    ]
    box = figure.legend(
        handles=handles, loc="outside lower left", ncols=4, frameon=False, fontsize=7.5
    )
    text = f"{mapping.cores:,} of {chips * CORES_PER_CHIP:,} cores of {counted(chips, 'chip')}"
    text = f"{title}: {text}" if title else text
    heading = figure.suptitle(text, fontsize=10, color=INK, x=0.01, ha="left")
    without_formulas([heading, *box.get_texts()])
    return figure


def save_svg(figure: PlainFigure, path: Path) -> None:
    """Write a figure as SVG, whole or not at all."""
    write_atomically(path, svg(figure).decode("utf-8"))


def _colours(mapping: Mapping, groups: list[_Group], chips: int) -> np.ndarray:
    """Colour of each core, (chips, rows, columns, 3)."""
    found = np.tile(np.array(to_rgb(_FREE)), (chips * CORES_PER_CHIP, 1))
    for group in groups:
        for layer in group.layers:
            found[layer.core_ids.start : layer.core_ids.stop] = to_rgb(group.colour)
    return found.reshape(chips, _ROWS, COLUMNS, 3)


def _draw(sheet: np.ndarray, cores: np.ndarray, pixels: int) -> None:
    """Draw one chip into the upper left of `sheet`; white lines part cores that are large."""
    large = cores.repeat(pixels, axis=0).repeat(pixels, axis=1)
    if pixels > 4:
        large[pixels - 1 :: pixels] = 1.0
        large[:, pixels - 1 :: pixels] = 1.0
    sheet[: large.shape[0], : large.shape[1]] = large


def _groups(mapping: Mapping) -> list[_Group]:
    """Populations from the input to the read-out, then helpers by kind."""
    populations = [layer for layer in mapping.layers if layer.kind == "population"]
    largest = sorted(populations, key=lambda layer: -layer.cores)[:_NAMED]
    named = {layer.name for layer in largest}
    palette = iter(_palette())
    found = [
        _Group(layer.name, next(palette), [layer]) for layer in populations if layer.name in named
    ]
    rest = [layer for layer in populations if layer.name not in named]
    if rest:
        found.append(_Group(f"{len(rest)} smaller layers", _REST, rest))
    for kind, (label, colour) in _HELPERS.items():
        helpers = [layer for layer in mapping.layers if layer.kind == kind]
        if helpers:
            found.append(_Group(label, colour, helpers))
    return found


def _palette() -> list[str]:
    """Colours of populations: strong ones first, no grey, which is for what helps them."""
    names = ("tab10", "Set2", "tab20b", "Set1")
    colours = [c for name in names for c in colormaps[name].colors]  # type: ignore[attr-defined]
    return [to_hex(c) for c in colours if max(c) - min(c) > 0.15][:_NAMED]
