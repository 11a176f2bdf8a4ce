"""The description: a spiking network as data, from which every stage works.

A network is a directed graph, acyclic but for populations that feed back to themselves. Its nodes
are an `Input`, `Population`s of CUBA-LIF neurons, `Current`s (sums of input current without a
neuron) and `Relay`s (such sums, sent on as graded spikes); its edges are `Projection`s, each one
linear operator from the spikes of one node to the input current of another. Several projections
into one node add up: that alone gives concatenation (one convolution a branch), skip connections
and residuals.

Only what cannot be derived is stored: shapes, latencies, parameter and operation counts are
computed from it. Shapes are (channels, height, width) everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from lavaseg.network.base import NetworkError, Shape
from lavaseg.network.checks import check_shared, check_structure
from lavaseg.network.geometry import Geometry
from lavaseg.network.nodes import Current, Input, Node, Population, Projection, Relay
from lavaseg.network.notebook import html, in_brief
from lavaseg.network.operators import OPERATORS

_IF_GIVEN = ("shares", "levels", "crop", "max_delay")
"""Fields that plain data leave out where they are at their defaults."""


@dataclass(frozen=True)
class Network:
    """A validated description; every shape, order and latency is derived from it.

    Args:
        input: the sheet that the host feeds.
        nodes: populations and currents, in any order.
        projections: the edges; they must form a directed acyclic graph, but for recurrent ones.
        readout: the population whose membrane is read after the last step.
        auxiliaries: further read-outs, smaller or as large, whose error is added to the loss
            while training (deep supervision); export drops them and what only they read. One of a
            single channel is trained on boundaries between classes, the others on classes.

    Raises:
        NetworkError: a name is used twice or unknown, shapes disagree, there is a cycle, or a
            node has no input.
    """

    input: Input
    nodes: tuple[Node, ...]
    projections: tuple[Projection, ...]
    readout: str
    auxiliaries: tuple[str, ...] = ()
    shapes: Mapping[str, Shape] = field(init=False, repr=False, compare=False, hash=False)

    def __repr__(self) -> str:
        return f"Network({in_brief(self)})"

    def _repr_html_(self) -> str:
        return html(self, repr(self))

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "projections", tuple(self.projections))
        object.__setattr__(self, "auxiliaries", tuple(self.auxiliaries))
        check_structure(self)
        object.__setattr__(self, "shapes", self._derive_shapes())
        check_shared(self)

    def _derive_shapes(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {self.input.name: self.input.shape}
        for node in self.ordered:
            found: dict[str, Shape] = {}
            for projection in sorted(self.incoming(node.name), key=lambda p: p.recurrent):
                own = next(iter(found.values())) if projection.recurrent else None
                source = own or shapes[projection.source]
                try:
                    shape = projection.operator.output_shape(source)
                except NetworkError as error:
                    raise NetworkError(f"projection {projection.name!r}: {error}") from None
                if min(shape) < 1:
                    raise NetworkError(
                        f"projection {projection.name!r}: {projection.operator.kind} maps "
                        f"{projection.source} {source} to an empty sheet {shape}"
                    )
                delay = projection.delay
                if isinstance(delay, tuple) and len(delay) != source[0]:
                    raise NetworkError(
                        f"projection {projection.name!r}: it has {len(delay)} delays, expected one "
                        f"for each of the {source[0]} channels of {projection.source}, or one "
                        "for all"
                    )
                found[projection.name] = shape
            if len(set(found.values())) > 1:
                listed = ", ".join(f"{name} gives {shape}" for name, shape in found.items())
                raise NetworkError(f"population {node.name!r} gets different shapes: {listed}")
            shapes[node.name] = next(iter(found.values()))
        return shapes

    @cached_property
    def populations(self) -> tuple[Population, ...]:
        """All populations, in the order given."""
        return tuple(node for node in self.nodes if isinstance(node, Population))

    @cached_property
    def senders(self) -> tuple[Population | Relay, ...]:
        """All nodes that send spikes, the input left out: populations and relays, as given."""
        return tuple(node for node in self.nodes if not isinstance(node, Current))

    @cached_property
    def ordered(self) -> tuple[Node, ...]:
        """Nodes in topological order (sources first; ties in the order given)."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            found[node.name] = [p.source for p in self.incoming(node.name) if not p.recurrent]
            if not found[node.name]:
                raise NetworkError(f"population {node.name!r} has no incoming projection")
        depth: dict[str, int] = {}
        try:
            for name in TopologicalSorter(found).static_order():
                depth[name] = 1 + max((depth[source] for source in found.get(name, ())), default=0)
        except CycleError as error:
            raise NetworkError("cycle through " + ", ".join(sorted(set(error.args[1])))) from None
        return tuple(sorted(self.nodes, key=lambda node: depth[node.name]))

    def __getitem__(self, name: str) -> Node:
        """The population, current or relay called `name`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def incoming(self, name: str) -> tuple[Projection, ...]:
        """Projections into `name`, in the order given."""
        return self._incoming.get(name, ())

    @cached_property
    def _incoming(self) -> dict[str, tuple[Projection, ...]]:
        """Projections by target."""
        found: dict[str, tuple[Projection, ...]] = {}
        for projection in self.projections:
            found[projection.target] = (*found.get(projection.target, ()), projection)
        return found

    def outgoing(self, name: str) -> tuple[Projection, ...]:
        """Projections from `name`, in the order given."""
        return tuple(p for p in self.projections if p.source == name)

    def projection(self, name: str) -> Projection:
        """The projection called `name`."""
        for projection in self.projections:
            if projection.name == name:
                return projection
        raise KeyError(name)

    def shape(self, name: str) -> Shape:
        """(channels, height, width) of a node."""
        return self.shapes[name]

    def neurons(self, name: str) -> int:
        """Number of neurons of a node."""
        channels, height, width = self.shapes[name]
        return channels * height * width

    def most_spikes(self, name: str) -> int:
        """Spikes that a neuron of a node counts for at a step, at most; graded ones count as 1."""
        node = None if name == self.input.name else self[name]
        return node.max_message if isinstance(node, Population) else 1

    def geometry(self, projection: Projection) -> Geometry:
        """The connections of a projection.

        Raises:
            NetworkError: its operator only trains and has no such form.
        """
        return projection.operator.geometry(self.shapes[projection.source])

    def weight_shape(self, projection: Projection) -> tuple[int, ...] | None:
        """Shape of a projection's weights; None where the operator has none."""
        return projection.operator.weight_shape(self.shapes[projection.source])

    def synapse_shape(self, projection: Projection) -> tuple[int, ...]:
        """Shape of what hardware stores for a projection: its weights, or its gain.

        An operator without trained weights has a gain for each channel, (channels,), that all its
        synapses share: 1 while training; an even number once the network is integer, since
        Loihi's mixed-sign synapses hold no 1.
        """
        shape = self.weight_shape(projection)
        return self.shapes[projection.source][:1] if shape is None else shape

    def synapse_count(self, projection: Projection) -> int:
        """Weights or gains of a projection, those that its places share counted once."""
        return math.prod(self.synapse_shape(projection))

    def dense_macs(self, projection: Projection) -> int:
        """Multiply-accumulates of one dense pass through a projection."""
        return projection.operator.macs(self.shapes[projection.source])

    @cached_property
    def latencies(self) -> Mapping[str, int]:
        """Steps on hardware from the input to each node, on the longest path.

        Each population or relay adds one step; a `Current` adds none, since export unrolls it.
        Delays add none: a spike of step t - delay has that many steps more until it is due. Where
        channels differ in delay and some have none, one step more gathers them in one sheet. A
        population that feeds back is at least two steps late, so that it can be silenced before
        it begins.
        """
        latency = {self.input.name: 0}
        for node in self.ordered:
            incoming = self.incoming(node.name)
            arrival = max(latency[p.source] + self._gathers(p) for p in incoming if not p.recurrent)
            if any(p.recurrent for p in incoming):
                arrival = max(arrival, 1)
            latency[node.name] = arrival + (not isinstance(node, Current))
        return latency

    def _gathers(self, projection: Projection) -> bool:
        """Whether a projection's spikes pass relays even where a channel has no delay."""
        late = projection.by_channel and projection.shortest == 0
        return late and projection.source != self.input.name

    def lag(self, projection: Projection) -> int:
        """Steps by which a projection's path on hardware is shorter than the longest one.

        Defined for networks without `Current`s; -1 from a population to itself.
        """
        return self.latencies[projection.target] - 1 - self.latencies[projection.source]

    @cached_property
    def waits(self) -> Mapping[str, int]:
        """Steps that each projection's spikes wait on hardware, by the projection's name.

        The projection's own delay, that of its latest channel, plus its `lag`.
        """
        return {p.name: self.lag(p) + p.longest for p in self.projections}

    @property
    def latency(self) -> int:
        """Steps from the input to the read-out."""
        return self.latencies[self.readout]

    @property
    def is_sequence(self) -> bool:
        """Whether the network is a chain of populations, as stock NetX can load it.

        Each may feed back to itself.
        """
        chain = [self.input.name, *(node.name for node in self.ordered)]
        return (
            all(isinstance(node, Population) for node in self.nodes)
            and sum(not p.recurrent for p in self.projections) == len(self.nodes)
            and all(
                (p.source, p.target) == (source, target)
                for source, target in pairwise(chain)
                for p in self.incoming(target)
                if not p.recurrent
            )
        )

    def macs(self) -> int:
        """Multiply-accumulates of one dense pass through all projections."""
        return sum(map(self.dense_macs, self.projections))

    def weight_count(self) -> int:
        """Synaptic weights, shared ones counted once; norms and biases not included."""
        return sum(
            self.synapse_count(p)
            for p in self.projections
            if self.weight_shape(p) is not None and p.shares is None
        )

    def parameter_count(self, steps: int = 1) -> int:
        """Weights, plus what norms, biases and clocks add for each channel.

        Args:
            steps: T; a norm or clock with values of its own for each step has T of them.
        """
        of_norm = {"none": 0, "batch": 2, "bntt": steps, "bntt_shift": 1 + steps}
        total = self.weight_count()
        for node in self.nodes:
            clock = steps if isinstance(node, Population) and node.clock else 0
            total += self.shapes[node.name][0] * (of_norm[node.norm] + node.bias + clock)
        return total

    def replace_nodes(self, changes: Mapping[str, Mapping[str, Any]]) -> Network:
        """A copy in which the named nodes have the given fields changed."""
        nodes = tuple(
            dataclasses.replace(node, **changes[node.name]) if node.name in changes else node
            for node in self.nodes
        )
        return dataclasses.replace(self, nodes=nodes)

    def without_auxiliaries(self) -> Network:
        """The part of the network that its read-out depends on."""
        if not self.auxiliaries:
            return self
        needed = {self.readout}
        for node in reversed(self.ordered):
            if node.name in needed:
                needed |= {p.source for p in self.incoming(node.name)}
        return dataclasses.replace(
            self,
            nodes=tuple(node for node in self.nodes if node.name in needed),
            projections=tuple(p for p in self.projections if p.target in needed),
            auxiliaries=(),
        )

    # -- plain data, for files ---------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, for JSON; `Network.from_dict` is its inverse."""

        def plain(item: Any) -> dict[str, Any]:
            return {
                f.name: list(value) if isinstance(value := getattr(item, f.name), tuple) else value
                for f in dataclasses.fields(item)
                if f.name not in _IF_GIVEN or getattr(item, f.name) != f.default
            }

        return {
            "input": plain(self.input),
            "nodes": [{"node": type(n).__name__.lower(), **plain(n)} for n in self.nodes],
            "projections": [
                {
                    **plain(p),
                    "operator": {"kind": p.operator.kind, **plain(p.operator)},
                }
                for p in self.projections
            ],
            "readout": self.readout,
            **({"auxiliaries": list(self.auxiliaries)} if self.auxiliaries else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Network:
        """The network that `to_dict` wrote.

        Raises:
            NetworkError: an unknown kind or field, or a contradiction in the description.
        """
        kinds: dict[str, type[Node]] = {
            "population": Population,
            "current": Current,
            "relay": Relay,
        }
        try:
            nodes, projections = [], []
            for item in data["nodes"]:
                fields = dict(item)
                kind = fields.pop("node")
                if kind not in kinds:
                    raise NetworkError(
                        f"unknown node type {kind!r}; expected one of {', '.join(kinds)}"
                    )
                nodes.append(kinds[kind](**fields))
            for item in data["projections"]:
                fields = dict(item)
                operator = dict(fields.pop("operator"))
                kind = operator.pop("kind")
                if kind not in OPERATORS:
                    raise NetworkError(
                        f"unknown operator {kind!r}; expected one of {', '.join(OPERATORS)}"
                    )
                projections.append(Projection(operator=OPERATORS[kind](**operator), **fields))
            return cls(
                Input(**data["input"]),
                tuple(nodes),
                tuple(projections),
                data["readout"],
                tuple(data.get("auxiliaries", ())),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise NetworkError(f"not a network description: {error}") from error
