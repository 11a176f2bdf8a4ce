"""What Lava's multi-process runtime needs of the machine, made small and asked for beforehand.

Lava gives each channel named shared memory and each process a queue of its own: more open files
than Linux allows by default (1,024) once a network has some fifty populations. Every process is a
fork of the one that made the channels, so memory without a name does as well, and one queue for
all. Neither changes what is computed, or in which process.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
from pathlib import Path
from typing import Any

from lava.magma.compiler.executable import Executable
from lava.magma.runtime import runtime
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing
from lava.magma.runtime.message_infrastructure.shared_memory_manager import SharedMemoryManager

from lavaseg.system.limits import allow_open_files, allow_threads, check_shared_memory

_WHAT = "this network on Lava's multi-process runtime"
_FILES_OF_PROCESS = 3
"""One end of the pipe for its exceptions, and the two files that `multiprocessing` keeps."""
_SPARE = 50
"""What each process opens for itself, and what is open for a moment only."""
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
    allow_open_files(_open_files() + _FILES_OF_PROCESS * processes + _SPARE, _WHAT)
    allow_threads(processes + _THREADS_OF_CHANNEL * channels + _SPARE_THREADS, _WHAT)
    # each semaphore is a page of shared memory
    check_shared_memory(_SEMAPHORES_OF_CHANNEL * channels * mmap.PAGESIZE, _WHAT)


def _open_files() -> int:
    """Number of files that this process has open, where the system says it."""
    folder = Path("/dev/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0
