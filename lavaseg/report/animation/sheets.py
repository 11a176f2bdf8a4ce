"""Which layers have spikes to be shown, and what they send: integer neurons as one sheet each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Shape
from lavaseg.report.sources import Scenes, Source, Wanted, at_the_picture

AT_ONCE = 256 * 2**20
"""Bytes of spikes that are held at once; what takes more is recorded in several passes."""


@dataclass(frozen=True)
class Sheet:
    """One layer that sends spikes.

    Args:
        name: of the population.
        shape: (channels, height, width).
        levels: the largest number that a neuron sends at a step.
        fires: it is made of neurons; else it is the input.
    """

    name: str
    shape: Shape
    levels: int = 1
    fires: bool = True


def chosen_sheets(source: Source, layers: Sequence[str] | None) -> list[Sheet]:
    """All layers that fire, or those that were asked for.

    Raises:
        LavasegError: there is no such layer, or none that fires.
    """
    names = source.chosen_firing(layers)
    if not names:
        raise LavasegError(f"{source.title} has no layer that fires")
    levels, shapes = source.view.levels, source.shapes
    return [Sheet(name, shapes[name], levels.get(name, 1)) for name in names]


def sent(
    source: Source, sheets: Sequence[Sheet], seen: Scenes, wanted: Wanted
) -> Iterator[tuple[Sheet, np.ndarray]]:
    """What each layer sends for the first sample: whole numbers uint8 (T, C, h, w).

    Columns that were interleaved into channels are put back.
    """
    size = seen.pictures.shape[2:]
    for group in _groups(sheets, wanted.steps or source.steps):
        spikes = next(iter(source.spikes([sheet.name for sheet in group], seen, wanted)))
        for sheet in group:
            values = spikes.pop(sheet.name).astype(np.uint8)
            yield sheet, at_the_picture(values, (size[0], size[1]), source.interleaved)


def _groups(sheets: Sequence[Sheet], steps: int) -> Iterator[list[Sheet]]:
    """The layers in groups whose spikes are held at once."""
    group: list[Sheet] = []
    held = 0
    for sheet in sheets:
        needed = steps * int(np.prod(sheet.shape)) * sheet.levels
        if group and held + needed > AT_ONCE:
            yield group
            group, held = [], 0
        group.append(sheet)
        held += needed
    if group:
        yield group
