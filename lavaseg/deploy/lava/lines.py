"""The lines between populations: where projections find spikes, as late as they have to be.

Where paths of unequal length meet, or a projection has a delay, spikes wait: in chains of relays
or in delay synapses, as `lavaseg/network/delays.py` plans. The input's spikes, graded or not, are
played that many steps later by a source of their own. A link of a chain is a LIFReset that forgets
at once and fires when it is hit; behind a relay of sums it is a GradedVec.

Relays that only make up for a shorter path keep a sample's spikes within its wavefront. A
projection's own delay would carry the last spikes of a sample into the next one: its first relay is
held down in the last steps of the period, by a clock that a source of one period plays.

A population's clock (a current of its own for each step of a sample) is a sheet of T channels, of
which a source of one period plays one after the other, as late as the population is; a 1x1 Conv
whose weights are the clock's currents brings it to the neurons. So it needs T weights a channel,
where all-to-all synapses would need as many for each neuron.

What a population sends to itself one step later leaves no place for a relay. There its echo sends
it: a LIFReset of the same parameters and input, which such a clock holds down in the period's last
step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from lava.magma.compiler.compiler_graphs import find_processes
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.graded.process import GradedVec
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from lavaseg.deploy.lava.sources import RingSources, Source
from lavaseg.deploy.lava.synapses import (
    is_convolution,
    message_bits,
    selected,
    synapse,
    unchanged,
)
from lavaseg.network import DECAY_UNITY, Node, Population, Projection, Relay
from lavaseg.network.delays import DelayPlan, waiting
from lavaseg.network.integers import STOCK_BIAS_EXPONENT, IntegerNetwork
from lavaseg.network.ranges import Brake, brake

LINK_WEIGHT = 2
"""The least even weight: one spike passes a link's threshold of 1."""


@dataclass
class Lines:
    """The ports where projections find the spikes of their source, as late as they have to be.

    Args:
        spikes: what the input plays, uint8 (N, T, C, H, W).
        period: physical steps from sample to sample.
        makers: make the sources.
        plan: where spikes wait.
        neurons: the populations and relays that are built already.
        echoes: what recurrent populations hear of themselves one step later.
        loops: the synapse processes of recurrent projections.
        helpers: every process made here, but for the synapses of `neurons`.
    """

    net: IntegerNetwork
    spikes: np.ndarray
    period: int
    makers: RingSources
    plan: DelayPlan
    neurons: dict[str, AbstractProcess] = field(default_factory=dict)
    echoes: dict[str, LIFReset] = field(default_factory=dict)
    loops: list[AbstractProcess] = field(default_factory=list)
    helpers: list[AbstractProcess] = field(default_factory=list)
    _sources: dict[tuple[int, int, bool], Source] = field(default_factory=dict)
    _clocks: dict[str, Source] = field(default_factory=dict)
    _chains: dict[tuple[str, int], list[AbstractProcess]] = field(default_factory=dict)

    def connect(self, projection: Projection, neuron: AbstractProcess) -> AbstractProcess:
        """The synapses of a projection into `neuron`."""
        wait = self.plan.synapses.get(projection.name, 0)
        process = synapse(self.net, projection, self.tap(projection), neuron.a_in, wait)
        if projection.recurrent:
            self.loops.append(process)
        return process

    def tap(self, projection: Projection) -> OutPort:
        """The port that emits what the projection is to see."""
        network, steps = self.net.network, self.net.steps
        delay = min(projection.delay, steps)
        wait = waiting(network, projection, steps)
        if projection.source == network.input.name:
            shared = is_convolution(self.net, projection)
            return self.play(delay, wait, shared).port
        if wait == 0 and delay:
            return self.echo(projection.source).s_out
        if wait == 0 or projection.name in self.plan.synapses:
            return self.neurons[projection.source].s_out
        chain = self._chains.setdefault((projection.source, delay), [])
        while len(chain) < wait:
            chain.append(self._link(projection.source, delay, chain))
        return chain[wait - 1].s_out

    @property
    def first(self) -> AbstractProcess:
        """A process that plays input."""
        return next(iter(self._sources.values())).processes[0]

    def play(self, delay: int, wait: int, shared: bool) -> Source:
        """A source of the input stream, each sample `delay` steps late, all of it `wait` steps.

        Args:
            shared: for convolutions, else for matrices.
        """
        key = delay, wait, self.makers.kind(shared)
        if key not in self._sources:
            samples, steps, *sheet = self.spikes.shape
            late = np.zeros((samples, self.period, *sheet), np.uint8)
            late[:, delay:steps] = self.spikes[:, : steps - delay]
            # Steps by which a path is shorter come before the stream. After the last sample the
            # source starts over: no recorder looks at what that causes.
            stream = late.reshape(samples * self.period, *sheet).transpose(3, 2, 1, 0)
            before = np.zeros((*stream.shape[:3], wait - delay), np.uint8)
            data = np.concatenate([before, stream], axis=3)
            bits = self.net.network.input.message_bits
            self._sources[key] = self.makers.play(data, bits=bits, shared=shared)
            self.helpers += self._sources[key].processes
        return self._sources[key]

    def beat(self, name: str, neuron: AbstractProcess) -> None:
        """Connect the clock of the population `name`, which its echo hears, too, to `neuron`."""
        if name not in self._clocks:
            steps, latency = self.net.steps, self.net.network.latencies[name]
            # logical step k comes one step before the population does it, at k + latency from 1 on
            turned = np.roll(np.eye(steps, self.period, dtype=np.uint8), latency - 1, axis=1)
            played = np.tile(turned, (*neuron.a_in.shape[:2], 1, 1))
            self._clocks[name] = self.makers.play(played, repeats=True)
            self.helpers += self._clocks[name].processes
        clock = self._clocks[name]
        weight = self.net.clocks[name].T[:, None, None, :]
        synapse = Conv(weight=np.ascontiguousarray(weight, np.int32), input_shape=clock.port.shape)
        clock.port.connect(synapse.s_in)
        synapse.a_out.connect(neuron.a_in)
        self.helpers.append(synapse)

    def echo(self, name: str) -> LIFReset:
        """A second population `name`, for what it sends to itself one step later."""
        if name not in self.echoes:
            node = self.net.network[name]
            self.echoes[name] = neurons_of(self.net, node, self.period, self.makers.clock_lag)
            self.helpers.append(self.echoes[name])
        return self.echoes[name]

    def drive_echo(self, node: Node) -> None:
        """Give an echo its population's input, but silence it in the last step of each period."""
        assert isinstance(node, Population)
        echo, network = self.echoes[node.name], self.net.network
        self.helpers += [self.connect(p, echo) for p in network.incoming(node.name)]
        if node.name in self.net.clocks:
            self.beat(node.name, echo)
        # one step earlier than a link of a chain, which hears of a step when it is over
        force = brake(self.net, node, self.period)
        self._hold_down(echo, network.latencies[node.name] - 1, 1, force)

    def join(self, source: AbstractProcess) -> None:
        """Make everything reachable from `source`, which is how Lava finds what it compiles.

        Processes that only another source feeds are joined by a synapse process without synapses.
        """
        reached = {id(process) for process in find_processes(source)}
        base = next(neuron for neuron in self.neurons.values() if id(neuron) in reached)
        for neuron in self.neurons.values():
            if id(neuron) not in reached:
                reached |= {id(process) for process in find_processes(neuron)}
                size = int(np.prod(neuron.a_in.shape)), int(np.prod(base.s_out.shape))
                none = Sparse(weights=csr_matrix(size, dtype=np.int32), sign_mode=SignMode.MIXED)
                base.s_out.flatten().connect(none.s_in)
                none.a_out.reshape(neuron.a_in.shape).connect(neuron.a_in)
                self.helpers.append(none)

    def _link(self, name: str, delay: int, chain: list[AbstractProcess]) -> AbstractProcess:
        """The next link of a chain: sends one step after `chain`'s last, or after `name`."""
        before = (chain[-1] if chain else self.neurons[name]).s_out
        if isinstance(self.net.network[name], Relay):
            link = GradedVec(shape=before.shape, vth=0)
            repeat = unchanged(before, message_bits(self.net, name))
        else:
            every = range(before.shape[2])
            kept = every if chain else self.plan.channels.get((name, delay), every)
            shape = (*before.shape[:2], len(kept))
            link = LIFReset(
                shape=shape,
                vth=1,
                du=DECAY_UNITY - 1,
                dv=DECAY_UNITY - 1,
                bias_mant=np.zeros(shape, np.int64),
                bias_exp=STOCK_BIAS_EXPONENT,
                reset_interval=self.period,
                reset_offset=0,  # nothing is left to reset
            )
            repeat = selected(before, kept, LINK_WEIGHT)
        repeat.a_out.reshape(link.a_in.shape).connect(link.a_in)
        self.helpers += [repeat, link]
        if delay and not chain:
            self._hold_down(link, self.net.network.latencies[name], delay)
        return link

    def _hold_down(
        self, link: LIFReset, latency: int, delay: int, force: Brake | None = None
    ) -> None:
        """Keep `link` silent when a period's last `delay` steps reach it.

        Args:
            force: outdoes all input, for each channel; None outdoes one spike.
        """
        period = self.period
        played = np.zeros((1, period), np.uint8)
        # the population does logical step k at physical step k + 1 + latency, the clock too
        played[0, (np.arange(period - delay, period) + latency) % period] = (
            1 if force is None else force.message
        )
        bits = 0 if force is None else 8
        clock = self.makers.play(played, bits=bits, shared=False, repeats=True)
        weight = -LINK_WEIGHT if force is None else force.weights
        synapses = Dense(
            weights=np.broadcast_to(weight, link.a_in.shape).reshape(-1, 1).astype(np.int32),
            weight_exp=0 if force is None else 1,
            num_message_bits=bits,
            sign_mode=SignMode.MIXED,
        )
        clock.port.connect(synapses.s_in)
        synapses.a_out.reshape(link.a_in.shape).connect(link.a_in)
        self.helpers += [*clock.processes, synapses]


def neurons_of(net: IntegerNetwork, node: Node, period: int, lag: int) -> AbstractProcess:
    """The neurons of a population or relay.

    Args:
        period: physical steps between two resets.
        lag: steps by which they are reset later than on a CPU.
    """
    shape = net.network.shape(node.name)[::-1]
    if isinstance(node, Relay):
        return GradedVec(shape=shape, vth=0)
    assert isinstance(node, Population)  # check_lava refused the rest
    return _population(net, node, shape, period, lag)


def _population(
    net: IntegerNetwork, population: Population, shape: tuple[int, ...], period: int, lag: int
) -> LIFReset:
    bias = net.biases.get(population.name)
    mantissa = np.zeros(1, np.int64) if bias is None else bias.mantissa
    decay, interval = population.voltage_decay, period
    if population.memoryless:  # 12 bits hold no decay that leaves nothing: a reset at each step
        decay, interval = DECAY_UNITY - 1, 1
    return LIFReset(
        shape=shape,
        vth=net.threshold(population),
        du=population.current_decay - 1,  # Loihi adds 1
        dv=decay,
        bias_mant=np.broadcast_to(mantissa, shape),
        bias_exp=STOCK_BIAS_EXPONENT if bias is None else bias.exponent,
        reset_interval=interval,
        reset_offset=(1 + net.network.latencies[population.name] + lag) % interval,
    )
