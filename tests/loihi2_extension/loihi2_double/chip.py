"""The double's chip: all models on it run in one operating-system process, step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import create_port_id

from loihi2_double.building import ChipBuilder, Link


class _Receiver:
    def __init__(self, name: str, queue: deque[np.ndarray]) -> None:
        self.name, self._queue = name, queue

    def recv(self) -> np.ndarray:
        return self._queue.popleft()


class _Sender:
    def __init__(self, name: str, shape: tuple[int, ...], queue: deque[np.ndarray]) -> None:
        self.name, self._shape, self._queue = name, shape, queue

    def send(self, data: np.ndarray) -> None:
        if data.shape != self._shape:
            raise ValueError(f"port {self.name} sends {data.shape}, expected {self._shape}")
        self._queue.append(np.array(data, np.int32))


class Chip:
    """The models and their order.

    Synapses send what they held from the step before at the beginning of a step and receive at its
    end, so that loops need no order.
    """

    def __init__(self, builders: Iterable[ChipBuilder]) -> None:
        self._builders = {builder.model_id: builder for builder in builders}
        links = [link for b in self._builders.values() for link in b.links]
        for link in links:
            if not link.reads:
                self._connect(link)
        for builder in self._builders.values():
            for port in builder.host_ports:
                port.start()
        models = {number: builder.build() for number, builder in self._builders.items()}
        for link in links:
            if link.reads:
                models[link.source].watch(models[link.target], link.end)
        self._synapses = [m for m in models.values() if _held(m) is not None]
        waits: dict[int, set[int]] = {n: set() for n, m in models.items() if _held(m) is None}
        for link in links:
            if not link.reads and link.source in waits and link.target in waits:
                waits[link.target].add(link.source)
        self._others = [models[number] for number in TopologicalSorter(waits).static_order()]
        self.step = 0

    def _connect(self, link: Link) -> None:
        source, target = self._builders[link.source].inner, self._builders[link.target].inner
        queue: deque[np.ndarray] = deque(maxlen=1)
        receiver = _Receiver(link.end, queue)
        source.set_csp_ports([_Sender(link.port, source.py_ports[link.port].shape, queue)])
        target.set_csp_ports([receiver])
        target.add_csp_port_mapping(create_port_id(link.source, link.port), receiver)

    @property
    def neurons(self) -> list[int]:
        """Number of neurons of each process on neuro cores."""
        return [b.neurons for b in self._builders.values() if hasattr(b, "compiled_resources")]

    def run(self, steps: int) -> None:
        """Run so many more steps."""
        for _ in range(steps):
            self.step += 1
            for synapse in self._synapses:
                synapse.a_out.send(_held(synapse))
            for model in [*self._others, *self._synapses]:
                model.time_step = self.step
                model.run_spk()
            for model in self._others:
                if model.post_guard():
                    model.run_post_mgmt()

    def close(self) -> None:
        """Give the channels to the host up."""
        for builder in self._builders.values():
            for port in builder.host_ports:
                port.join()


def _held(model: Any) -> np.ndarray | None:
    """What synapses send next; None for anything else."""
    return getattr(model, "a_buf", getattr(model, "a_buff", None))
