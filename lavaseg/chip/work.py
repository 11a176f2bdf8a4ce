"""What the cores of a mapped network have to do at a step, from measured spikes.

Synapses lie on the core of the neurons that they excite, so that a layer's operations are done by
its own cores. They are counted neuron by neuron, borders included, and added up over each core's
tile. Spikes of helpers (waiting spikes, echoes, clocks) follow from what they help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.chip.boards import CORES_PER_CHIP
from lavaseg.chip.layers import ChipLayer, Synapses, chip_layers
from lavaseg.chip.mapping import LayerMapping
from lavaseg.chip.mapping import Mapping as ChipMapping
from lavaseg.errors import LavasegError
from lavaseg.network import Network
from lavaseg.network.geometry import Axis
from lavaseg.network.integers import IntegerNetwork


@dataclass(frozen=True)
class Traffic:
    """Spikes that a layer sends to another at a step.

    Args:
        source, target: names of the layers.
        spikes: mean number of spikes a step.
        graded: they carry a number.
        copies: cores of the target that a spike reaches, on average.
    """

    source: str
    target: str
    spikes: float
    graded: bool
    copies: float


@dataclass(frozen=True)
class LayerWork:
    """What a layer's cores do at a step, on average over samples and steps.

    Args:
        layer: how it lies on the chip.
        operations: synaptic operations of each core, float64 (cores,).
        updates: neurons of each core, int64 (cores,).
        traffic: what it receives.
    """

    layer: LayerMapping
    operations: np.ndarray
    updates: np.ndarray
    traffic: tuple[Traffic, ...]


def work(
    net: IntegerNetwork | Network,
    mapping: ChipMapping,
    counts: Mapping[str, np.ndarray],
    samples: int,
    steps: int,
) -> tuple[LayerWork, ...]:
    """What each layer of a mapping does at a step.

    Args:
        net: the network that was mapped, on the host's input or with replay.
        counts: spikes of each neuron summed over samples and steps, (C, H, W), as
            `Evaluation.counts`, or `Activity.counts` summed over its samples.
        samples: number of samples that were summed.
        steps: logical steps T of each.

    Raises:
        LavasegError: counts of a population are missing or have another shape, or the mapping is
            of another network.
    """
    network = net.network if isinstance(net, IntegerNetwork) else net
    if samples < 1 or steps < 1:
        raise LavasegError(f"samples and steps must be at least 1, got {samples} and {steps}")
    replay = any(layer.kind == "input" for layer in mapping.layers)
    layers = {layer.name: layer for layer in chip_layers(net, steps=steps, replay=replay)}
    if set(layers) != {layer.name for layer in mapping.layers}:
        raise LavasegError("the mapping is of another network, or of another number of steps")
    sent = _Sent(network, layers, counts, samples * steps, samples)
    return tuple(_of_layer(layers[mapped.name], mapped, sent) for mapped in mapping.layers)


class _Sent:
    """Mean spikes of each neuron at a step, float64 (C, H, W), by layer."""

    def __init__(
        self,
        network: Network,
        layers: Mapping[str, ChipLayer],
        counts: Mapping[str, np.ndarray],
        rounds: int,
        samples: int,
    ) -> None:
        self.network, self.layers, self.counts = network, layers, counts
        self.rounds, self.samples = rounds, samples
        self._known: dict[str, np.ndarray] = {}

    def spikes(self, name: str) -> np.ndarray:
        if name not in self._known:
            self._known[name] = self._spikes(name)
        return self._known[name]

    def _spikes(self, name: str) -> np.ndarray:
        layer = self.layers.get(name)
        if layer is None or layer.kind == "input":  # the host's, or played from the chip
            return self._counted(self.network.input.name)
        if layer.kind == "clock":  # each neuron is the turn of one step of a sample
            return np.full(layer.shape, self.samples / self.rounds)
        if layer.kind == "wait":
            before = self.spikes(layer.repeats or layer.incoming[0].source)
            if before.shape == layer.shape:
                return before
            # rows of relays: which channels are longer is not kept
            return np.full(layer.shape, before.mean())
        return self._counted(name.removesuffix(" echo") if layer.kind == "echo" else name)

    def graded(self, name: str) -> bool:
        """Whether a layer's spikes carry numbers."""
        layer = self.layers.get(name)
        if layer is None or layer.kind == "input":
            return self.network.input.graded
        if layer.kind == "wait":
            return self.graded(layer.incoming[0].source)
        return layer.kind == "relay"

    def _counted(self, name: str) -> np.ndarray:
        shape = self.network.shape(name)
        if name not in self.counts:
            if getattr(self.network[name], "threshold", 0) is None:  # it never fires
                return np.zeros(shape)
            raise LavasegError(f"spike counts of {name!r} are missing")
        found = np.asarray(self.counts[name], np.float64)
        if found.shape != shape:
            raise LavasegError(f"spike counts of {name!r} have shape {found.shape}, not {shape}")
        if found.size and not 0 <= found.min() <= found.max() <= self.rounds:
            raise LavasegError(
                f"spike counts of {name!r} reach from {found.min():g} to {found.max():g}, possible "
                f"are 0 to {self.rounds} (samples x steps)"
            )
        return found / self.rounds


def _of_layer(layer: ChipLayer, mapped: LayerMapping, sent: _Sent) -> LayerWork:
    operations = np.zeros(mapped.cores)
    traffic = []
    for synapses in layer.incoming:
        spikes = sent.spikes(synapses.source)
        share = synapses.channels / spikes.shape[0]
        received = _received(synapses, spikes, layer) * share
        operations += _per_core(received, layer, mapped)
        traffic.append(
            Traffic(
                synapses.source,
                layer.name,
                float(spikes.sum()) * share,
                sent.graded(synapses.source),
                _copies(synapses, layer, mapped),
            )
        )
    updates = _per_core(np.ones((1, *layer.shape[1:])), layer, mapped).astype(np.int64)
    return LayerWork(mapped, operations, updates, tuple(traffic))


def _received(synapses: Synapses, spikes: np.ndarray, layer: ChipLayer) -> np.ndarray:
    """Synaptic operations of each neuron at a step, (groups, H', W'), as of `_per_core`."""
    geometry = synapses.geometry
    if synapses.passing is not None:
        received = float(spikes.mean()) * synapses.passing / layer.neurons
        return np.full((1, *layer.shape[1:]), received)
    if geometry.target != layer.shape:  # one neuron silences them all, wherever they are
        return np.full((1, *layer.shape[1:]), float(spikes.sum()))
    channels = spikes.reshape(geometry.groups, -1, *spikes.shape[1:]).sum(1)
    return _along(geometry.columns, _along(geometry.rows, channels, 1), 2)


def _along(axis: Axis, values: np.ndarray, number: int) -> np.ndarray:
    """For each output along an axis, the sum of the inputs that it is connected with."""
    zero = [(0, int(n == number)) for n in range(values.ndim)]
    filled = np.pad(values, zero)  # where there is no input, the table says -1: the last one
    places = axis.table().T
    found: np.ndarray = filled.take(places[0], number)
    for column in places[1:]:
        found += filled.take(column, number)
    return found


def _per_core(values: np.ndarray, layer: ChipLayer, mapped: LayerMapping) -> np.ndarray:
    """Sums over the tile of each core, (cores,).

    Args:
        values: of each neuron, (groups, H, W), alike in all channels of a group.
    """
    x, y, c = mapped.tile
    channels = layer.shape[0] // len(values)
    if layer.flat:
        every = values.repeat(channels, axis=0).ravel()
        found = np.add.reduceat(every, np.arange(0, every.size, x))
    else:
        parts = _over_tiles(_over_tiles(values, y, 1), x, 2)
        found = _over_tiles(parts.repeat(channels, axis=0), c, 0).ravel()
    if len(found) != mapped.cores:
        raise LavasegError(
            f"layer {mapped.name!r} has {mapped.cores} cores, its tiles {mapped.tile} make "
            f"{len(found)}"
        )
    return found


def _over_tiles(values: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Sums over tiles of a size along an axis; the last one may be smaller."""
    found: np.ndarray = np.add.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
    return found


def _copies(synapses: Synapses, layer: ChipLayer, mapped: LayerMapping) -> float:
    """Cores of a layer that a spike reaches, on average over the neurons that send it."""
    if synapses.passing is not None:
        return 1.0
    if layer.flat or synapses.geometry.target != layer.shape:
        return float(mapped.cores)
    x, y, c = mapped.tile
    geometry = synapses.geometry
    reached = _tiles(geometry.rows, y) * _tiles(geometry.columns, x)
    return reached * max(1.0, -(-geometry.channels // c) / geometry.groups)


def _tiles(axis: Axis, size: int) -> float:
    """Tiles along an axis that an input is connected with, on average."""
    output, source, _ = axis.links()
    pairs = np.unique(np.stack([source, output // size]), axis=1)
    return float(pairs.shape[1] / axis.size)


def chips_of(layer: LayerMapping) -> tuple[int, np.ndarray]:
    """The first chip of a layer, and the share of its cores on that one and those that follow."""
    chips = np.arange(layer.core_ids.start, layer.core_ids.stop) // CORES_PER_CHIP
    return int(chips[0]), np.bincount(chips - chips[0]) / layer.cores


def total(parts: Sequence[LayerWork]) -> tuple[float, int]:
    """Synaptic operations and neuron updates of a step, over all cores."""
    return sum(float(p.operations.sum()) for p in parts), sum(int(p.updates.sum()) for p in parts)
