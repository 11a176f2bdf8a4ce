"""Values of a `.net` file as those of a network that trains, where they are still the same layer.

Export folds norms into weights, sums layers up that only add, and unrolls integer neurons, so the
file holds another network. A layer is taken where all that arrives there arrives as it does in the
network that trains: the same projections, from the same nodes, by the same operators. Its weights
are the integers times their unit, the norm is gone, and its shift is the bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lavaseg.network import STATE_SCALE, Current, Node, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.levels import SUM, integer_neurons
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.transfer.layers import Key


@dataclass(frozen=True)
class Floats:
    """What a network that trains may take of an integer network.

    Args:
        values: in its trained units.
        merged: its layers that export has merged with others, so that nothing fits there.
        others: populations of the integer network that it does not have.
    """

    values: dict[Key, np.ndarray]
    merged: frozenset[str]
    others: tuple[str, ...]


def values_of(net: IntegerNetwork, model: SpikingNetwork) -> Floats:
    """Float values for a model, which may have other classes and another size."""
    return _Integers(net, model).found()


class _Integers:
    """An integer network, with the nodes of its integer neurons under one name."""

    def __init__(self, net: IntegerNetwork, model: SpikingNetwork) -> None:
        self.net, self.target = net, model.network
        self.neurons = {
            n.sum.removesuffix(SUM): n for n in integer_neurons(net.network, net.weights)
        }
        members = {part: name for name, item in self.neurons.items() for part in item.members}
        own = {p.name for p in self.target.projections}
        self.projections = {p.name: p for p in net.network.projections if p.shares is None}
        self.arriving: dict[str, dict[str, str]] = {}
        for p in self.projections.values():
            source, target = (members.get(end, end) for end in (p.source, p.target))
            if p.name in own or source != target or target not in self.neurons:
                self.arriving.setdefault(target, {})[p.name] = source

    def found(self) -> Floats:
        values: dict[Key, np.ndarray] = {}
        merged, names = set(), {node.name for node in self.target.nodes}
        for node in self.target.nodes:
            if not self._weighted(node):
                continue
            if isinstance(node, Population) and self._is_same(node):
                values |= self._layer(node)
            else:
                merged.add(node.name)
        populations = {p.name for p in self.net.network.populations} | self.neurons.keys()
        others = (name for name in self.arriving if name in populations - names)
        return Floats(values, frozenset(merged), tuple(others))

    def _weighted(self, node: Node) -> list[Projection]:
        """The projections into a node that have weights of their own."""
        incoming = self.target.incoming(node.name)
        return [p for p in incoming if p.shares is None and self.target.weight_shape(p) is not None]

    def _is_same(self, node: Population) -> bool:
        """Whether what arrives at a node is what arrives at it in the integer network."""
        incoming = [p for p in self.target.incoming(node.name) if p.shares is None]
        sources = {p.name: p.source for p in incoming}
        if any(
            name != self.target.input.name and isinstance(self.target[name], Current)
            for name in sources.values()
        ):
            return False  # in integers it is a relay, which counts otherwise
        return self.arriving.get(node.name) == sources and all(
            type(self.projections[p.name].operator) is type(p.operator) for p in incoming
        )

    def _layer(self, node: Population) -> dict[Key, np.ndarray]:
        net, name, unit = self.net, node.name, self._unit(node)
        values: dict[Key, np.ndarray] = {}
        for p in self._weighted(node):
            first = p.source == self.target.input.name
            scale = unit * (net.network.input.max_message if first else 1)
            values["weight", p.name] = net.weights[p.name] * scale
        held = self.neurons[name].slots[0] if name in self.neurons else name
        if held in net.biases:
            values["bias", name] = net.biases[held].state_units / STATE_SCALE * unit
        if held in net.clocks:
            values["clock", name] = net.clocks[held] * unit
        return values

    def _unit(self, node: Population) -> float:
        """Trained units of one weight unit; of a file that does not say, by the thresholds.

        Export chooses scales with which thresholds are whole, so that both are the same.
        """
        slots = self.neurons[node.name].slots if node.name in self.neurons else ()
        held = self.net.network[slots[0] if slots else node.name]
        if held.name in self.net.scales:
            return 1 / self.net.scales[held.name]
        threshold = held.threshold if isinstance(held, Population) else None
        if threshold is None or node.threshold is None:
            return 1.0
        # of integer neurons the first slot fires above half of the threshold, also of one level
        return node.threshold / (2 * threshold if slots or node.levels == 1 else threshold)
