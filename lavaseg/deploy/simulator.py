"""The bit-exact simulator: whole samples, layer by layer, in logical time.

On the CPU it is driven by events and computes in integers: for some rows of a sheet, all steps of
one sample are summed up (`lavaseg/kernels/sums.py`) and the neurons respond to them
(`respond_to_sums` in `lavaseg/kernels/fused.py`) while the sums are in cache. Other devices:
`simulator_torch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.deploy.requests import check_request
from lavaseg.deploy.simulator_slots import (
    Slots,
    foldable,
    folded_inputs,
    recorded_slots,
    respond_with_slots,
)
from lavaseg.errors import LavasegError
from lavaseg.kernels.bits import PackedSpikes, late
from lavaseg.kernels.fused import respond_to_sums
from lavaseg.kernels.stopwatch import Stopwatch
from lavaseg.kernels.sums import InputSums, synapses
from lavaseg.network import DECAY_UNITY, STATE_SCALE, Current, Network, Population, Relay
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import Inputs, check_ranges, input_bounds
from lavaseg.results.activity import Activity
from lavaseg.system.extras import optional
from lavaseg.system.threads import over_blocks

CHUNK_BYTES = 512 * 2**20
"""Memory that the automatic chunk size aims to stay below."""


class Simulator:
    """An integer network that is ready to run: ranges are proved and tables made only once.

    Args:
        net: the network.
        device: "cpu" or "auto", or another torch device.

    Raises:
        LavasegError: a range that Loihi does not have, or a device that torch does not have.
    """

    def __init__(self, net: IntegerNetwork, *, device: str = "cpu") -> None:
        inputs = input_bounds(net)
        check_ranges(net, inputs)
        if any(isinstance(node, Current) for node in net.network.nodes):
            raise LavasegError("an integer network has no currents: unroll them on export")
        self.net, self.device = net, "cpu" if device == "auto" else device
        self._layers: list[_Layer] = []
        if self.device == "cpu":
            self._layers = _layers(net, inputs)
            return
        with optional():
            from lavaseg.kernels.devices_torch import check_device
        check_device(device)

    def run(
        self,
        spikes: np.ndarray,
        *,
        record: Sequence[str] | str = (),
        chunk: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Activity:
        """Run encoded samples; arguments and errors as of `simulate`."""
        recorded = check_request(self.net, spikes, record)
        total = len(spikes)
        size = chunk or max(1, CHUNK_BYTES // _sample_bytes(self.net.network, self.net.steps))
        parts = []
        with Stopwatch() as watch:
            for first in range(0, total, size):
                parts.append(self._run(spikes[first : first + size], recorded))
                if progress is not None:
                    progress(min(first + size, total), total)
        return Activity(
            readout=_joined([p.readout for p in parts]),
            counts={k: _joined([p.counts[k] for p in parts]) for k in parts[0].counts},
            spikes={k: _joined([p.spikes[k] for p in parts]) for k in parts[0].spikes},
            seconds=watch.seconds,
        )

    def _run(self, spikes: np.ndarray, recorded: Sequence[str]) -> Activity:
        """One chunk; `seconds` is left out."""
        if self.device == "cpu":
            return _run(self.net, self._layers, spikes, recorded)

        with optional():
            from lavaseg.deploy.simulator_torch import run_torch

        return run_torch(self.net, spikes, recorded, self.device)


def simulate(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    record: Sequence[str] | str = (),
    chunk: int | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Activity:
    """Run encoded samples through an integer network: the spikes that Lava gives, fast.

    `Simulator` runs one network often.

    Args:
        spikes: uint8 (N, T, C, H, W), as `net.encoder.encode` gives them.
        record: names of populations whose spikes are kept, or "all".
        chunk: samples computed at once, which bounds the memory; chosen from the network's size
            by default. The result does not depend on it.
        device: "cpu" or "auto", or another torch device.
        progress: called with (samples done, samples in all).

    Raises:
        LavasegError: spikes that do not fit the network, an unknown population, a range that
            Loihi does not have.
    """
    simulator = Simulator(net, device=device)
    return simulator.run(spikes, record=record, chunk=chunk, progress=progress)


def _joined(chunks: list[np.ndarray]) -> np.ndarray:
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def _sample_bytes(network: Network, steps: int) -> int:
    """Memory of one sample: input and messages, and counts, membranes and spikes of all sheets."""
    relays = (node.name for node in network.nodes if isinstance(node, Relay))
    messages = network.neurons(network.input.name) + sum(4 * network.neurons(r) for r in relays)
    neurons = sum(network.neurons(name) for name in network.shapes)
    return steps * messages + neurons * (6 + steps // 8 + 1)


@dataclass(frozen=True)
class _Layer:
    """A node with what it receives, and from which nodes.

    Args:
        sources: names of the nodes that `sums` sees, the node's own among them if it feeds back.
        delays: for each of them, steps that each channel is late; None where all are alike, which
            `sums` takes care of.
        rounds: number of passes after which all of its spikes are settled; 1 without feedback.
        slots: what the relay that sums does with its slots at once: the integers stand in for
            what it sends, since its slots alone hear that.
    """

    node: Population | Relay
    sums: InputSums
    sources: tuple[str, ...]
    delays: tuple[tuple[int, ...] | None, ...]
    rounds: int
    slots: Slots | None = None

    def sees(self, emitted: Mapping[str, PackedSpikes], steps: int) -> list[PackedSpikes]:
        """The spikes that each of the synapses sees."""
        return [
            emitted[source] if delays is None else late(emitted[source], delays, steps)
            for source, delays in zip(self.sources, self.delays, strict=True)
        ]


def _layers(net: IntegerNetwork, inputs: Inputs) -> list[_Layer]:
    network = net.network
    slots = {item.neurons.sum: item for item in foldable(net)}
    folded = {name: total for total, item in slots.items() for name in item.folded}
    together = {slot for item in slots.values() for slot in item.neurons.slots}
    layers = []
    for node in network.ordered:
        assert not isinstance(node, Current)  # refused already
        if node.name in folded:
            continue
        parts, sources, delays = [], [], []
        for p in (group[0] for group in folded_inputs(network, node.name, together)):
            late = 0 if p.by_channel else p.longest
            parts.append(synapses(network.geometry(p), net.weights[p.name], late))
            sources.append(folded.get(p.source, p.source))
            delays.append(p.delay if isinstance(p.delay, tuple) else None)
        sums = InputSums(parts, *inputs[node.name], net.clocks.get(node.name))
        # each round settles as many more steps as the shortest way back takes
        back = (p.shortest for p in network.incoming(node.name) if p.recurrent)
        rounds = -(-net.steps // min(back, default=net.steps))
        found = slots.get(node.name)
        layers.append(_Layer(node, sums, tuple(sources), tuple(delays), rounds, found))
    return layers


def _run(
    net: IntegerNetwork, layers: Sequence[_Layer], spikes: np.ndarray, recorded: Sequence[str]
) -> Activity:
    """One chunk; `seconds` is left out."""
    network, samples = net.network, len(spikes)
    name = network.input.name
    sheets = np.ascontiguousarray(spikes.transpose(0, 1, 3, 4, 2))
    flat = sheets.reshape(-1, *sheets.shape[2:])
    emitted = {name: PackedSpikes.of(flat, network.input.message_bits > 0)}
    counts = {name: np.count_nonzero(spikes, axis=1).astype(np.uint16)}
    kept = {name: spikes} if name in recorded else {}
    readout = np.empty(0)
    waiting = Counter(source for layer in layers for source in layer.sources)
    for layer in layers:
        name = layer.node.name
        if layer.slots is not None:
            seen = layer.sees(emitted, net.steps)
            sent, found = respond_with_slots(net, layer.slots, layer.sums, seen, samples)
            counts |= found
            kept |= recorded_slots(net, layer.slots, layer.sums, seen, sent, recorded)
        elif isinstance(layer.node, Relay):
            seen = layer.sees(emitted, net.steps)
            sent, count = _relay(net, layer.sums, seen, samples)
        else:
            sent, count, membrane = _settle(net, layer.node, layer, emitted, samples)
            if name == network.readout:
                readout = membrane.transpose(0, 3, 1, 2).astype(np.int64)
        if layer.slots is None:
            counts[name] = count.transpose(0, 3, 1, 2)
            if name in recorded:
                kept[name] = sent.dense().reshape(samples, net.steps, *network.shape(name))
        emitted[name] = sent
        for source in layer.sources:
            waiting[source] -= 1
        emitted = {name: spikes for name, spikes in emitted.items() if waiting[name]}
    return Activity(readout, counts, kept)


def _relay(
    net: IntegerNetwork, sums: InputSums, seen: Sequence[PackedSpikes], samples: int
) -> tuple[PackedSpikes, np.ndarray]:
    """The sums themselves as graded spikes, and how many, uint16 (N, H, W, C)."""
    parts = [sums.integers(seen, net.steps, n * net.steps) for n in range(samples)]
    counts = np.stack([np.count_nonzero(part, axis=0) for part in parts])
    return PackedSpikes.of(np.concatenate(parts), graded=True), counts.astype(np.uint16)


def _settle(
    net: IntegerNetwork,
    population: Population,
    layer: _Layer,
    emitted: Mapping[str, PackedSpikes],
    samples: int,
) -> tuple[PackedSpikes, np.ndarray, np.ndarray]:
    """As `_respond`, a population that feeds back to itself included.

    Feedback depends on earlier steps alone: the population sees its own spikes of the round before,
    at first none, and a round that changes nothing is the last one.
    """
    if population.name not in layer.sources:
        seen = layer.sees(emitted, net.steps)
        return _respond(net, population, layer.sums, seen, samples)
    channels, height, width = net.network.shape(population.name)
    own = PackedSpikes.empty(samples * net.steps, height, width, channels)
    own.words[:] = 0
    seen = layer.sees({**emitted, population.name: own}, net.steps)
    for _ in range(layer.rounds):
        seen = [
            own if source == population.name else spikes
            for source, spikes in zip(layer.sources, seen, strict=True)
        ]
        found = _respond(net, population, layer.sums, seen, samples)
        if np.array_equal(found[0].words, own.words):
            break
        own = found[0]
    return found


def _respond(
    net: IntegerNetwork,
    population: Population,
    sums: InputSums,
    seen: Sequence[PackedSpikes],
    samples: int,
) -> tuple[PackedSpikes, np.ndarray, np.ndarray]:
    """Spikes, their counts uint16 (N, H, W, C) and the last membranes int32, of one population."""
    steps = net.steps
    channels, height, width = net.network.shape(population.name)
    fired = PackedSpikes.empty(samples * steps, height, width, channels)
    counts = np.zeros((samples, height, width, channels), np.uint16)
    membrane = np.empty((samples, height, width, channels), np.int32)
    bias = net.bias(population.name).astype(np.int32)
    rows = sums.rows_at_once(steps)
    blocks = -(-height // rows)

    def work(first: int, last: int) -> None:
        for sample, block in (divmod(index, blocks) for index in range(first, last)):
            top = block * rows
            bottom = min(top + rows, height)
            respond_to_sums(
                sums.sums(seen, steps, sample * steps, (top, bottom)),
                sums.offset,
                np.int32(STATE_SCALE * sums.scale),
                bias,
                np.int32(DECAY_UNITY - population.current_decay),
                np.int32(DECAY_UNITY - population.voltage_decay),
                np.int32(STATE_SCALE * net.threshold(population)),
                population.reset == "soft",
                fired.words,
                counts[sample],
                membrane[sample],
                sample * steps,
                top,
            )

    over_blocks(samples * blocks, work, block=1)
    return fired, counts, membrane
