"""An integer network as a graph of Lava's own processes.

Source -> Conv, Dense or Sparse -> LIFReset -> ...: RingBuffers play the input, each projection is
a synapse process (`synapses.py`), each population a LIFReset, each relay of sums a GradedVec. A
process hands on what reached it one step before (synapses) or in the same step (neurons), so every
population adds one step of latency: population p does logical step k of the stream at physical
step k + 1 + latency(p) (Lava counts from 1).

Samples stream back to back, one each period: T steps, or more where the rest is silent input, such
as on a chip whose reset interval must be a power of two. What a population does in these padding
steps belongs to no sample; it reaches other populations in padding steps alone. Every population is
reset at its own offset, when the first step of a sample reaches it: the reset travels with the
wavefront, no sample sees another, and what a bias did before the first spike arrived is wiped.

How spikes wait, and what clocks and echoes are: `lines.py`.

Sheets are (width, height, channels) in Lava, (channels, height, width) everywhere else here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from lava.magma.compiler.executable import Executable
from lava.magma.core.process.process import AbstractProcess, ProcessServer
from lava.magma.core.run_configs import RunConfig

from lavaseg.deploy.lava.checks import check_lava, checked_period, run_steps
from lavaseg.deploy.lava.lines import Lines, neurons_of
from lavaseg.deploy.lava.process_models import RECORDER
from lavaseg.deploy.lava.record import Recorder
from lavaseg.deploy.lava.sources import RingSources
from lavaseg.network.delays import plan
from lavaseg.network.integers import IntegerNetwork


@dataclass(frozen=True)
class Graph:
    """A connected process graph.

    Args:
        source: plays input; compiling it compiles all that it reaches.
        synapses: the synapse process of each projection.
        neurons: the LIFReset of each population, the GradedVec of each relay.
        helpers: further sources, relays that make spikes wait, clocks, echoes, and their synapses.
        loops: the synapse processes of recurrent projections.
        steps: physical steps that a run takes: all periods but the last, T, the longest latency.
    """

    source: AbstractProcess
    synapses: Mapping[str, AbstractProcess]
    neurons: Mapping[str, AbstractProcess]
    helpers: tuple[AbstractProcess, ...]
    loops: tuple[AbstractProcess, ...]
    steps: int

    @property
    def processes(self) -> tuple[AbstractProcess, ...]:
        """All processes, the source first."""
        return self.source, *self.synapses.values(), *self.neurons.values(), *self.helpers

    def name(self, process: AbstractProcess) -> str:
        """Name of a process in messages: what it stands for."""
        for kind, group in (("projection", self.synapses), ("node", self.neurons)):
            for name, member in group.items():
                if member is process:
                    return f"{kind} {name!r} (Lava's {type(process).__name__})"
        if any(process is helper for helper in self.helpers):
            return f"a delay or clock (Lava's {type(process).__name__})"
        return f"the input (Lava's {type(process).__name__})"

    def compile(self, config: RunConfig) -> Executable:
        """Lava's executable."""
        with _deep_recursion(len(self.processes)):
            return self.source.compile(config)

    def release(self) -> None:
        """Take the processes off Lava's list, which would keep them in memory for ever."""
        ours = {id(process) for process in self.processes}
        server = ProcessServer()
        server.processes = [p for p in server.processes if id(p) not in ours]


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Lava gives the root logger a handler for each process made, for ever: take them off."""
    handlers = list(logging.root.handlers)
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers


@contextmanager
def _deep_recursion(processes: int) -> Iterator[None]:
    """Lava walks over connected processes by recursion: as deep as there are processes."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 10 * processes + 1000))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def build(
    net: IntegerNetwork,
    spikes: np.ndarray,
    recorders: Mapping[str, Recorder],
    period: int | None = None,
    sources: RingSources | None = None,
) -> Graph:
    """The process graph that plays `spikes` to the network.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W).
        recorders: one for each population that is to be recorded, made for the same period.
        period: physical steps from the beginning of a sample to that of the next, T or more; T by
            default.
        sources: play what is known beforehand; RingBuffers by default.

    Raises:
        LavaError: the network holds something that cannot be put on Lava yet, or a period that is
            shorter than a sample.
    """
    check_lava(net)
    with _own_handlers():
        return _build(net, spikes, recorders, checked_period(net, period), sources or RingSources())


def _build(
    net: IntegerNetwork,
    spikes: np.ndarray,
    recorders: Mapping[str, Recorder],
    period: int,
    sources: RingSources,
) -> Graph:
    network = net.network
    samples, steps = spikes.shape[:2]
    waits = plan(network, steps, delay_synapses=sources.delay_synapses)
    lines = Lines(net, spikes, period, sources, waits)
    synapses: dict[str, AbstractProcess] = {}
    neurons: dict[str, AbstractProcess] = {}
    for node in network.ordered:
        neuron = neurons_of(net, node, period, sources.clock_lag)
        if node.name in recorders:
            neuron.proc_params[RECORDER] = recorders[node.name]
        neurons[node.name] = lines.neurons[node.name] = neuron
        for projection in network.incoming(node.name):
            synapses[projection.name] = lines.connect(projection, neuron)
        if node.name in net.clocks:
            lines.beat(node.name, neuron)
        if node.name in lines.echoes:
            lines.drive_echo(node)
    source = lines.first
    with _deep_recursion(len(synapses) + len(neurons) + len(lines.helpers)):
        lines.join(source)
    helpers = tuple(process for process in lines.helpers if process is not source)
    in_all = sources.lag + run_steps(net, samples, period)
    return Graph(source, synapses, neurons, helpers, tuple(lines.loops), in_all)
