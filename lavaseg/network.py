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
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

from lavaseg.errors import LavasegError

Shape = tuple[int, int, int]
Size = tuple[int, int]
NormKind = Literal["none", "batch", "bntt", "bntt_shift"]

DECAY_UNITY = 4096
"""Decays are integers in 1/4096: 0 keeps the state for ever, 4096 forgets it at every step."""

NORMS: tuple[str, ...] = get_args(NormKind)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class NetworkError(LavasegError):
    """A description that contradicts itself; the message names the population and the shapes."""


def _pair(value: int | Iterable[int], what: str, least: int) -> Size:
    """`value` as (height, width), each at least `least`."""
    pair = (value, value) if isinstance(value, int) else tuple(int(i) for i in value)
    if len(pair) != 2 or min(pair) < least:
        raise NetworkError(f"{what} must be one or two integers of at least {least}, got {value}")
    return pair


# --------------------------------------------------------------------------------------------
# Operators: the linear maps that a projection can be


@dataclass(frozen=True)
class Conv:
    """2-D convolution (cross-correlation, as in torch) with zero padding and no bias.

    Args:
        channels: output channels.
        kernel, stride, padding, dilation: one integer, or (height, width).
        groups: input and output channels are split into so many independent groups.
    """

    kind: ClassVar[str] = "conv"
    channels: int
    kernel: Size = (3, 3)
    stride: Size = (1, 1)
    padding: Size = (0, 0)
    dilation: Size = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            object.__setattr__(self, name, _pair(getattr(self, name), f"conv {name}", least))
        if self.channels < 1 or self.groups < 1 or self.channels % self.groups:
            raise NetworkError(
                f"conv channels ({self.channels}) must be a positive multiple of groups "
                f"({self.groups})"
            )

    def output_shape(self, source: Shape) -> Shape:
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                source[1:], self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return self.channels, height, width

    def weight_shape(self, source: Shape) -> tuple[int, ...]:
        """(out channels, in channels / groups, kernel height, kernel width)."""
        if source[0] % self.groups:
            raise NetworkError(f"{source[0]} channels cannot be split into {self.groups} groups")
        return self.channels, source[0] // self.groups, *self.kernel

    def macs(self, source: Shape) -> int:
        """Multiply-accumulates of one dense pass, zero padding included (the papers' count)."""
        _, height, width = self.output_shape(source)
        out, fan, kh, kw = self.weight_shape(source)
        return out * fan * kh * kw * height * width


@dataclass(frozen=True)
class ConvTranspose:
    """2-D transposed convolution (as in torch) without bias."""

    kind: ClassVar[str] = "conv_transpose"
    channels: int
    kernel: Size = (3, 3)
    stride: Size = (1, 1)
    padding: Size = (0, 0)
    output_padding: Size = (0, 0)
    dilation: Size = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("kernel", 1),
            ("stride", 1),
            ("padding", 0),
            ("output_padding", 0),
            ("dilation", 1),
        ):
            value = _pair(getattr(self, name), f"transposed conv {name}", least)
            object.__setattr__(self, name, value)
        if self.channels < 1 or self.groups < 1 or self.channels % self.groups:
            raise NetworkError(
                f"transposed conv channels ({self.channels}) must be a positive multiple of "
                f"groups ({self.groups})"
            )

    def output_shape(self, source: Shape) -> Shape:
        height, width = (
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, k, s, p, o, d in zip(
                source[1:],
                self.kernel,
                self.stride,
                self.padding,
                self.output_padding,
                self.dilation,
                strict=True,
            )
        )
        return self.channels, height, width

    def weight_shape(self, source: Shape) -> tuple[int, ...]:
        """(in channels, out channels / groups, kernel height, kernel width), as in torch."""
        if source[0] % self.groups:
            raise NetworkError(f"{source[0]} channels cannot be split into {self.groups} groups")
        return source[0], self.channels // self.groups, *self.kernel

    def macs(self, source: Shape) -> int:
        """Multiply-accumulates of one dense pass: every input pixel meets the whole kernel."""
        fan_in, out, kh, kw = self.weight_shape(source)
        return fan_in * out * kh * kw * source[1] * source[2]


@dataclass(frozen=True)
class Dense:
    """All-to-all connections from a flattened (C, H, W) sheet to `features` neurons."""

    kind: ClassVar[str] = "dense"
    features: int

    def __post_init__(self) -> None:
        if self.features < 1:
            raise NetworkError(f"dense features must be at least 1, got {self.features}")

    def output_shape(self, source: Shape) -> Shape:
        return self.features, 1, 1

    def weight_shape(self, source: Shape) -> tuple[int, ...]:
        """(features, C, H, W): the kernel that sees the whole source sheet."""
        return self.features, *source

    def macs(self, source: Shape) -> int:
        return self.features * source[0] * source[1] * source[2]


@dataclass(frozen=True)
class OneToOne:
    """Each neuron to the neuron at the same place: skips and residual sums.

    No trained weights: training uses 1, hardware one gain for each channel.
    """

    kind: ClassVar[str] = "one_to_one"

    def output_shape(self, source: Shape) -> Shape:
        return source

    def weight_shape(self, source: Shape) -> None:
        return None

    def macs(self, source: Shape) -> int:
        return source[0] * source[1] * source[2]


@dataclass(frozen=True)
class SumPool:
    """Sum over windows with zero padding, without trained weights (hardware: a gain a channel).

    Args:
        average: divide by the window's size, padding included (torch's count_include_pad=True).
    """

    kind: ClassVar[str] = "sum_pool"
    kernel: Size = (2, 2)
    stride: Size = (2, 2)
    padding: Size = (0, 0)
    average: bool = False

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0)):
            object.__setattr__(self, name, _pair(getattr(self, name), f"pool {name}", least))

    def output_shape(self, source: Shape) -> Shape:
        _, height, width = Conv(1, self.kernel, self.stride, self.padding).output_shape(source)
        return source[0], height, width

    def weight_shape(self, source: Shape) -> None:
        return None

    def macs(self, source: Shape) -> int:
        channels, height, width = self.output_shape(source)
        return channels * height * width * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True)
class Upsample:
    """Nearest-neighbour upsampling by an integer factor (hardware: a gain for each channel)."""

    kind: ClassVar[str] = "upsample"
    factor: Size = (2, 2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", _pair(self.factor, "upsample factor", 1))

    def output_shape(self, source: Shape) -> Shape:
        return source[0], source[1] * self.factor[0], source[2] * self.factor[1]

    def weight_shape(self, source: Shape) -> None:
        return None

    def macs(self, source: Shape) -> int:
        channels, height, width = self.output_shape(source)
        return channels * height * width


@dataclass(frozen=True)
class Resize:
    """Bilinear resize with aligned corners, to any size (torch's align_corners=True).

    It trains only: its weights are fractions that differ from place to place.

    Args:
        size: (height, width) of the result.
    """

    kind: ClassVar[str] = "resize"
    size: Size

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _pair(self.size, "resize size", 1))

    def output_shape(self, source: Shape) -> Shape:
        return source[0], *self.size

    def weight_shape(self, source: Shape) -> None:
        return None

    def macs(self, source: Shape) -> int:
        """Two rows by two columns for each output."""
        channels, height, width = self.output_shape(source)
        return 4 * channels * height * width


Operator = Conv | ConvTranspose | Dense | OneToOne | SumPool | Upsample | Resize
OPERATORS: dict[str, type[Operator]] = {
    op.kind: op for op in (Conv, ConvTranspose, Dense, OneToOne, SumPool, Upsample, Resize)
}
"""All of them, by their names in files."""


def why_not_integer(operator: Operator) -> str | None:
    """What keeps an operator's synapses from being integers, or None."""
    if isinstance(operator, SumPool) and operator.average:
        return "averages are not integers"
    if isinstance(operator, Resize):
        return "a bilinear resize has fractions as weights, which differ from place to place"
    return None


# --------------------------------------------------------------------------------------------
# Nodes and edges


@dataclass(frozen=True)
class Input:
    """The sheet of axons that the host feeds.

    Args:
        name: how projections refer to it.
        shape: (channels, height, width).
        message_bits: 0 for binary spikes, 1 to 24 for graded spikes of 0 .. 2**bits - 1.
    """

    name: str
    shape: Shape
    message_bits: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(i) for i in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise NetworkError(
                f"input {self.name!r}: shape must be three positive integers "
                f"(channels, height, width), got {self.shape}"
            )
        if not 0 <= self.message_bits <= 24:
            raise NetworkError(
                f"input {self.name!r}: message_bits must be 0 to 24, got {self.message_bits}"
            )

    @property
    def max_message(self) -> int:
        """The largest value that one spike carries (1 for binary spikes)."""
        return 2**self.message_bits - 1 if self.message_bits else 1


@dataclass(frozen=True)
class Population:
    """A sheet of current-based leaky integrate-and-fire neurons (Loihi's CUBA-LIF).

    At each step, with a the sum of all projections and d_u, d_v the decays / 4096::

        u <- (1 - d_u) u + a
        v <- (1 - d_v) v + u + bias
        s <- v > threshold;  v <- 0 where s (hard reset), or v - threshold (soft reset)

    Args:
        name: letters, digits and underscores.
        threshold: firing threshold, in the unit of the weights: any positive number while
            training, the 17-bit mantissa once the network is integer. None: the neuron never
            fires and its membrane accumulates (a read-out).
        current_decay, voltage_decay: integers in 1/4096, 0 .. 4096.
        reset: "hard" (what Loihi's built-in neuron does) or "soft" (trains, but cannot deploy).
        norm: of u before it enters v, for each channel. "batch": over samples, time and space
            (threshold-dependent BN, tdBN, is this with its scale initialised to the threshold);
            folded into weights and bias on export. "bntt": statistics and scale of their own for
            each step; trains, but cannot deploy. "bntt_shift": means and shifts of their own for
            each step, one scale; export folds it into weights, bias and clock.
        bias: a learnable bias for each channel.
        norm_scale: where the norm's scale starts, in the unit of the weights: tdBN's
            alpha * threshold. None: the threshold, or 1 for a population that never fires.
        clock: a learnable input current for each channel at each step of a sample, added to a.
            On hardware, T axons that fire in turn bring it.
    """

    name: str
    threshold: float | None = 1.0
    current_decay: int = DECAY_UNITY
    voltage_decay: int = 0
    reset: Literal["hard", "soft"] = "hard"
    norm: NormKind = "none"
    bias: bool = False
    norm_scale: float | None = None
    clock: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None and not self.threshold > 0:
            raise NetworkError(
                f"population {self.name!r}: threshold must be positive, got {self.threshold}"
            )
        for what in ("current_decay", "voltage_decay"):
            value = getattr(self, what)
            if not isinstance(value, int) or not 0 <= value <= DECAY_UNITY:
                raise NetworkError(
                    f"population {self.name!r}: {what} must be an integer from 0 to "
                    f"{DECAY_UNITY}, got {value!r}"
                )
        if self.reset not in ("hard", "soft"):
            raise NetworkError(
                f"population {self.name!r}: reset must be 'hard' or 'soft', got {self.reset!r}"
            )
        _check_norm(self)


@dataclass(frozen=True)
class Current:
    """A sum of input currents without a neuron: a residual stream that never spikes.

    Training computes it once a step; export unrolls it into direct projections.

    Args:
        norm, bias: as of a population.
        norm_scale: where the norm's scale starts; None: 1. A residual branch whose last norm
            starts at 0 adds nothing at first.
    """

    name: str
    norm: NormKind = "none"
    bias: bool = False
    norm_scale: float | None = None

    def __post_init__(self) -> None:
        _check_norm(self)


def _check_norm(node: Population | Current) -> None:
    where = f"{type(node).__name__.lower()} {node.name!r}"
    if node.norm not in NORMS:
        raise NetworkError(f"{where}: norm must be one of {', '.join(NORMS)}, got {node.norm!r}")
    if node.norm_scale is not None and not 0 <= node.norm_scale < math.inf:
        raise NetworkError(
            f"{where}: norm_scale must be a number of at least 0, got {node.norm_scale}"
        )


@dataclass(frozen=True)
class Relay:
    """A sheet that sends the sum of its input current on at each step, as a graded spike.

    What a `Current` becomes on hardware where it only counts spikes (sums over windows, nearest
    upsampling) and the next operator cannot take it over exactly, such as average pooling in front
    of a padded convolution. It remembers nothing. Lava: GradedVec with threshold 0.
    """

    name: str
    norm: ClassVar[Literal["none"]] = "none"
    norm_scale: ClassVar[None] = None
    bias: ClassVar[Literal[False]] = False


@dataclass(frozen=True)
class Projection:
    """One linear operator from the spikes of `source` to the input current of `target`.

    Args:
        source, target: node names.
        operator: the linear map.
        delay: logical steps before a spike takes effect, 0 .. 62: the target sees at step t what
            the source emitted at step t - delay of the same sample, and nothing at first; at
            least 1 from a population to itself. How long spikes wait on hardware, where paths
            differ in length, is derived: see `Network.waits`.
        name: identifies its weights; by default "source_to_target".
    """

    source: str
    target: str
    operator: Operator
    delay: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.source}_to_{self.target}")
        if not isinstance(self.delay, int) or not 0 <= self.delay <= 62:
            raise NetworkError(
                f"projection {self.name!r}: delay must be 0 to 62 steps (the hardware's limit), "
                f"got {self.delay!r}"
            )
        if self.recurrent and not self.delay:
            raise NetworkError(
                f"projection {self.name!r} leads from {self.source!r} to itself: its delay must be "
                "at least 1 step"
            )

    @property
    def recurrent(self) -> bool:
        """Whether it leads from a population to itself."""
        return self.source == self.target


Node = Population | Current | Relay


@dataclass(frozen=True)
class Network:
    """A validated description; every shape, order and latency is derived from it.

    Args:
        input: the sheet that the host feeds.
        nodes: populations and currents, in any order.
        projections: the edges; they must form a directed acyclic graph, but for recurrent ones.
        readout: the population whose membrane is read after the last step.
        auxiliaries: further read-outs, smaller or as large, whose error is added to the loss
            while training (deep supervision); export drops them and what only they read.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "projections", tuple(self.projections))
        object.__setattr__(self, "auxiliaries", tuple(self.auxiliaries))
        self._check_names()
        object.__setattr__(self, "shapes", self._derive_shapes())

    def _check_names(self) -> None:
        names = [self.input.name, *(node.name for node in self.nodes)]
        for kind, group in (("node", names), ("projection", [p.name for p in self.projections])):
            for name in group:
                if not _NAME.fullmatch(name):
                    raise NetworkError(
                        f"{kind} name {name!r}: use letters, digits and underscores, starting "
                        "with a letter"
                    )
            for name, uses in sorted(Counter(group).items()):
                if uses > 1:
                    raise NetworkError(f"{kind} name {name!r} is used {uses} times")
        known = set(names)
        for projection in self.projections:
            for end in (projection.source, projection.target):
                if end not in known:
                    raise NetworkError(
                        f"projection {projection.name!r}: there is no node {end!r}; the nodes are "
                        + ", ".join(names)
                    )
            if projection.target == self.input.name:
                raise NetworkError(f"projection {projection.name!r} ends in the input")
        relays = {node.name for node in self.nodes if isinstance(node, Relay)}
        for projection in self.projections:
            if projection.source in relays and projection.delay:
                raise NetworkError(
                    f"projection {projection.name!r} leaves the relay {projection.source!r} with a "
                    f"delay of {projection.delay}: put the delay on the projections into the relay"
                )
        for node in self.nodes:
            plain = isinstance(node, Population) and node.norm == "none"
            if not plain and any(p.recurrent for p in self.incoming(node.name)):
                raise NetworkError(
                    f"node {node.name!r} feeds back to itself, which only a population without "
                    "batch norm can"
                )
        if self.readout not in {p.name for p in self.populations}:
            raise NetworkError(f"readout {self.readout!r} is not a population of the network")
        silent = {p.name for p in self.populations if p.threshold is None}
        for name in self.auxiliaries:
            if name not in silent or name == self.readout:
                raise NetworkError(
                    f"auxiliary read-out {name!r} must be another population that never fires "
                    "(threshold None)"
                )

    def _derive_shapes(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {self.input.name: self.input.shape}
        for node in self.ordered:
            found: dict[str, Shape] = {}
            for projection in sorted(self.incoming(node.name), key=lambda p: p.recurrent):
                own = next(iter(found.values())) if projection.recurrent else None
                source = own or shapes[projection.source]
                try:
                    projection.operator.weight_shape(source)
                    shape = projection.operator.output_shape(source)
                except NetworkError as error:
                    raise NetworkError(f"projection {projection.name!r}: {error}") from None
                if min(shape) < 1:
                    raise NetworkError(
                        f"projection {projection.name!r}: {projection.operator.kind} maps "
                        f"{projection.source} {source} to an empty sheet {shape}"
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

    @cached_property
    def latencies(self) -> Mapping[str, int]:
        """Steps on hardware from the input to each node, on the longest path.

        Each population or relay adds one step; a `Current` adds none, since export unrolls it.
        Delays add none: a spike of step t - delay has so many steps more until it is due. A
        population that feeds back is at least two steps late, so that it can be silenced before
        it begins.
        """
        latency = {self.input.name: 0}
        for node in self.ordered:
            incoming = self.incoming(node.name)
            arrival = max(latency[p.source] for p in incoming if not p.recurrent)
            if any(p.recurrent for p in incoming):
                arrival = max(arrival, 1)
            latency[node.name] = arrival + (not isinstance(node, Current))
        return latency

    @cached_property
    def waits(self) -> Mapping[str, int]:
        """Steps that each projection's spikes wait on hardware, by the projection's name.

        The projection's own delay, and what its path is shorter than the longest one into its
        target. Defined for networks without `Current`s.
        """
        return {
            p.name: self.latencies[p.target] - 1 - self.latencies[p.source] + p.delay
            for p in self.projections
        }

    @property
    def latency(self) -> int:
        """Steps from the input to the read-out."""
        return self.latencies[self.readout]

    @property
    def is_sequence(self) -> bool:
        """Whether it is a plain chain without delays: what stock NetX can load."""
        chain = [self.input.name, *(node.name for node in self.ordered)]
        return (
            all(isinstance(node, Population) for node in self.nodes)
            and len(self.projections) == len(self.nodes)
            and all(
                (p.source, p.target, p.delay) == (source, target, 0)
                for source, target in pairwise(chain)
                for p in self.incoming(target)
            )
        )

    def macs(self) -> int:
        """Multiply-accumulates of one dense pass through all projections."""
        return sum(p.operator.macs(self.shapes[p.source]) for p in self.projections)

    def weight_count(self) -> int:
        """Synaptic weights, shared ones counted once; norms and biases not included."""
        shapes = (self.weight_shape(projection) for projection in self.projections)
        return sum(math.prod(shape) for shape in shapes if shape is not None)

    def parameter_count(self, steps: int = 1) -> int:
        """Weights, plus what norms, biases and clocks add for each channel.

        Args:
            steps: T; a norm or clock with values of its own for each step has so many of them.
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
        """What the read-out depends on, alone."""
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
