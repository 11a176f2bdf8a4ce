"""The lines between populations: where projections find spikes, as late as they have to be.

Where paths of unequal length meet, or a projection has a delay, spikes wait: in chains of relays
or in delay synapses, as `lavaseg/network/delays.py` plans. The input's spikes, graded or not, are
played that many steps later by a source of their own. A link of a chain is a LIFReset that forgets
at once and fires when it is hit; behind a relay of sums it is a GradedVec.

Relays that only make up for a shorter path keep a sample's spikes within its wavefront. A
projection's own delay would carry the last spikes of a sample into the next one: its first relay is
held down in the last steps of the period, by a clock that a source of one period plays. Where each
channel has a delay of its own, so has each its clock. Behind rows of relays (`rows.py`) it holds
their gathering down instead, in the first steps of a period, in which nothing can be due.

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

from lavaseg.deploy.lava.rows import LINK_WEIGHT, gathered
from lavaseg.deploy.lava.sources import RingSources, Source
from lavaseg.deploy.lava.synapses import (
    depthwise,
    is_convolution,
    message_bits,
    synapse,
    unchanged,
)
from lavaseg.network import DECAY_UNITY, Node, Population, Projection, Relay
from lavaseg.network.delays import Chain, Delay, DelayPlan, waiting
from lavaseg.network.integers import STOCK_BIAS_EXPONENT, IntegerNetwork
from lavaseg.network.ranges import Brake, brake


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
    _sources: dict[tuple[Delay, int, bool], Source] = field(default_factory=dict)
    _clocks: dict[str, Source] = field(default_factory=dict)
    _chains: dict[Chain, list[AbstractProcess]] = field(default_factory=dict)
    _behind_rows: dict[Chain, list[AbstractProcess]] = field(default_factory=dict)

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
        source, delay, lag = projection.source, projection.within(steps), network.lag(projection)
        wait = waiting(network, projection, steps)
        if source == network.input.name:
            shared = is_convolution(self.net, projection)
            return self.play(delay, lag, shared).port
        if isinstance(delay, tuple):
            if projection.name in self.plan.synapses:
                held = np.max(self.plan.synapses[projection.name])
                return self._tap_chain(source, delay, wait - int(held))
            return self._tap_rows(source, delay, lag)
        if wait == 0 and delay:
            return self.echo(source).s_out
        if wait == 0 or projection.name in self.plan.synapses:
            return self.neurons[source].s_out
        return self._tap_chain(source, delay, wait)

    def _tap_chain(self, source: str, delay: Delay, wait: int) -> OutPort:
        """The port of the relay that sends what `source` did `wait` steps before."""
        chain = self._chains.setdefault((source, delay), [])
        while len(chain) < wait:
            before = (chain[-1] if chain else self.neurons[source]).s_out
            chain.append(self._link(source, before))
            if delay and len(chain) == 1:
                self._hold_down(chain[0], self.net.network.latencies[source], delay)
        return chain[wait - 1].s_out

    def _tap_rows(self, source: str, delays: tuple[int, ...], lag: int) -> OutPort:
        """The port of the relay that sends each channel `lag` steps later than it is due."""
        rows, chain = (
            self.plan.rows[source, delays],
            self._behind_rows.setdefault((source, delays), []),
        )
        if not chain:
            found = gathered(
                self.neurons[source].s_out,
                rows.lengths(delays),
                self._relays,
                self.makers.most_relays,
            )
            self.helpers += found.helpers
            self.loops += found.loops
            chain.append(found.sheet)
            # what would be due in the first steps of a sample comes from the one before
            latency = self.net.network.latencies[source] + rows.lag - 1
            self._hold_down(found.sheet, latency, delays, first=True)
        while len(chain) <= lag - rows.lag:
            chain.append(self._link(source, chain[-1].s_out))
        return chain[lag - rows.lag].s_out

    @property
    def first(self) -> AbstractProcess:
        """A process that plays input."""
        return next(iter(self._sources.values())).processes[0]

    def play(self, delay: Delay, lag: int, shared: bool) -> Source:
        """A source of the input stream, each sample `delay` steps late, and all of it `lag` steps.

        Args:
            shared: for convolutions, else for matrices.
        """
        key = delay, lag, self.makers.kind(shared)
        if key not in self._sources:
            samples, steps, *sheet = self.spikes.shape
            late = np.zeros((samples, self.period, *sheet), np.uint8)
            for channel, own in enumerate(np.broadcast_to(delay, sheet[0]).tolist()):
                late[:, own:steps, channel] = self.spikes[:, : steps - own, channel]
            # Steps by which a path is shorter come before the stream. After the last sample the
            # source starts over: no recorder looks at what that causes.
            stream = late.reshape(samples * self.period, *sheet).transpose(3, 2, 1, 0)
            before = np.zeros((*stream.shape[:3], lag), np.uint8)
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

    def _relays(self, shape: tuple[int, ...]) -> LIFReset:
        """Neurons that forget at once and fire when they are hit."""
        return LIFReset(
            shape=shape,
            vth=1,
            du=DECAY_UNITY - 1,
            dv=DECAY_UNITY - 1,
            bias_mant=np.zeros(shape, np.int64),
            bias_exp=STOCK_BIAS_EXPONENT,
            reset_interval=self.period,
            reset_offset=0,  # nothing is left to reset
        )

    def _link(self, name: str, before: OutPort) -> AbstractProcess:
        """A link of a chain from the node `name`: sends one step after `before`."""
        if isinstance(self.net.network[name], Relay):
            link = GradedVec(shape=before.shape, vth=0)
            repeat = unchanged(before, message_bits(self.net, name))
        else:
            link = self._relays(before.shape)
            repeat = depthwise(np.full((before.shape[2], 1, 1), LINK_WEIGHT), before)
        repeat.a_out.reshape(link.a_in.shape).connect(link.a_in)
        self.helpers += [repeat, link]
        return link

    def _hold_down(
        self,
        link: LIFReset,
        latency: int,
        delay: Delay,
        force: Brake | None = None,
        *,
        first: bool = False,
    ) -> None:
        """Keep `link` silent when a period's last `delay` steps reach it.

        Args:
            latency: of what `link` hears.
            delay: of all channels, or of each.
            force: outdoes all input, for each channel; None outdoes one spike.
            first: a period's first steps instead.
        """
        period = self.period
        delays, kinds = np.unique(delay, return_inverse=True)
        played = np.zeros((len(delays), period), np.uint8)
        for kind, own in enumerate(delays.tolist()):
            # the population does logical step k at physical step k + 1 + latency, the clock too
            held = np.arange(own) - (0 if first else own)
            played[kind, (held + latency) % period] = 1 if force is None else force.message
        bits = 0 if force is None else 8
        clock = self.makers.play(played, bits=bits, shared=False, repeats=True)
        weight = np.full(1, -LINK_WEIGHT) if force is None else force.weights
        neurons = int(np.prod(link.a_in.shape))
        values = np.broadcast_to(weight, link.a_in.shape).ravel().astype(np.int32)
        by = kinds.ravel()[np.arange(neurons) % kinds.size]
        weights = csr_matrix((values, (np.arange(neurons), by)), (neurons, len(delays)))
        synapses = (Dense if len(delays) == 1 else Sparse)(
            weights=weights.toarray() if len(delays) == 1 else weights,
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
