"""Which layers have spikes to be shown, and what they send: integer neurons as one sheet each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Network, Population, Shape
from lavaseg.network.levels import integer_neurons
from lavaseg.report.sources import (
    NetSource,
    RecordedSource,
    RunSource,
    Scenes,
    Source,
    Wanted,
    at_the_picture,
)
from lavaseg.system.words import or_like

AT_ONCE = 256 * 2**20
"""Bytes of spikes that are held at once; what takes more is recorded in several passes."""


@dataclass(frozen=True)
class Sheet:
    """One layer that sends spikes.

    Args:
        name: of the population; of integer neurons on hardware, of the one that they were.
        members: the populations whose spikes add up to what it sends.
        shape: (channels, height, width).
        levels: the largest number that a neuron sends at a step.
    """

    name: str
    members: tuple[str, ...]
    shape: Shape
    levels: int = 1


def sheets_of(source: Source) -> list[Sheet]:
    """The layers of a source that fire, in the order of computation."""
    if isinstance(source, RecordedSource):
        layers = [source.recording[name] for name in source.firing]
        return [Sheet(kept.name, (kept.name,), kept.shape, kept.levels or 1) for kept in layers]
    assert isinstance(source, NetSource | RunSource)
    network: Network = source.net.network if isinstance(source, NetSource) else source.network
    weights = source.net.weights if isinstance(source, NetSource) else None
    slots: dict[str, Sheet | None] = {}
    for item in integer_neurons(network, weights) if weights is not None else ():
        shape = network.shape(item.slots[0])
        slots[item.slots[0]] = Sheet(item.name, item.slots, shape, len(item.slots))
        slots |= dict.fromkeys(item.slots[1:])
    found = []
    for name in source.firing:
        if name in slots:
            sheet = slots[name]
            found += [sheet] if sheet is not None else []
            continue
        node = network[name]
        levels = node.max_message if isinstance(node, Population) else 1
        found.append(Sheet(name, (name,), network.shape(name), levels))
    return found


def chosen_sheets(source: Source, layers: Sequence[str] | None) -> list[Sheet]:
    """All layers that fire, or those that were asked for.

    Raises:
        LavasegError: there is no such layer, or none that fires.
    """
    found = sheets_of(source)
    known = [sheet.name for sheet in found]
    for name in layers or ():
        if name not in known:
            raise LavasegError(
                f"{source.title} has no layer {name!r} that fires{or_like(name, known, 'it has')}"
            )
    if not found:
        raise LavasegError(f"{source.title} has no layer that fires")
    return [sheet for sheet in found if layers is None or sheet.name in layers]


def sent(
    source: Source, sheets: Sequence[Sheet], seen: Scenes, wanted: Wanted
) -> Iterator[tuple[Sheet, np.ndarray]]:
    """What each layer sends for the first sample: whole numbers uint8 (T, C, h, w).

    Columns that were interleaved into channels are put back.
    """
    size = seen.pictures.shape[2:]
    for group in _groups(sheets, wanted.steps or source.steps):
        names = [name for sheet in group for name in sheet.members]
        spikes = next(iter(source.spikes(names, seen, wanted)))
        for sheet in group:
            total = spikes.pop(sheet.members[0]).astype(np.uint8)
            for member in sheet.members[1:]:
                total = total + spikes.pop(member).astype(np.uint8)
            yield sheet, at_the_picture(total, (size[0], size[1]), source.interleaved)


def _groups(sheets: Sequence[Sheet], steps: int) -> Iterator[list[Sheet]]:
    """The layers in groups whose spikes are held at once."""
    group: list[Sheet] = []
    held = 0
    for sheet in sheets:
        needed = steps * int(np.prod(sheet.shape)) * len(sheet.members)
        if group and held + needed > AT_ONCE:
            yield group
            group, held = [], 0
        group.append(sheet)
        held += needed
    if group:
        yield group
