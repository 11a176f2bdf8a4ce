"""An integer network as a graph of Lava's own processes.

Source -> Conv or Dense -> LIFReset -> ...: one RingBuffer plays the input, each projection is a
synapse process, each population a LIFReset. A process hands on what reached it one step before
(synapses) or in the same step (neurons), so every population adds one step of latency: population
p does logical step k of the stream at physical step k + 1 + latency(p) (Lava counts from 1).

Samples stream back to back, T steps each. Every population is reset at its own offset, when the
first step of a sample reaches it: the reset travels with the wavefront, no sample sees another,
and what a bias did before the first spike arrived is wiped.

Sheets are (width, height, channels) in Lava, (channels, height, width) everywhere else here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lavaseg import network as description
from lavaseg.compat import prepare_lava
from lavaseg.deploy.lava.models import RECORDER
from lavaseg.deploy.lava.record import Recorder
from lavaseg.errors import LavasegError
from lavaseg.integers import STOCK_BIAS_EXPONENT, IntegerNetwork
from lavaseg.network import DECAY_UNITY, Network, Operator, Population, Projection

prepare_lava()

from lava.magma.core.process.ports.ports import InPort, OutPort  # noqa: E402
from lava.magma.core.process.process import AbstractProcess, ProcessServer  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402
from lava.proc.dense.process import Dense  # noqa: E402
from lava.proc.io.source import RingBuffer  # noqa: E402
from lava.proc.lif.process import LIFReset  # noqa: E402
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
        steps: physical steps that a run takes: samples * T + the longest latency.
    """

    source: RingBuffer
    synapses: Mapping[str, AbstractProcess]
    neurons: Mapping[str, LIFReset]
    steps: int

    @property
    def processes(self) -> tuple[AbstractProcess, ...]:
        """All processes, the source first."""
        return self.source, *self.synapses.values(), *self.neurons.values()

    def name(self, process: AbstractProcess) -> str:
        """What a process stands for, for messages."""
        for kind, group in (("projection", self.synapses), ("population", self.neurons)):
            for name, member in group.items():
                if member is process:
                    return f"{kind} {name!r} (Lava's {type(process).__name__})"
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
    # after the last sample the source starts over: no recorder looks at what that causes
    stream = spikes.reshape(samples * steps, *spikes.shape[2:]).transpose(3, 2, 1, 0)
    source = RingBuffer(data=stream)
    outputs: dict[str, OutPort] = {network.input.name: source.s_out}
    synapses: dict[str, AbstractProcess] = {}
    neurons: dict[str, LIFReset] = {}
    for node in network.ordered:
        assert isinstance(node, Population)  # check_deployable refused the rest
        neuron = _population(net, node, steps)
        if node.name in recorders:
            neuron.proc_params[RECORDER] = recorders[node.name]
        for projection in network.incoming(node.name):
            connect = BUILDERS[type(projection.operator)]
            synapses[projection.name] = connect(
                net, projection, outputs[projection.source], neuron.a_in
            )
        neurons[node.name], outputs[node.name] = neuron, neuron.s_out
    longest = max(network.latencies.values())
    return Graph(source, synapses, neurons, samples * steps + longest)


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


def _message_bits(network: Network, projection: Projection) -> int:
    return network.input.message_bits if projection.source == network.input.name else 0


Builder = Callable[[IntegerNetwork, Projection, OutPort, InPort], AbstractProcess]
BUILDERS: dict[type[Operator], Builder] = {description.Conv: _conv, description.Dense: _dense}
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
        _check_projection(net.network, projection)


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


def _check_projection(network: Network, projection: Projection) -> None:
    name = f"projection {projection.name!r}"
    if type(projection.operator) not in BUILDERS:
        raise LavaError(
            f"{name}: {projection.operator.kind} cannot be put on Lava yet; express it by "
            + " or ".join(operator.kind for operator in BUILDERS)
        )
    if projection.delay:
        raise LavaError(f"{name}: delay {projection.delay} cannot be put on Lava yet; use 0")
    arrival = network.latencies[projection.source] + 1
    due = network.latencies[projection.target]
    if arrival != due:
        raise LavaError(
            f"{name}: its spikes reach {projection.target!r} after {arrival} steps, those of a "
            f"longer path after {due}; paths of unequal length cannot be put on Lava yet: let "
            "every path pass the same number of populations"
        )
