"""What a tile of a layer takes of a core's registers.

The rules were read from tables that Intel's compiler printed (docs/loihi2.md); they reproduce every
register of these. What no table shows (grouped, transposed and sparse synapses, several
projections into one layer, clocks) follows the same rules as far as they go, and is our model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lavaseg.chip.layers import ChipLayer, Synapses
from lavaseg.chip.profiles import CompilerProfile, Registers
from lavaseg.network.geometry import Axis
from lavaseg.network.grids import phase_kernel

WORD = 64
"""Bits of a word of synaptic memory."""
LIST_HEADER = 8
"""Bits in front of each list of synapses; the tables allow 5 to 12."""
INDEX_BITS = 12
"""Bits that name the target of a synapse whose weight is not shared: a core has 4,096 places."""
DESTINATIONS = 4
"""Destination cores that a word of outgoing axons names."""


@dataclass(frozen=True)
class Tile:
    """The part of a layer that one core computes: (x, y, c), the extents of a box.

    A flat layer has tiles (neurons, 1, 1).
    """

    x: int
    y: int
    c: int

    @property
    def neurons(self) -> int:
        """Neurons of a full tile."""
        return self.x * self.y * self.c

    def counts(self, layer: ChipLayer) -> tuple[int, int, int]:
        """Tiles along x, y and the channels."""
        if layer.flat:
            return -(-layer.neurons // self.x), 1, 1
        channels, height, width = layer.shape
        return -(-width // self.x), -(-height // self.y), -(-channels // self.c)

    def cores(self, layer: ChipLayer) -> int:
        """Cores that the layer takes."""
        return math.prod(self.counts(layer))


def channel_groups(channels: int) -> tuple[int, ...]:
    """The powers of two that a number of channels is made of, largest first: 48 = 32 + 16."""
    return tuple(
        1 << bit for bit in range(channels.bit_length() - 1, -1, -1) if channels >> bit & 1
    )


@lru_cache
def axon_groups(channels: int) -> int:
    """Axons that address all channels of a place: one for a power of two, else two.

    Layers of three channels have one in every table.
    """
    return 1 if channels < 4 or len(channel_groups(channels)) == 1 else 2


def words(synapses: int, bits: int) -> int:
    """Words of one list of synapses."""
    return -(-(synapses * bits + LIST_HEADER) // WORD)


@lru_cache
def _shared(channels: int, bits: int) -> int:
    """Words of the weights from one input place and tap to a tile's channels."""
    return sum(words(group, bits) for group in channel_groups(channels))


# --------------------------------------------------------------------------------------------
# Into a tile


def synaptic_memory(layer: ChipLayer, item: Synapses, tile: Tile) -> int:
    """Words of the synapses that lead into one tile."""
    geometry = item.geometry
    if item.form != "conv":
        lists, reached = axons(item, tile), _lists(layer, item, tile)
        # axons without a synapse in this tile share one empty list
        return reached * list_words(layer, item, tile) + (reached < lists)
    outputs = geometry.channels // geometry.groups
    inputs = geometry.source[0] // geometry.groups
    if geometry.groups == 1:
        inputs = item.channels
    kernel = geometry.kernel
    share = 1
    if geometry.enlarges != (1, 1):
        phases = phase_kernel(geometry)
        assert phases is not None  # the graph makes sparse synapses of the rest
        kernel = phases
        share = min(geometry.enlarges[0], tile.y) * min(geometry.enlarges[1], tile.x)
    groups = -(-tile.c // outputs)
    each = _shared(share * min(tile.c, outputs), item.bits)
    return groups * inputs * kernel[0] * kernel[1] * each


def list_words(layer: ChipLayer, item: Synapses, tile: Tile) -> int:
    """Words of the list of synapses of one axon into a tile; of the mean list where they differ."""
    synapses = tile.neurons
    if item.form == "sparse":
        synapses = -(-_synapses(layer, item, tile) // max(1, _lists(layer, item, tile)))
    return words(synapses, item.bits + INDEX_BITS)


def _lists(layer: ChipLayer, item: Synapses, tile: Tile) -> int:
    """Axons that have synapses in a tile: of a sheet, those in its field of view; sources of a
    flat layer reach neighbouring neurons."""
    found = axons(item, tile)
    if item.form != "sparse":
        return found
    if layer.flat:
        each = -(-item.count // max(1, found))
        return min(found, -(-_synapses(layer, item, tile) // max(1, each)))
    geometry = item.geometry
    places = _reach(geometry.rows, tile.y) * _reach(geometry.columns, tile.x)
    share = min(1.0, tile.c * geometry.groups / geometry.channels) if geometry.groups > 1 else 1.0
    return min(found, math.ceil(item.channels * share) * places)


def _synapses(layer: ChipLayer, item: Synapses, tile: Tile) -> int:
    """Sparse synapses in a tile: its share of all."""
    return -(-item.count * min(tile.neurons, layer.neurons) // layer.neurons)


def axons(item: Synapses, tile: Tile) -> int:
    """Entries for the axons by which spikes of one source reach a tile.

    Lists of synapses have one for each neuron of the source on every core, whether it has synapses
    there or not: so it is printed of a sparse layer on three cores.
    """
    if item.form == "conv":
        return axon_groups(tile.c)
    _, height, width = item.geometry.source
    return item.channels * height * width


# --------------------------------------------------------------------------------------------
# Out of a tile


def fields_of_view(axis: Axis, extent: int) -> tuple[np.ndarray, np.ndarray]:
    """The inputs that each tile of the outputs sees along one axis.

    Args:
        extent: outputs of a tile.

    Returns:
        (first, one after the last) of each tile.
    """
    begin = np.arange(0, axis.wanted, extent)
    last = np.minimum(begin + extent, axis.wanted) - 1
    first = -((max(axis.taps) - begin * axis.down) // axis.up)
    stop = (last * axis.down - min(axis.taps)) // axis.up + 1
    return np.maximum(first, 0), np.minimum(stop, axis.size)


def overlaps(axis: Axis, source: int, target: int) -> np.ndarray:
    """Along one axis, tiles of the target whose field of view meets each tile of the source.

    Args:
        source, target: extents of the tiles.
    """
    return _overlaps(_hashable(axis), source, target)


def _reach(axis: Axis, extent: int) -> int:
    """The most inputs along one axis that a tile of the outputs sees."""
    first, stop = fields_of_view(axis, extent)
    return max(0, int((stop - first).max()))


@lru_cache(maxsize=4096)
def _overlaps(axis: Axis, source: int, target: int) -> np.ndarray:
    first, stop = fields_of_view(axis, target)
    begin = np.arange(0, axis.size, source)
    end = np.minimum(begin + source, axis.size)
    return ((first[None, :] < end[:, None]) & (begin[:, None] < stop[None, :])).sum(axis=1)


def _hashable(axis: Axis) -> Axis:
    return replace(axis, taps=tuple(axis.taps))


@dataclass(frozen=True)
class Axons:
    """What the axons of a layer's tiles take, (y tiles, x tiles); all channels are alike."""

    axon_map: np.ndarray
    axon_mem: np.ndarray


def outgoing_axons(
    layer: ChipLayer,
    tile: Tile,
    targets: Sequence[tuple[ChipLayer, Synapses]],
    tiles: Mapping[str, Tile],
) -> Axons:
    """The axons of each tile of a layer.

    A neuron that reaches lists of synapses, or is read by the host, has an axon of its own. A
    place that reaches convolutions has one for each group of channels, and names each core whose
    field of view it lies in, four to a word.

    Args:
        targets: the layers it sends to.
        tiles: their tiles, by name; layers that have none yet are left out.
    """
    shared = [pair for pair in targets if pair[1].form == "conv"]
    if layer.flat:
        sizes = _extents(layer.neurons, tile.x)[None, :]
        return Axons(sizes, np.zeros_like(sizes))
    _, height, width = layer.shape
    places = _extents(height, tile.y)[:, None] * _extents(width, tile.x)[None, :]
    groups = axon_groups(tile.c)
    axon_map = np.zeros_like(places)
    axon_mem = np.zeros_like(places)
    if not targets or len(shared) < len(targets):
        axon_map = axon_map + places * tile.c
    if shared:
        axon_map = axon_map + places * groups
    for target, item in shared:
        there = tiles.get(target.name)
        if there is None:
            continue
        rows = overlaps(item.geometry.rows, tile.y, there.y)
        columns = overlaps(item.geometry.columns, tile.x, there.x)
        cores = rows[:, None] * columns[None, :] * _channel_tiles(item, tile, there)
        axon_mem = axon_mem + -(-places * groups * cores // DESTINATIONS)
    return Axons(axon_map, axon_mem)


def _channel_tiles(item: Synapses, source: Tile, target: Tile) -> int:
    """Tiles along the target's channels that a tile of the source reaches."""
    geometry = item.geometry
    reached = geometry.channels // geometry.groups
    if geometry.groups > 1:
        together = max(1, -(-source.c * geometry.groups // geometry.source[0]))
        reached *= min(together, geometry.groups)
    return -(-reached // target.c)


def _extents(size: int, extent: int) -> np.ndarray:
    begin = np.arange(0, size, extent)
    return np.minimum(begin + extent, size) - begin


# --------------------------------------------------------------------------------------------
# All registers


def registers(
    layer: ChipLayer, tile: Tile, profile: CompilerProfile, axons_out: tuple[int, int] = (0, 0)
) -> Registers:
    """What a full tile of a layer takes.

    Args:
        axons_out: AxonMap and AxonMem of its core.
    """
    reached = sum(axons(item, tile) for item in layer.incoming)
    groups = axon_groups(tile.c) if profile.groups_channels and not layer.flat else 1
    return Registers(
        axon_in=reached or 1,
        neuron_groups=groups,
        neurons=tile.neurons * layer.units,
        syn_mem=sum(synaptic_memory(layer, item, tile) for item in layer.incoming),
        axon_map=axons_out[0],
        axon_mem=axons_out[1],
    )
