"""A network as the layers that a chip holds: populations, relays, waiting spikes, clocks.

These are the processes that `lavaseg/deploy/loihi2/chip_graph.py` puts on the chip, one layer for
each group of neurons, with the synapses that lead into it. Spikes wait in relays alone there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lavaseg.chip.period import padded
from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    Current,
    Dense,
    Network,
    OneToOne,
    Projection,
    Relay,
    SumPool,
)
from lavaseg.network.base import Shape
from lavaseg.network.delays import (
    MOST_RELAYS,
    Delay,
    DelayPlan,
    plan,
    row_groups,
    waiting,
)
from lavaseg.network.geometry import Geometry
from lavaseg.network.grids import fan_out, phase_kernel
from lavaseg.network.integers import IntegerNetwork

Kind = Literal["input", "population", "relay", "wait", "echo", "clock"]
Form = Literal["conv", "dense", "sparse"]

WEIGHT_BITS = 8
"""Bits of weights that are not known yet."""
REPLAY_BITS = 8
"""Bits that a buffer on the chip stores for each neuron and step."""


@dataclass(frozen=True)
class Synapses:
    """The synapses that lead from one layer into another.

    Args:
        name: of the projection, or what a helper does.
        source: name of the layer that sends.
        form: "conv" shares weights over the sheet; "dense" and "sparse" have an axon for each
            neuron that sends.
        geometry: the connections.
        channels: channels of the source that have synapses.
        bits: of a weight.
        passing: number of synapses that hand spikes on, one to a neuron, where their places follow
            no geometry; None: they do.
    """

    name: str
    source: str
    form: Form
    geometry: Geometry
    channels: int
    bits: int = WEIGHT_BITS
    passing: int | None = None

    @property
    def plain(self) -> bool:
        """Whether the compiler's public tables show synapses of this kind."""
        geometry = self.geometry
        whole = self.channels == geometry.source[0]
        shared = self.form == "conv" and geometry.groups == 1 and geometry.enlarges == (1, 1)
        return whole and (shared or self.form == "dense")

    @property
    def count(self) -> int:
        """Synapses one by one, as if no weight were shared."""
        if self.passing is not None:
            return self.passing
        outgoing = self.geometry.channels // self.geometry.groups * self.channels
        rows, columns = (len(a.links()[0]) for a in (self.geometry.rows, self.geometry.columns))
        return outgoing * rows * columns


@dataclass(frozen=True)
class ChipLayer:
    """One group of neurons and the synapses that lead into it.

    Args:
        name: of the node; helpers are named after what they serve.
        kind: what its neurons do. "wait": they pass spikes on one step later; "echo": they repeat
            a population that feeds back; "clock": a buffer that plays a sample's steps over and
            over; "input": such a buffer for the stimulus.
        shape: (channels, height, width).
        units: words of state that each neuron takes.
        incoming: the synapses that lead into it.
        repeats: the layer whose spikes it sends again, where these do not come from it directly.
    """

    name: str
    kind: Kind
    shape: Shape
    units: int = 1
    incoming: tuple[Synapses, ...] = ()
    repeats: str = ""

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        channels, height, width = self.shape
        return channels * height * width

    @property
    def flat(self) -> bool:
        """Whether its neurons have no places: all that reaches it are lists of axons."""
        return bool(self.incoming) and all(item.form != "conv" for item in self.incoming)

    @property
    def tabled(self) -> bool:
        """Whether public tables of the compiler show such a layer; else its cost is our model."""
        one = len(self.incoming) <= 1 and all(item.plain for item in self.incoming)
        return one and self.kind in ("population", "input")


def chip_layers(
    net: IntegerNetwork | Network, *, steps: int = 20, replay: bool = False
) -> tuple[ChipLayer, ...]:
    """The layers of a network, sources first.

    Args:
        net: without `Current`s, as export makes it; a network without weights is taken to have
            8-bit ones.
        steps: T of a sample, for a network that is not integer yet.
        replay: the input is played from buffers on the chip, not sent by the host.

    Raises:
        LavasegError: the network has a `Current`.
    """
    integer = net if isinstance(net, IntegerNetwork) else None
    network = integer.network if integer is not None else net
    assert isinstance(network, Network)
    for node in network.nodes:
        if isinstance(node, Current):
            raise LavasegError(
                f"current {node.name!r} has no neurons: export unrolls it, map the exported network"
            )
    steps = steps if integer is None else integer.steps
    waits = plan(network, steps, delay_synapses=False)
    return _Layers(network, integer, steps, waits, replay).build()


def weight_bits(weights: np.ndarray, mixed: bool | None = None) -> int:
    """Bits in which the chip stores a layer's weights: of the least exponent that keeps them.

    The rule of `optimize_weight_bits` in lava-nc's lava/utils/weightutils.py.

    Args:
        weights: integers.
        mixed: they are stored with a sign; None: if some are positive and some negative.
    """
    low, high = int(weights.min()), int(weights.max())
    if low == high == 0:
        return 1
    if mixed is None:
        mixed = low < 0 < high
    limits = (127, 128) if mixed else (255, 255)
    scale = min(limit / size for limit, size in zip(limits, (high, -low), strict=True) if size > 0)
    shift = int(np.floor(np.log2(scale))) + mixed
    together = int(np.bitwise_or.reduce(np.abs(weights.astype(np.int64)), axis=None))
    even = min((together & -together).bit_length() - 1, 8)
    return max(1, 8 - shift - (even - mixed))


@dataclass
class _Layers:
    network: Network
    net: IntegerNetwork | None
    steps: int
    plan: DelayPlan
    replay: bool
    found: dict[str, ChipLayer] = field(default_factory=dict)

    def build(self) -> tuple[ChipLayer, ...]:
        for node in self.network.ordered:
            kind: Kind = "relay" if isinstance(node, Relay) else "population"
            self._neurons(node.name, node.name, kind)
            if node.name in self.plan.echoes:
                echo = f"{node.name} echo"
                hold = self._hold(echo, self.network.shape(node.name))
                self._neurons(echo, node.name, "echo", (hold,))
        return tuple(self.found.values())

    def _neurons(self, name: str, node: str, kind: Kind, further: Sequence[Synapses] = ()) -> None:
        incoming = [self._projection(p) for p in self.network.incoming(node)]
        described = self.network[node]
        if getattr(described, "clock", False):
            incoming.append(self._clock(node))
        self.found[name] = ChipLayer(name, kind, self.network.shape(node), 1, (*incoming, *further))

    def _projection(self, projection: Projection) -> Synapses:
        sheet = self.network.shape(projection.source)
        source, form = self._tap(projection), _form(projection, sheet)
        bits = WEIGHT_BITS
        if self.net is not None:
            mixed = True if form != "conv" else None
            bits = weight_bits(self.net.weights[projection.name], mixed)
        geometry = self.network.geometry(projection)
        return Synapses(projection.name, source, form, geometry, sheet[0], bits)

    def _tap(self, projection: Projection) -> str:
        """The layer whose spikes a projection sees."""
        network, source = self.network, projection.source
        delay, lag = projection.within(self.steps), network.lag(projection)
        if source == network.input.name:
            return self._play(delay, lag)
        if isinstance(delay, tuple):
            return self._rows(source, delay, lag)
        wait = waiting(network, projection, self.steps)
        if wait == 0 and delay:
            return f"{source} echo"
        before = source
        for link in range(1, wait + 1):
            name = _waiting_name(source, delay, link)
            if name not in self.found:
                self._link(name, before, source, hold=delay > 0 and link == 1)
            before = name
        return before

    def _rows(self, source: str, delays: tuple[int, ...], lag: int) -> str:
        """The layer that sends each channel `lag` steps later than it is due."""
        rows = self.plan.rows[source, delays]
        kind = sorted(key for key in self.plan.rows if key[0] == source).index((source, delays))
        gathering = f"{source} delays" + (f" {kind + 1}" if kind else "")
        before = gathering
        if gathering not in self.found:
            self._gather(gathering, source, rows.lengths(delays))
        for link in range(rows.lag + 1, lag + 1):
            name = f"{gathering} wait {link - rows.lag}"
            if name not in self.found:
                self._link(name, before, source)
            before = name
        return before

    def _gather(self, name: str, source: str, lengths: np.ndarray) -> None:
        """Rows of relays and the sheet behind them (`lavaseg/deploy/lava/rows.py`)."""
        sheet = self.network.shape(source)
        places = sheet[1] * sheet[2]
        into = _passing(name, source, sheet, int((lengths == 0).sum()) * places)
        for number, neurons in enumerate(row_groups(lengths, places, MOST_RELAYS), 1):
            rows, begins = f"{name} rows {number}", len(neurons)
            shape = (int(lengths[neurons % len(lengths)].sum()), 1, 1)
            first = _passing(f"{rows} begin", source, sheet, begins)
            along = _passing(rows, rows, shape, shape[0] - begins)
            self.found[rows] = ChipLayer(rows, "wait", shape, 1, (*first, *along))
            into += _passing(f"{rows} end", rows, shape, begins)
        hold = self._hold(name, sheet, len(np.unique(lengths)))
        self.found[name] = ChipLayer(name, "wait", sheet, 1, (*into, hold), source)

    def _link(self, name: str, before: str, source: str, hold: bool = False) -> None:
        shape = self.network.shape(source)
        repeat = Synapses(name, before, "conv", OneToOne().geometry(shape), shape[0], 1)
        held = (self._hold(name, shape),) if hold else ()
        self.found[name] = ChipLayer(name, "wait", shape, 1, (repeat, *held))

    def _hold(self, name: str, shape: Shape, kinds: int = 1) -> Synapses:
        """A clock of one neuron, or of one for each kind of channel, that silences a layer in some
        steps of a sample."""
        clock, count = f"{name} hold", shape[0] * shape[1] * shape[2]
        self.found.setdefault(clock, ChipLayer(clock, "clock", (kinds, 1, 1), self._buffer()))
        if kinds > 1:
            return _passing(clock, clock, (kinds, 1, 1), count, WEIGHT_BITS)[0]
        return Synapses(clock, clock, "dense", Dense(count).geometry((1, 1, 1)), 1)

    def _clock(self, node: str) -> Synapses:
        channels, *sheet = self.network.shape(node)
        clock = f"{node} clock"
        played = (self.steps, sheet[0], sheet[1])
        self.found.setdefault(clock, ChipLayer(clock, "clock", played, self._buffer()))
        bits = WEIGHT_BITS if self.net is None else weight_bits(self.net.clocks[node])
        geometry = Conv(channels, (1, 1)).geometry(played)
        return Synapses(clock, clock, "conv", geometry, self.steps, bits)

    def _play(self, delay: Delay, lag: int) -> str:
        name = self.network.input.name
        if isinstance(delay, tuple):
            kinds = [p.within(self.steps) for p in self.network.outgoing(name) if p.by_channel]
            kind = kinds.index(delay)
            name += " delays" + (f" {kind + 1}" if kind else "") + (f" wait {lag}" if lag else "")
        elif delay or lag:
            name = _waiting_name(name, delay, lag + delay)
        if self.replay and name not in self.found:
            shape = self.network.input.shape
            self.found[name] = ChipLayer(name, "input", shape, self._buffer())
        return name

    def _buffer(self) -> int:
        """Words of a neuron that plays a sample's steps from the chip, the silent ones included."""
        return -(-padded(self.steps) * REPLAY_BITS // 64)


def _passing(
    name: str, source: str, shape: Shape, count: int, bits: int = 1
) -> tuple[Synapses, ...]:
    """`count` synapses from neurons of a layer of a shape, one to a neuron; none if there are 0."""
    geometry = OneToOne().geometry(shape)
    found = Synapses(name, source, "sparse", geometry, shape[0], bits, passing=count)
    return (found,) if count else ()


def _waiting_name(source: str, delay: int, wait: int) -> str:
    return f"{source} delay {delay} wait {wait}" if delay else f"{source} wait {wait}"


def _form(projection: Projection, source: Shape) -> Form:
    """How the graph makes synapses of an operator (`lavaseg/deploy/lava/synapses.py`).

    Args:
        source: shape of the node that sends.
    """
    operator = projection.operator
    if isinstance(operator, Dense):
        return "dense"
    geometry = operator.geometry(source)
    if isinstance(operator, Conv | OneToOne | SumPool):
        return "conv"
    kernel = phase_kernel(geometry)
    if kernel is None:
        return "sparse"
    factor = geometry.enlarges[0] * geometry.enlarges[1]
    stored = factor * kernel[0] * kernel[1] * geometry.channels * source[0] // geometry.groups
    return "conv" if stored < int(fan_out(operator, source).sum()) else "sparse"


def outgoing(layers: Sequence[ChipLayer]) -> Mapping[str, tuple[tuple[ChipLayer, Synapses], ...]]:
    """For each layer, the layers that it sends to and the synapses there."""
    found: dict[str, list[tuple[ChipLayer, Synapses]]] = {}
    for layer in layers:
        for item in layer.incoming:
            found.setdefault(item.source, []).append((layer, item))
    return {name: tuple(items) for name, items in found.items()}
