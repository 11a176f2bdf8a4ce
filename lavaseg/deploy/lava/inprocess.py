"""Runs a Lava graph in this OS process: Lava's compiler, its ports and the process models.

Only channels and scheduling are ours. Lava's runtime gives each process an OS process of its own
and synchronises them at each step; here the models run one after the other, sources first, and a
channel is a queue. No shared memory, no start method, nothing to clean up.

A loop has no first model. Synapses send what they hold from the step before, then receive: those
that close a loop send at the beginning of a step, and receive when their source has run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from lava.magma.compiler.utils import PortInitializer
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.ports.ports import create_port_id
from threadpoolctl import threadpool_limits

from lavaseg.deploy.lava.graph import Graph, build
from lavaseg.deploy.lava.process_models import run_config
from lavaseg.deploy.lava.session import Progress, make_activity, make_recorders
from lavaseg.deploy.requests import check_request
from lavaseg.kernels.stopwatch import Stopwatch
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity


class _Receiver:
    """Receiving end of a channel, as a `PyInPort` expects it."""

    def __init__(self, port: PortInitializer, queue: deque[np.ndarray]) -> None:
        self.name = port.name
        self._queue = queue

    def recv(self) -> np.ndarray:
        return self._queue.popleft()


class _Sender:
    """Sending end: casts to the type of the port, as Lava's shared-memory channel does."""

    def __init__(self, port: PortInitializer, queue: deque[np.ndarray]) -> None:
        self.name = port.name
        self._shape, self._dtype = tuple(port.shape), port.d_type
        self._queue = queue

    def send(self, data: np.ndarray) -> None:
        if data.shape != self._shape:
            raise ValueError(f"port {self.name} sends {data.shape}, expected {self._shape}")
        self._queue.append(np.array(data, self._dtype))


def _compile(
    graph: Graph, fast: bool
) -> tuple[list[PyLoihiProcessModel], list[PyLoihiProcessModel]]:
    """The connected process models, each after those that send to it; those that close loops."""
    executable = graph.compile(run_config(graph.processes, fast))
    builders = executable.proc_builders
    senders: dict[Any, list[Any]] = {process: [] for process in builders}
    for channel in executable.channel_builders:
        queue: deque[np.ndarray] = deque(maxlen=1)  # a loop sends twice a step: the last counts
        source, target = channel.src_process, channel.dst_process
        receiver = _Receiver(channel.dst_port_initializer, queue)
        builders[source].set_csp_ports([_Sender(channel.src_port_initializer, queue)])
        builders[target].set_csp_ports([receiver])
        # tells the views (flatten, reshape) of ports which channel they belong to
        port_id = create_port_id(source.id, channel.src_port_initializer.name)
        builders[target].add_csp_port_mapping(port_id, receiver)
        if source not in graph.loops:
            senders[target].append(source)
    order = TopologicalSorter(senders).static_order()
    models = {process: builders[process].build() for process in order}
    return list(models.values()), [models[process] for process in graph.loops]


def _held(synapse: Any) -> np.ndarray:
    """The sums that a synapse model sends next."""
    held: np.ndarray = synapse.a_buf if hasattr(synapse, "a_buf") else synapse.a_buff
    return held


def _run(
    models: list[PyLoihiProcessModel],
    loops: list[PyLoihiProcessModel],
    steps: int,
    progress: Progress | None,
) -> None:
    every = max(1, steps // 100)
    for step in range(1, steps + 1):
        for synapse in loops:
            synapse.a_out.send(_held(synapse))
        # the graph learns nothing and reads no variables: the spiking phase is all there is
        for model in models:
            model.time_step = step
            model.run_spk()
        if progress is not None and (step % every == 0 or step == steps):
            progress(step, steps)


def run_inprocess(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    record: Iterable[str] | str = (),
    fast: bool = True,
    period: int | None = None,
    progress: Progress | None = None,
) -> Activity:
    """Run the Lava graph of a network in this process.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W), as the network's encoder gives them.
        record: names of populations (or the input) whose spikes are returned, or "all".
        fast: our process models; False runs Lava's own arithmetic, a hundred times slower.
        period: physical steps from sample to sample, as for `build`; T by default.
        progress: called with physical steps (done, in all), about a hundred times.

    Raises:
        LavaError: wrong spikes, an unknown population, or a network that cannot be deployed.
    """
    names = check_request(net, spikes, record)
    recorders = make_recorders(net.network, len(spikes), net.steps, names, period=period)
    graph = build(net, spikes, recorders, period)
    try:
        models, loops = _compile(graph, fast)
        # a few small matrix products a step: more threads would mostly wait for one another
        with threadpool_limits(1, user_api="blas"), Stopwatch() as watch:
            _run(models, loops, graph.steps, progress)
    finally:
        graph.release()
    return make_activity(net.network, spikes, names, recorders, watch.seconds)
