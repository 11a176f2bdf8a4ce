"""Unroll levels: integer neurons become a relay that sums and binary populations that it drives.

Loihi's neuron resets to zero, so an integer cannot be spread over time. It is spread over neurons:
D memoryless populations, the slots, take the same sum one to one, and slot k fires above
(k + 1/2) threshold. As many of them spike as the integer says. What they send is either read by D
projections that share one set of weights ("binary"), or added up by another relay to one graded
message of ceil(log2(D + 1)) bits, so that the next projection is done once ("graded").

It comes after rounding: calibration and fine-tuning see one population with its levels, as training
did. It is exact in any unit; in integers, thresholds of populations with levels are even, so that
those of the slots are whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Network, Node, OneToOne, Population, Projection, Relay
from lavaseg.network.delays import Delay
from lavaseg.network.integers import IntegerNetwork, RoundedNetwork
from lavaseg.network.levels import SUM, Form, slots_of

Choice = Literal["auto", "binary", "graded"]
CHOICES: tuple[Choice, ...] = ("auto", "binary", "graded")
Values = TypeVar("Values")


def unroll_levels(net: RoundedNetwork, form: Choice = "auto") -> IntegerNetwork:
    """The integer network: every population with levels becomes relays and binary populations.

    Population p becomes the relay p_sum and the populations p_1 .. p_D; if its form is "graded",
    also the relay p, or one for each delay behind it. With one level it is a binary population
    alone, whose threshold is half of what it was.

    Args:
        net: in integers.
        form: of all; "auto" takes `cheaper_form` for each population.

    Raises:
        LavasegError: there is no such form, or a population cannot be unrolled; names it.
    """
    found = levels_unrolled(net.network, form)
    return IntegerNetwork(
        found.network,
        found.weights(net.weights),
        net.encoder,
        net.classes,
        found.of_populations(net.biases),
        found.scales(net.scales),
        found.of_populations(net.clocks),
    )


@dataclass(frozen=True)
class Unrolled:
    """A description without levels, and where the values of its parts come from.

    Args:
        network: without levels.
        slots: the populations that each population with levels became.
        sums: the relay in front of these; none with one level.
        relays: those that add them up; none in the form "binary".
    """

    network: Network
    slots: Mapping[str, tuple[str, ...]]
    sums: Mapping[str, str]
    relays: Mapping[str, tuple[str, ...]]

    def weights(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Weights of all projections, int16; those of relays hand on what arrives."""
        found = dict(given)
        for p in self.network.projections:
            if p.stored_as not in given:
                found[p.name] = np.ones(self.network.shape(p.source)[0], np.int16)
            elif p.shares:
                found[p.name] = given[p.shares]
        return found

    def of_populations(self, given: Mapping[str, Values]) -> dict[str, Values]:
        """What populations have, such as biases: every slot has that of its population."""
        found: dict[str, Values] = {}
        for name, values in given.items():
            found |= dict.fromkeys(self.slots.get(name, (name,)), values)
        return found

    def scales(self, given: Mapping[str, float]) -> dict[str, float]:
        """Weight units for each trained unit; what relays send behind slots are numbers alone."""
        found = self.of_populations(given)
        for name, relay in self.sums.items():
            if name in given:
                found[relay] = given[name]
                found |= dict.fromkeys(self.relays[name], 1.0)
        return found


def levels_unrolled(network: Network, form: Choice = "auto") -> Unrolled:
    """`unroll_levels` of a description alone, whose thresholds may have any unit.

    Raises:
        LavasegError: as of `unroll_levels`.
    """
    if form not in CHOICES:
        raise LavasegError(f"levels must be one of {', '.join(CHOICES)}, got {form!r}")
    levelled = [p for p in network.populations if p.levels is not None]
    if not levelled:
        return Unrolled(network, {}, {}, {})
    rest = _Unrolling(network)
    for population in levelled:
        if population.levels == 1:
            rest.halve(population)
        else:
            rest.unroll(population, cheaper_form(network, population) if form == "auto" else form)
    return rest.finished()


def cheaper_form(network: Network, population: Population) -> Form:
    """The form that takes fewer neurons and synapses together, counted for one population.

    "binary" stores the weights of the next projections D times, since no public source shows two
    projections that read one synaptic memory on Loihi 2, and spikes that wait do so in D relays.
    "graded" stores them once, and adds a relay to each neuron, for each delay behind it, with D
    synapses a channel.

    Args:
        network: with levels, without `Current`s.
    """
    levels = population.levels or 1
    channels, height, width = network.shape(population.name)
    outgoing = network.outgoing(population.name)
    stored = sum(map(network.synapse_count, outgoing))
    relays = len({p.delay for p in outgoing})
    waits = max((network.waits[p.name] for p in outgoing), default=0)
    waiting = 2 * waits * channels * height * width
    graded = stored + relays * (channels * height * width + levels * channels) + waiting
    return "binary" if levels * (stored + waiting) <= graded else "graded"


class _Unrolling:
    """A network while its levels are unrolled; it becomes a `Network` only at the end."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes = {node.name: [node] for node in network.nodes}
        self.projections = {p.name: [p] for p in network.projections}
        self.added: list[Projection] = []
        self.taken = set(network.shapes)
        self.named = set(self.projections)
        self.slots: dict[str, tuple[str, ...]] = {}
        self.sums: dict[str, str] = {}
        self.relays: dict[str, tuple[str, ...]] = {}

    def finished(self) -> Unrolled:
        """The network without levels."""
        nodes = tuple(node for parts in self.nodes.values() for node in parts)
        parts = (*self.projections.values(), self.added)
        network = dataclasses.replace(
            self.network, nodes=nodes, projections=tuple(p for part in parts for p in part)
        )
        return Unrolled(network, self.slots, self.sums, self.relays)

    def halve(self, population: Population) -> None:
        """One level is a spike above half of the threshold."""
        half = _odd_halves(population, 1)
        self._check(population)
        self.nodes[population.name] = [dataclasses.replace(population, levels=None, threshold=half)]
        self.slots[population.name] = (population.name,)

    def unroll(self, population: Population, form: Form) -> None:
        """A population becomes a relay, slots and, in the form "graded", relays behind them."""
        self._check(population)
        name, levels = population.name, population.levels
        assert levels is not None
        total = _free(name + SUM, self.taken)
        slots = [_free(slot, self.taken) for slot in slots_of(name, levels)]
        outgoing = self.network.outgoing(name)
        relays: dict[Delay, str] = {}
        if form == "graded":
            delays = {p.delay: p.longest for p in outgoing} or {0: 0}
            for delay in sorted(delays, key=lambda delay: (delays[delay], str(delay))):
                late = f"{name}_late{delays[delay]}"
                relays[delay] = _free(late, self.taken) if relays else name
        nodes: list[Node] = [Relay(total)]
        for k, slot in enumerate(slots):
            threshold = _odd_halves(population, 2 * k + 1)
            nodes.append(
                dataclasses.replace(population, name=slot, levels=None, threshold=threshold)
            )
        self.nodes[name] = [*nodes, *map(Relay, relays.values())]
        for p in self.network.incoming(name):
            self.projections[p.name] = [
                dataclasses.replace(part, target=total) for part in self.projections[p.name]
            ]
        for p in outgoing:
            (part,) = self.projections[p.name]
            if relays:
                changed = dataclasses.replace(part, source=relays[p.delay], delay=0)
                self.projections[p.name] = [changed]
            else:
                self.projections[p.name] = self._from_each(part, slots)
        self._hand_on([(total, slot, 0) for slot in slots])
        for delay, relay in relays.items():
            self._hand_on([(slot, relay, delay) for slot in slots])
        self.slots[name], self.sums[name] = tuple(slots), total
        self.relays[name] = tuple(relays.values())

    def _check(self, population: Population) -> None:
        if population.name in (self.network.readout, *self.network.auxiliaries):
            raise LavasegError(
                f"population {population.name!r} has levels {population.levels}, but it is the "
                "read-out, whose membrane is read: put a population without levels behind it"
            )

    def _from_each(self, projection: Projection, slots: list[str]) -> list[Projection]:
        """A projection from each slot; the first has the weights, which the others share."""
        first = dataclasses.replace(projection, source=slots[0])
        others = [
            dataclasses.replace(
                projection,
                source=slot,
                name=_free(f"{projection.name}_{k}", self.named),
                shares=projection.stored_as,
            )
            for k, slot in enumerate(slots[1:], 2)
        ]
        return [first, *others]

    def _hand_on(self, ways: list[tuple[str, str, Delay]]) -> None:
        """Projections one to one, from (source, to target, delay), that share a gain of 1."""
        first: str | None = None
        for source, target, delay in ways:
            name = _free(f"{source}_to_{target}", self.named)
            self.added.append(Projection(source, target, OneToOne(), delay, name, shares=first))
            first = first or name


def _odd_halves(population: Population, odd: int) -> float:
    """An odd multiple of half of the threshold: whole where that is even, exact in floats."""
    assert population.threshold is not None
    found = odd * population.threshold / 2
    return int(found) if population.threshold % 2 == 0 else found


def _free(name: str, taken: set[str]) -> str:
    """The name, or the first free one that begins so; it is taken then."""
    found, index = name, 1
    while found in taken:
        index += 1
        found = f"{name}_{index}"
    taken.add(found)
    return found
