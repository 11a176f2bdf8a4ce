"""The simulator of integer neurons: a relay, its slots and what adds them up, in one pass.

Slots take one sum and share what reads them, so that one number, how many of them spike, says all
that they do. It is computed once, and stands for them in front of the weights that they share.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.kernels.bits import PackedSpikes
from lavaseg.kernels.slots import levels_of_sums
from lavaseg.kernels.sums import InputSums
from lavaseg.network import STATE_SCALE, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork, hands_on
from lavaseg.network.levels import IntegerNeurons, incoming_by_weights, integer_neurons
from lavaseg.system.threads import over_blocks


@dataclass(frozen=True)
class Slots:
    """Integer neurons, ready to respond to sums.

    Args:
        relays: those that send the integers on in the same step; others are computed as relays.
        bias: int32 (1 or steps, channels), in state units, what a clock adds included.
        limits: int32 (levels,), thresholds in state units.
    """

    neurons: IntegerNeurons
    relays: tuple[str, ...]
    bias: np.ndarray
    limits: np.ndarray

    @property
    def folded(self) -> tuple[str, ...]:
        """The nodes that need no pass of their own."""
        return *self.neurons.slots, *self.relays


def foldable(net: IntegerNetwork) -> tuple[Slots, ...]:
    """The integer neurons whose slots have one bias and one clock, and are read together."""
    network, found = net.network, []
    for item in integer_neurons(network, net.weights):
        leaving = [p for slot in item.slots for p in network.outgoing(slot)]
        handed = [*network.outgoing(item.sum), *(p for p in leaving if p.target in item.relays)]
        targets = {p.target for p in leaving}
        if (
            all(hands_on(p, net.weights[p.name]) for p in handed)
            and all(_alike(net, item.slots[0], slot) for slot in item.slots)
            and all(
                _complete(group, item.slots)
                for target in targets
                for group in incoming_by_weights(network, target)
            )
        ):
            found.append(_slots(net, item))
    return tuple(found)


def _alike(net: IntegerNetwork, first: str, other: str) -> bool:
    """Whether two slots have the same bias and clock."""
    none = np.zeros(0)
    clocks = np.array_equal(net.clocks.get(first, none), net.clocks.get(other, none))
    return clocks and np.array_equal(net.bias(first), net.bias(other))


def _complete(group: Sequence[Projection], slots: tuple[str, ...]) -> bool:
    """Whether projections that are added up come from all slots or none of them."""
    sources = [p.source for p in group]
    return sorted(sources) == sorted(slots) or not set(sources) & set(slots)


def _slots(net: IntegerNetwork, item: IntegerNeurons) -> Slots:
    network, first = net.network, item.slots[0]
    bias = net.bias(first)[None]
    if first in net.clocks:
        bias = bias + STATE_SCALE * net.clocks[first].astype(np.int64)
    populations = [network[slot] for slot in item.slots]
    limits = [
        STATE_SCALE * net.threshold(slot) for slot in populations if isinstance(slot, Population)
    ]
    undelayed = (r for r in item.relays if all(p.delay == 0 for p in network.incoming(r)))
    return Slots(item, tuple(undelayed), bias.astype(np.int32), np.array(limits, np.int32))


def folded_inputs(
    network: Network, name: str, slots: Collection[str]
) -> list[tuple[Projection, ...]]:
    """The projections into a node, those from the slots of one sheet together; else one by one.

    Args:
        slots: of all sheets that are `foldable`.
    """
    found: list[tuple[Projection, ...]] = []
    for group in incoming_by_weights(network, name):
        found += [group] if group[0].source in slots else [(p,) for p in group]
    return found


def respond_with_slots(
    net: IntegerNetwork,
    slots: Slots,
    sums: InputSums,
    seen: Sequence[PackedSpikes],
    samples: int,
) -> tuple[PackedSpikes, dict[str, np.ndarray]]:
    """The integers as graded spikes, and the spikes of each node, uint16 (N, C, H, W)."""
    steps = net.steps
    channels, height, width = net.network.shape(slots.neurons.sum)
    sent = PackedSpikes(
        PackedSpikes.empty(samples * steps, height, width, channels).words,
        channels,
        np.empty((samples * steps, height, width, channels), np.uint8),
    )
    arrived = np.zeros((samples, height, width, channels), np.uint16)
    counts = np.zeros((samples, len(slots.limits), height, width, channels), np.uint16)
    rows = sums.rows_at_once(steps)
    blocks = -(-height // rows)

    def work(first: int, last: int) -> None:
        for sample, block in (divmod(index, blocks) for index in range(first, last)):
            top = block * rows
            levels_of_sums(
                sums.sums(seen, steps, sample * steps, (top, min(top + rows, height))),
                sums.offset,
                np.int32(sums.scale),
                slots.bias,
                slots.limits,
                sent.words,
                sent.messages,
                arrived[sample],
                counts[sample],
                sample * steps,
                top,
            )

    over_blocks(samples * blocks, work, block=1)
    found = {slots.neurons.sum: arrived}
    found |= {slot: counts[:, k] for k, slot in enumerate(slots.neurons.slots)}
    found |= dict.fromkeys(slots.relays, counts[:, 0])  # it sends where any slot spikes
    return sent, {name: count.transpose(0, 3, 1, 2) for name, count in found.items()}


def recorded_slots(
    net: IntegerNetwork,
    slots: Slots,
    sums: InputSums,
    seen: Sequence[PackedSpikes],
    sent: PackedSpikes,
    recorded: Sequence[str],
) -> dict[str, np.ndarray]:
    """What those nodes sent that are recorded, (N, T, C, H, W), as each sends it."""
    wanted = set(recorded) & {slots.neurons.sum, *slots.folded}
    if not wanted:
        return {}
    shape = (-1, net.steps, *net.network.shape(slots.neurons.sum))
    levels = sent.dense().reshape(shape)
    found = {}
    for k, slot in enumerate(slots.neurons.slots):
        if slot in wanted:
            found[slot] = (levels > k).astype(np.uint8)
    for relay in wanted & set(slots.relays):
        found[relay] = levels.astype(np.int32)
    if slots.neurons.sum in wanted:
        samples = len(levels)
        parts = [sums.integers(seen, net.steps, n * net.steps) for n in range(samples)]
        messages = np.stack(parts).transpose(0, 1, 4, 2, 3)
        found[slots.neurons.sum] = np.ascontiguousarray(messages)
    return found
