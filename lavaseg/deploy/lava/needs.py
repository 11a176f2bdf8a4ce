"""What Lava's multi-process runtime needs of the machine, made small and asked for beforehand.

Lava gives each channel named shared memory and each process a queue of its own: more open files
than Linux allows by default (1,024) once a network has some fifty populations. Every process is a
fork of the one that made the channels, so memory without a name does as well, and one queue for
all. Neither changes what is computed, or in which process.
"""

from __future__ import annotations

import mmap
import multiprocessing
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.compiler.executable import Executable
from lava.magma.runtime import runtime
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing
from lava.magma.runtime.message_infrastructure.shared_memory_manager import SharedMemoryManager

from lavaseg.deploy.lava.job import job_bytes
from lavaseg.deploy.lava.parts import Parts, count_parts
from lavaseg.deploy.requests import check_request
from lavaseg.network.integers import IntegerNetwork
from lavaseg.system.limits import (
    allow_open_files,
    allow_threads,
    check_disk,
    check_open_files,
    check_shared_memory,
)
from lavaseg.system.session import clear_up

_WHAT = "this network on Lava's multi-process runtime"
_FILES = 30
"""What the process that starts all others has open itself: some dozen files."""
_FILES_OF_PROCESS = 3
"""One end of the pipe for its exceptions, and the two files that `multiprocessing` keeps."""
_SPARE = 50
"""What each process opens for itself, and what is open for a moment only."""
SERVICES = 1
"""Lava's runtime service, a process besides those of the graph."""
_SEMAPHORES_OF_CHANNEL = 2
_THREADS_OF_CHANNEL = 2
"""One at each end."""
_SPARE_THREADS = 10


class _Memory:
    """Memory that processes forked from this one share; it has no file and no name.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self.buf = memoryview(mmap.mmap(-1, max(size, 1)))

    def close(self) -> None:
        """Nothing to do: it goes with the last process that holds it."""


def use_few_files() -> None:
    """Let Lava's runtime open few files in this process, which runs nothing else."""
    build = MultiProcessing.build_actor
    errors: Any = multiprocessing.Queue()

    def build_actor(self: Any, *arguments: Any, **options: Any) -> Any:
        actor = build(self, *arguments, **options)
        actor._cconn.close()  # the end that only the new process writes to
        return actor

    MultiProcessing.build_actor = build_actor
    SharedMemoryManager.create_shared_memory = lambda self, size: _Memory(size)
    # so its process has nothing to do; its socket cannot have a path of more than 107 bytes
    SharedMemoryManager.start = SharedMemoryManager.shutdown = lambda self: None
    runtime.Queue = lambda: errors  # as many are taken out as processes put in


def make_room(executable: Executable) -> None:
    """Let this process, which holds all channels and starts all others, have what they need.

    Raises:
        LavasegError: the system does not allow it; the message says how much is needed.
    """
    processes = len(executable.proc_builders) + len(executable.runtime_service_builders)
    channels = len(executable.channel_builders) + len(executable.sync_channel_builders)
    allow_open_files(_open_files(processes), _WHAT)
    _check_processes(processes, channels)


def check_machine(net: IntegerNetwork, spikes: np.ndarray, record: Iterable[str] | str) -> None:
    """Check that this machine can run a network on Lava's multi-process runtime, before it does.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W).
        record: as for a run.

    Raises:
        LavasegError: it cannot; the message says what is too little, and how much is needed.
    """
    names = check_request(net, spikes, record)
    parts = count_parts(net)
    processes = parts.processes + SERVICES
    check_open_files(_open_files(processes), _WHAT)
    _check_processes(processes, parts.channels + sync_channels(parts))
    clear_up()  # what was killed may have left the disk full
    check_disk(Path(tempfile.gettempdir()), job_bytes(net, spikes, names), _WHAT)


def sync_channels(parts: Parts) -> int:
    """Channels by which Lava keeps processes in step: runtime, service and each process."""
    return 2 * (parts.processes + SERVICES)  # there and back


def _open_files(processes: int) -> int:
    return _FILES + _FILES_OF_PROCESS * processes + _SPARE


def _check_processes(processes: int, channels: int) -> None:
    allow_threads(processes + _THREADS_OF_CHANNEL * channels + _SPARE_THREADS, _WHAT)
    # each semaphore is a page of shared memory
    check_shared_memory(_SEMAPHORES_OF_CHANNEL * channels * mmap.PAGESIZE, _WHAT)
