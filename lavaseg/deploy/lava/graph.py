"""An integer network as a graph of Lava's own processes.

Source -> Conv, Dense or Sparse -> LIFReset -> ...: RingBuffers play the input, each projection is
a synapse process, each population a LIFReset. A process hands on what reached it one step before
(synapses) or in the same step (neurons), so every population adds one step of latency: population
p does logical step k of the stream at physical step k + 1 + latency(p) (Lava counts from 1).

Where paths of unequal length meet, or a projection has a delay, spikes wait (`Network.waits`).
The input's are played so many steps later by a source of their own, graded messages too. A
population's pass through a chain of relays, LIFReset neurons that forget at once and fire when
they are hit, one for each neuron and step; projections that leave the same population share it.

Samples stream back to back, T steps each. Every population is reset at its own offset, when the
first step of a sample reaches it: the reset travels with the wavefront, no sample sees another,
and what a bias did before the first spike arrived is wiped. Relays that only make up for a shorter
path keep a sample's spikes within its wavefront. A projection's own delay would carry the last
spikes of a sample into the next one: its first relay is held down in those steps, by a clock that
a RingBuffer of T steps plays.

Sheets are (width, height, channels) in Lava, (channels, height, width) everywhere else here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from lavaseg import network as description
from lavaseg.compat import prepare_lava
from lavaseg.deploy.lava.models import RECORDER
from lavaseg.deploy.lava.record import Recorder
from lavaseg.errors import LavasegError
from lavaseg.integers import STOCK_BIAS_EXPONENT, IntegerNetwork
from lavaseg.network import DECAY_UNITY, Network, Operator, Population, Projection, Shape

prepare_lava()

from lava.magma.compiler.compiler_graphs import find_processes  # noqa: E402
from lava.magma.core.process.ports.ports import InPort, OutPort  # noqa: E402
from lava.magma.core.process.process import AbstractProcess, ProcessServer  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402
from lava.proc.dense.process import Dense  # noqa: E402
from lava.proc.io.source import RingBuffer  # noqa: E402
from lava.proc.lif.process import LIFReset  # noqa: E402
from lava.proc.sparse.process import Sparse  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402


class LavaError(LavasegError):
    """A network that cannot be put on Lava yet, or a Lava run that failed."""


@dataclass(frozen=True)
class Graph:
    """A connected process graph.

    Args:
        source: plays the input; compiling it compiles all that it reaches.
        synapses: the synapse process of each projection.
        neurons: the LIFReset of each population.
        helpers: what makes spikes wait: further sources, relays and their synapses, clocks.
        steps: physical steps that a run takes: samples * T + the longest latency.
    """

    source: RingBuffer
    synapses: Mapping[str, AbstractProcess]
    neurons: Mapping[str, LIFReset]
    helpers: tuple[AbstractProcess, ...]
    steps: int

    @property
    def processes(self) -> tuple[AbstractProcess, ...]:
        """All processes, the source first."""
        return self.source, *self.synapses.values(), *self.neurons.values(), *self.helpers

    def name(self, process: AbstractProcess) -> str:
        """What a process stands for, for messages."""
        for kind, group in (("projection", self.synapses), ("population", self.neurons)):
            for name, member in group.items():
                if member is process:
                    return f"{kind} {name!r} (Lava's {type(process).__name__})"
        if any(process is helper for helper in self.helpers):
            return f"a delay (Lava's {type(process).__name__})"
        return "the input (Lava's RingBuffer)"

    def release(self) -> None:
        """Take the processes off Lava's list, which would keep them in memory for ever."""
        ours = {id(process) for process in self.processes}
        server = ProcessServer()
        server.processes = [p for p in server.processes if id(p) not in ours]


def build(net: IntegerNetwork, spikes: np.ndarray, recorders: Mapping[str, Recorder]) -> Graph:
    """The process graph that plays `spikes` to the network.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W).
        recorders: one for each population that is to be recorded.

    Raises:
        LavaError: the network holds something that cannot be put on Lava yet.
    """
    check_deployable(net)
    network = net.network
    samples, steps = spikes.shape[:2]
    lines = _Lines(net, spikes)
    source = lines.play(0, 0)
    synapses: dict[str, AbstractProcess] = {}
    neurons: dict[str, LIFReset] = {}
    for node in network.ordered:
        assert isinstance(node, Population)  # check_deployable refused the rest
        neuron = _population(net, node, steps)
        if node.name in recorders:
            neuron.proc_params[RECORDER] = recorders[node.name]
        for projection in network.incoming(node.name):
            connect = BUILDERS[type(projection.operator)]
            synapses[projection.name] = connect(net, projection, lines.tap(projection), neuron.a_in)
        neurons[node.name] = lines.neurons[node.name] = neuron
    lines.join(source)
    longest = max(network.latencies.values())
    helpers = tuple(process for process in lines.helpers if process is not source)
    return Graph(source, synapses, neurons, helpers, samples * steps + longest)


@dataclass
class _Lines:
    """Where projections find the spikes of their source, late as they have to be.

    Args:
        spikes: what the input plays, uint8 (N, T, C, H, W).
        neurons: the populations that are built already.
        helpers: every process made here.
    """

    net: IntegerNetwork
    spikes: np.ndarray
    neurons: dict[str, LIFReset] = field(default_factory=dict)
    helpers: list[AbstractProcess] = field(default_factory=list)
    _sources: dict[tuple[int, int], RingBuffer] = field(default_factory=dict)
    _relays: dict[tuple[str, int], list[LIFReset]] = field(default_factory=dict)

    def tap(self, projection: Projection) -> OutPort:
        """The port that emits what the projection is to see."""
        delay = min(projection.delay, self.net.steps)  # as late as T: never
        wait = self.net.network.waits[projection.name] - projection.delay + delay
        if projection.source == self.net.network.input.name:
            return self.play(delay, wait).s_out
        if wait == 0:
            return self.neurons[projection.source].s_out
        chain = self._relays.setdefault((projection.source, delay), [])
        while len(chain) < wait:
            chain.append(self._relay(projection.source, delay, chain))
        return chain[wait - 1].s_out

    def play(self, delay: int, wait: int) -> RingBuffer:
        """A source of the input stream, each sample `delay` steps late, all of it `wait` steps."""
        if (delay, wait) not in self._sources:
            samples, steps, *sheet = self.spikes.shape
            late = np.zeros_like(self.spikes)
            late[:, delay:] = self.spikes[:, : steps - delay]
            # What a path is shorter comes before the stream. After the last sample the source
            # starts over: no recorder looks at what that causes.
            stream = late.reshape(samples * steps, *sheet).transpose(3, 2, 1, 0)
            before = np.zeros((*stream.shape[:3], wait - delay), np.uint8)
            source = RingBuffer(data=np.concatenate([before, stream], axis=3))
            self._sources[delay, wait] = source
            self.helpers.append(source)
        return self._sources[delay, wait]

    def join(self, source: RingBuffer) -> None:
        """Make everything reachable from `source`, which is how Lava finds what it compiles.

        What only a later source feeds is joined by a synapse process without synapses.
        """
        for neuron in self.neurons.values():
            if neuron not in find_processes(source):
                size = int(np.prod(neuron.a_in.shape)), int(np.prod(source.s_out.shape))
                synapse = Sparse(weights=csr_matrix(size, dtype=np.int32), sign_mode=SignMode.MIXED)
                source.s_out.flatten().connect(synapse.s_in)
                synapse.a_out.reshape(neuron.a_in.shape).connect(neuron.a_in)
                self.helpers.append(synapse)

    def _relay(self, name: str, delay: int, chain: list[LIFReset]) -> LIFReset:
        """The next link of a chain: fires one step after `chain`'s last, or after `name`."""
        before = (chain[-1] if chain else self.neurons[name]).s_out
        relay = LIFReset(
            shape=before.shape,
            vth=1,
            du=DECAY_UNITY - 1,
            dv=DECAY_UNITY - 1,
            bias_mant=np.zeros(before.shape, np.int64),
            bias_exp=STOCK_BIAS_EXPONENT,
            reset_interval=self.net.steps,
            reset_offset=0,  # nothing is left to reset
        )
        synapse = _depthwise(np.full((before.shape[2], 1, 1), RELAY_WEIGHT), before)
        synapse.a_out.connect(relay.a_in)
        self.helpers += [synapse, relay]
        if delay and not chain:
            self._hold_down(relay, self.net.network.latencies[name], delay)
        return relay

    def _hold_down(self, relay: LIFReset, latency: int, delay: int) -> None:
        """Keep `relay` silent when a sample's last `delay` steps reach it."""
        steps = self.net.steps
        played = np.zeros((1, steps), np.uint8)
        # the population does logical step k at physical step k + 1 + latency, the clock too
        played[0, (np.arange(steps - delay, steps) + latency) % steps] = 1
        clock = RingBuffer(data=played)
        synapse = Dense(
            weights=np.full((int(np.prod(relay.a_in.shape)), 1), -RELAY_WEIGHT, np.int32),
            sign_mode=SignMode.MIXED,
        )
        clock.s_out.connect(synapse.s_in)
        synapse.a_out.reshape(relay.a_in.shape).connect(relay.a_in)
        self.helpers += [clock, synapse]


RELAY_WEIGHT = 2
"""The least even weight: one spike passes a relay's threshold of 1."""


def _population(net: IntegerNetwork, population: Population, steps: int) -> LIFReset:
    shape = net.network.shape(population.name)[::-1]
    bias = net.biases.get(population.name)
    mantissa = np.zeros(1, np.int64) if bias is None else bias.mantissa
    return LIFReset(
        shape=shape,
        vth=net.threshold(population),
        du=population.current_decay - 1,  # Loihi adds 1
        dv=population.voltage_decay,
        bias_mant=np.broadcast_to(mantissa, shape),
        bias_exp=STOCK_BIAS_EXPONENT if bias is None else bias.exponent,
        reset_interval=steps,
        reset_offset=(1 + net.network.latencies[population.name]) % steps,
    )


# --------------------------------------------------------------------------------------------
# Operators: one function each, which makes the synapse process and connects it


def _depthwise(
    kernel: np.ndarray,
    source: OutPort,
    *,
    stride: description.Size = (1, 1),
    padding: description.Size = (0, 0),
    message_bits: int = 0,
) -> Conv:
    """A Conv that keeps channels apart; `kernel` is (C, kernel height, kernel width)."""
    weight = kernel[:, ::-1, ::-1].transpose(0, 2, 1)[..., None]
    synapse = Conv(
        weight=np.ascontiguousarray(weight, np.int32),
        input_shape=source.shape,
        stride=stride[::-1],
        padding=padding[::-1],
        groups=len(kernel),
        num_message_bits=message_bits,
    )
    source.connect(synapse.s_in)
    return synapse


def _one_to_one(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    gain = net.weights[projection.name].reshape(-1, 1, 1)
    bits = _message_bits(net.network, projection)
    synapse = _depthwise(gain, source, message_bits=bits)
    synapse.a_out.connect(target)
    return synapse


def _sum_pool(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    operator = projection.operator
    assert isinstance(operator, description.SumPool)
    gain = net.weights[projection.name].reshape(-1, 1, 1)
    synapse = _depthwise(
        np.tile(gain, (1, *operator.kernel)),
        source,
        stride=operator.stride,
        padding=operator.padding,
        message_bits=_message_bits(net.network, projection),
    )
    synapse.a_out.connect(target)
    return synapse


def _conv(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    operator = projection.operator
    assert isinstance(operator, description.Conv)
    # torch correlates, Lava convolves: flip; (out, in, h, w) -> (out, w, h, in)
    weight = net.weights[projection.name][:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    synapse = Conv(
        weight=np.ascontiguousarray(weight, np.int32),
        input_shape=source.shape,
        stride=operator.stride[::-1],
        padding=operator.padding[::-1],
        dilation=operator.dilation[::-1],
        groups=operator.groups,
        num_message_bits=_message_bits(net.network, projection),
    )
    source.connect(synapse.s_in)
    synapse.a_out.connect(target)
    return synapse


def _dense(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    weight = net.weights[projection.name].transpose(0, 3, 2, 1)
    synapse = Dense(
        weights=np.ascontiguousarray(weight, np.int32).reshape(len(weight), -1),
        num_message_bits=_message_bits(net.network, projection),
        # else Lava takes all-negative weights for another format, whose least weight is -255
        sign_mode=SignMode.MIXED,
    )
    source.flatten().connect(synapse.s_in)
    synapse.a_out.reshape(target.shape).connect(target)
    return synapse


def _conv_transpose(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    return _sparse(net, projection, net.weights[projection.name], source, target)


def _upsample(
    net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort
) -> AbstractProcess:
    operator = projection.operator
    assert isinstance(operator, description.Upsample)
    gain = net.weights[projection.name].reshape(-1, 1, 1, 1)
    return _sparse(net, projection, np.tile(gain, (1, 1, *operator.factor)), source, target)


def _sparse(
    net: IntegerNetwork,
    projection: Projection,
    weight: np.ndarray,
    source: OutPort,
    target: InPort,
) -> AbstractProcess:
    shape = net.network.shape(projection.source)
    operator = projection.operator
    if isinstance(operator, description.Upsample):
        channels = shape[0]
        operator = description.ConvTranspose(
            channels, operator.factor, operator.factor, groups=channels
        )
    assert isinstance(operator, description.ConvTranspose)
    synapse = Sparse(
        weights=conv_transpose_matrix(operator, shape, weight),
        num_message_bits=_message_bits(net.network, projection),
        sign_mode=SignMode.MIXED,
    )
    source.flatten().connect(synapse.s_in)
    synapse.a_out.reshape(target.shape).connect(target)
    return synapse


def conv_transpose_matrix(
    operator: description.ConvTranspose, source: Shape, weight: np.ndarray
) -> csr_matrix:
    """A transposed convolution as a matrix over flattened sheets in Lava's order (W, H, C).

    Args:
        source: (channels, height, width).
        weight: (in, out / groups, kernel height, kernel width).

    Returns:
        int32 (target neurons, source neurons); structural zeros are left out.
    """
    channels, height, width = operator.output_shape(source)
    fan_in, fan_out = source[0] // operator.groups, operator.channels // operator.groups
    # all synapses as one grid: input channel, output of its group, kernel y and x, input y and x
    into, out, ky, kx, y, x = np.ogrid[
        : source[0],
        :fan_out,
        : operator.kernel[0],
        : operator.kernel[1],
        : source[1],
        : source[2],
    ]
    to_y = y * operator.stride[0] + ky * operator.dilation[0] - operator.padding[0]
    to_x = x * operator.stride[1] + kx * operator.dilation[1] - operator.padding[1]
    to_channel = into // fan_in * fan_out + out
    inside = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
    present = inside & (weight != 0)[..., None, None]
    target = (to_x * height + to_y) * channels + to_channel
    origin = (x * source[1] + y) * source[0] + into
    rows = np.broadcast_to(target, present.shape)[present]
    columns = np.broadcast_to(origin, present.shape)[present]
    values = np.broadcast_to(weight[..., None, None], present.shape)[present].astype(np.int32)
    size = (channels * height * width, source[0] * source[1] * source[2])
    return csr_matrix((values, (rows, columns)), shape=size, dtype=np.int32)


def _message_bits(network: Network, projection: Projection) -> int:
    return network.input.message_bits if projection.source == network.input.name else 0


Builder = Callable[[IntegerNetwork, Projection, OutPort, InPort], AbstractProcess]
BUILDERS: dict[type[Operator], Builder] = {
    description.Conv: _conv,
    description.ConvTranspose: _conv_transpose,
    description.Dense: _dense,
    description.OneToOne: _one_to_one,
    description.SumPool: _sum_pool,
    description.Upsample: _upsample,
}
"""How each operator becomes a synapse process; an operator that is not here cannot be deployed."""


# --------------------------------------------------------------------------------------------
# What cannot be deployed


def check_deployable(net: IntegerNetwork) -> None:
    """Raise LavaError, naming the node or projection, unless `build` can express the network."""
    for node in net.network.nodes:
        if not isinstance(node, Population):
            raise LavaError(
                f"current {node.name!r} cannot be put on Lava: unroll it into direct projections"
            )
        _check_population(node)
    for projection in net.network.projections:
        _check_projection(projection)


def _check_population(population: Population) -> None:
    name = f"population {population.name!r}"
    if population.reset != "hard":
        raise LavaError(
            f"{name}: Lava's LIF resets to zero, reset {population.reset!r} cannot be put on it; "
            "use reset 'hard'"
        )
    if population.norm != "none":
        raise LavaError(f"{name}: norm {population.norm!r} must be folded into weights and bias")
    if population.current_decay == 0:
        raise LavaError(
            f"{name}: current_decay 0 cannot be put on Lava, whose LIF decays by at least 1/4096 "
            f"a step; use 1 to {DECAY_UNITY}"
        )
    if population.voltage_decay == DECAY_UNITY:
        raise LavaError(
            f"{name}: voltage_decay {DECAY_UNITY} does not fit Loihi's 12 bits; use 0 to "
            f"{DECAY_UNITY - 1}"
        )


def _check_projection(projection: Projection) -> None:
    operator = projection.operator
    if isinstance(operator, description.SumPool) and operator.average:
        raise LavaError(
            f"projection {projection.name!r}: an average cannot be put on Lava; lower it to a sum "
            "whose gain holds the division"
        )
