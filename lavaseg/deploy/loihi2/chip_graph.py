"""The graph of a network on a board: stock processes, and adapters between host and chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from lava.magma.compiler.executable import Executable
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_configs import RunConfig
from lava.proc.conv.process import Conv

from lavaseg.chip.period import padded
from lavaseg.deploy.lava.graph import Graph, build
from lavaseg.deploy.lava.record import Recorder
from lavaseg.deploy.loihi2.sinks import Model, Spikes, States, listen, watch
from lavaseg.deploy.loihi2.sources import ChipSources
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.network import Relay
from lavaseg.network.integers import IntegerNetwork


@dataclass(frozen=True)
class ChipGraph:
    """A connected graph for a board.

    Args:
        graph: the network and its sources.
        edges: adapters, readers and sinks; the models of those on the host.
        steps: physical steps that a run takes.
    """

    graph: Graph
    edges: Mapping[AbstractProcess, Model | None]
    steps: int

    @property
    def processes(self) -> tuple[AbstractProcess, ...]:
        """All processes."""
        return *self.graph.processes, *self.edges

    @property
    def on_host(self) -> dict[AbstractProcess, Model]:
        """The models of the sinks; sources on the host are not named."""
        return {process: model for process, model in self.edges.items() if model is not None}

    def name(self, process: AbstractProcess) -> str:
        """Name of a process in messages."""
        if process in self.edges:
            return f"an adapter (Lava's {type(process).__name__})"
        return self.graph.name(process)

    def compile(self, config: RunConfig) -> Executable:
        """Lava's executable."""
        return self.graph.compile(config)


def build_on_chip(
    net: IntegerNetwork,
    spikes: np.ndarray,
    recorders: Mapping[str, Recorder],
    timing: Timing,
    *,
    replay: bool = False,
) -> ChipGraph:
    """The graph that plays `spikes` (N, T, C, H, W) to the network on a chip.

    A sample takes the least power of two of steps: silent steps follow its T.

    Args:
        recorders: of the populations whose spikes the host hears, made for that period; that of the
            read-out gets its membranes.
        timing: steps between host and chip.
        replay: the input comes from the chip's buffer.
    """
    period = padded(net.steps)
    delays = [min(p.longest, net.steps) for p in net.network.projections]
    sources = ChipSources(timing, replay, max(delays) if timing.buffer else 0)
    graph = build(net, spikes, {}, period, sources)
    steps = graph.steps + max(timing.spikes, 1)  # a state is sent in the step after it was read
    edges: dict[AbstractProcess, Model | None] = {}
    for name, recorder in recorders.items():
        signed = isinstance(net.network[name], Relay)
        task = Spikes(replace(recorder, membrane=None), sources.lag + timing.spikes, signed)
        edges |= listen(graph.neurons[name].s_out, task)
    readout = net.network.readout
    if readout in recorders:
        membranes = recorders[readout].membrane
        assert membranes is not None
        # Lava's step, from 1, in which the read-out does the last step of the first sample
        last = net.steps + net.network.latencies[readout] + sources.lag
        task_of_states = States(membranes, (last - 1) // period, steps)
        neurons = graph.neurons[readout]
        shared = any(isinstance(port.process, Conv) for port in neurons.a_in.get_src_ports())
        edges |= watch(neurons.v, shared, period, (last - 1) % period, task_of_states)
    return ChipGraph(graph, edges, steps)
