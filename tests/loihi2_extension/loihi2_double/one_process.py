"""Host and chip in one operating-system process, for many small networks in a short time."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from lava.magma.compiler.builders.channel_builder import ChannelBuilderMp
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.compiler.executable import Executable
from lava.magma.core.process.ports.ports import create_port_id

from loihi2_double.chip import Chip


class _End:
    """One end of a channel between host and chip."""

    def __init__(self, name: str, queue: deque[np.ndarray]) -> None:
        self.name, self._queue = name, queue

    def start(self) -> None:
        """Nothing to start."""

    def send(self, data: np.ndarray) -> None:
        """Put a sheet into the channel."""
        self._queue.append(np.array(data, np.int32))

    def recv(self) -> np.ndarray:
        """Take a sheet out; there must be one."""
        return self._queue.popleft()

    def probe(self) -> bool:
        """Whether there is one."""
        return bool(self._queue)


def run_in_one_process(executable: Executable, steps: int) -> None:
    """Run an executable: in each step sources on the host, the chip, sinks on the host."""
    builders: dict[Any, Any] = executable.proc_builders
    fed = set()
    for channel in executable.channel_builders:
        if not isinstance(channel, ChannelBuilderMp):
            continue  # within the chip
        queue: deque[np.ndarray] = deque()
        source, target = channel.src_process, channel.dst_process
        end = _End(channel.dst_port_initializer.name, queue)
        builders[source].set_csp_ports([_End(channel.src_port_initializer.name, queue)])
        builders[target].set_csp_ports([end])
        port_id = create_port_id(source.id, channel.src_port_initializer.name)
        builders[target].add_csp_port_mapping(port_id, end)
        fed.add(target)
    hosted = {p: b.build() for p, b in builders.items() if isinstance(b, PyProcessBuilder)}
    chip = Chip(b for b in builders.values() if not isinstance(b, PyProcessBuilder))
    for step in range(1, steps + 1):
        for wants_input in (False, True):
            if wants_input:
                chip.run(1)
            for process, model in hosted.items():
                if (process in fed) == wants_input:
                    model.time_step = step
                    model.run_spk()
