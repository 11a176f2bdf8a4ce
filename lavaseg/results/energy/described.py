"""The layers of a description as papers count them: dense MACs, and the spikes of their neurons.

Papers count the network that they draw. Unlike exact operations, these figures need no synapses
that hardware would hold, so that they exist for every spiking network: residual streams, average
pooling and resizes are left as they are described.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Current, Network, Population, Projection, Relay
from lavaseg.network.grids import fan_out
from lavaseg.network.levels import slots_of
from lavaseg.results.energy.devices import AC_PJ, MAC_PJ


@dataclass(frozen=True)
class DescribedLayer:
    """One projection with weights.

    Args:
        name, source, target, kind: names of the projection, of its two nodes and of its operator.
        macs: of one dense pass by the formula of Kim et al. 2022: zero padding included, a
            transposed convolution by its outputs.
        arriving: spikes of a neuron in one sample, of the neurons in front of the layer. Those in
            front of a sum are all neurons whose spikes reach it through sums.
        own: the same of the layer's own neurons (Kim et al.'s R_s); 0 for a read-out that never
            fires. A layer that ends in a sum has its neurons in front (pre-activation).
        graded: it reads the values of a graded input, as it is or pooled, so that it multiplies.
    """

    name: str
    source: str
    target: str
    kind: str
    macs: int
    arriving: float
    own: float
    graded: bool


@dataclass(frozen=True)
class DescribedWork:
    """The work of one sample of `steps` logical time steps, as papers count it.

    Args:
        network: the description.
        layers: its projections with weights, in its order.
    """

    network: Network
    steps: int
    layers: tuple[DescribedLayer, ...]

    @property
    def macs(self) -> int:
        """MACs of one dense pass, by Kim et al.'s formula."""
        return sum(layer.macs for layer in self.layers)

    @cached_property
    def real_pass(self) -> float | None:
        """Energy in pJ of one dense pass of the artificial network of this shape.

        Of the synapses that exist, border padding not charged: 4.6 pJ a MAC, 0.9 pJ an addition
        where there are no weights. None where an operator has no synapses to count.
        """
        if any(p.operator.trains_only for p in self.network.projections):
            return None
        return sum(
            int(fan_out(p.operator, self.network.shape(p.source)).sum())
            * (AC_PJ if self.network.weight_shape(p) is None else MAC_PJ)
            for p in self.network.projections
        )


def describe(
    network: Network, counts: Mapping[str, np.ndarray], samples: int, steps: int
) -> DescribedWork:
    """The work of a description in which spikes were measured.

    Args:
        network: any description, `Current`s and operators that only train included.
        counts: spikes summed over samples and steps, of the input and of each population that
            fires; arrays of any shape, as only their sums matter. Those of a population with
            levels may be given as those of the slots that it was exported as.
        samples: number of samples that were summed.
        steps: logical time steps T of one sample.

    Raises:
        LavasegError: spikes of a population are missing or impossible.
    """
    if samples < 1 or steps < 1:
        raise LavasegError(f"samples and steps must be at least 1, got {samples} and {steps}")
    rates = _Rates(network, counts, samples, steps)
    layers = tuple(
        DescribedLayer(
            name=p.name,
            source=p.source,
            target=p.target,
            kind=p.operator.kind,
            macs=_macs(network, p),
            arriving=rates.in_front(p.source),
            own=rates.of_layer(p),
            graded=_graded(network, p.source),
        )
        for p in network.projections
        if network.weight_shape(p) is not None
    )
    return DescribedWork(network, steps, layers)


def fires_as(network: Network, measured: Mapping[str, object]) -> bool:
    """Whether spikes of every population of a description that fires were measured."""
    return all(
        p.name in measured or _slots(p, measured)
        for p in network.populations
        if p.threshold is not None
    )


def _slots(population: Population, measured: Container[str]) -> tuple[str, ...]:
    """The slots that a population with levels became on export, if they were measured."""
    slots = slots_of(population.name, population.levels or 0)
    return slots if all(slot in measured for slot in slots) else ()


class _Rates:
    """Spikes of a neuron in one sample, of each node of a network."""

    def __init__(
        self, network: Network, counts: Mapping[str, np.ndarray], samples: int, steps: int
    ) -> None:
        self.network = network
        self.sums = {n.name: n for n in network.nodes if isinstance(n, Current)}
        silent = {p.name for p in network.populations if p.threshold is None}
        self.spikes = dict.fromkeys(silent, 0.0)
        levelled = {p.name: p for p in network.populations if p.levels is not None}
        for name in network.shapes.keys() - self.sums.keys() - silent:
            names = (_slots(levelled[name], counts) if name in levelled else ()) or (name,)
            if names[0] not in counts:
                raise LavasegError(f"spike counts of {name!r} are missing")
            total = sum(int(np.sum(counts[part])) for part in names)
            at_once = network.most_spikes(name)
            most = network.neurons(name) * samples * steps * at_once
            if not 0 <= total <= most:
                levels = "" if at_once == 1 else " x levels"
                raise LavasegError(
                    f"spike counts of {name!r} add up to {total}, possible are 0 to {most} "
                    f"(neurons x samples x steps{levels})"
                )
            self.spikes[name] = total / samples
        self.found: dict[str, float] = {}

    def in_front(self, name: str) -> float:
        """Of the neurons of a node; of those whose spikes reach a sum."""
        if name not in self.found:
            senders = self._senders(name)
            neurons = sum(map(self.network.neurons, senders))
            self.found[name] = sum(self.spikes[sender] for sender in senders) / neurons
        return self.found[name]

    def of_layer(self, projection: Projection) -> float:
        """Of a layer's own neurons, or of those in front where it has none."""
        ends_in_sum = projection.target in self.sums
        return self.in_front(projection.source if ends_in_sum else projection.target)

    def _senders(self, name: str) -> set[str]:
        """The node itself, or the nodes with spikes that reach a sum through sums alone."""
        found: set[str] = set()
        seen, open_ = {name}, [name]
        while open_:
            node = open_.pop()
            if node not in self.sums:
                found.add(node)
                continue
            sources = {p.source for p in self.network.incoming(node)} - seen
            seen |= sources
            open_ += sources
        return found


def _macs(network: Network, projection: Projection) -> int:
    """Dense MACs of a projection with weights, a transposed convolution by its outputs."""
    return network.dense_macs(projection) * math.prod(network.geometry(projection).enlarges)


def _graded(network: Network, name: str) -> bool:
    """Whether a node sends the values of a graded input, or of a relay."""
    if name == network.input.name:
        return network.input.graded
    node = network[name]
    if not isinstance(node, Current):
        return isinstance(node, Relay)
    arriving = network.incoming(name)
    return all(network.weight_shape(p) is None and _graded(network, p.source) for p in arriving)
