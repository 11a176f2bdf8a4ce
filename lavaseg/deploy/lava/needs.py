"""Number of open files and bytes of shared memory that Lava's multi-process runtime needs."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from lava.magma.compiler.executable import Executable

from lavaseg.system.limits import allow_open_files, check_shared_memory

_WHAT = "this network on Lava's multi-process runtime"
_FILES_OF_CHANNEL = 2
"""The main process keeps the shared memory of a channel, and its mapping keeps it again."""
_FILES_OF_PROCESS = 7
"""Two ends of a pipe for its exceptions, two of a queue, two of `Process`, and what it records."""
_SPARE = 100
"""Python, its libraries, the run's own files, and what is open for a moment only."""


def make_room(executable: Executable) -> None:
    """Let this process, which will hold all channels and start all others, have what they need.

    Raises:
        LavasegError: the system does not allow it; the message says how much is needed.
    """
    allow_open_files(open_files(executable), _WHAT)
    check_shared_memory(shared_memory(executable), _WHAT)


def open_files(executable: Executable) -> int:
    """Largest number of files that the main process has open at a time."""
    processes = len(executable.proc_builders) + len(executable.runtime_service_builders)
    return _SPARE + _FILES_OF_CHANNEL * len(_channels(executable)) + _FILES_OF_PROCESS * processes


def shared_memory(executable: Executable) -> int:
    """Number of bytes that all channels take, with two semaphores each, in whole pages."""
    return sum(_pages(_size(channel)) + 2 for channel in _channels(executable)) * mmap.PAGESIZE


def _channels(executable: Executable) -> list[Any]:
    return [*executable.channel_builders, *(executable.sync_channel_builders or ())]


def _size(channel: Any) -> int:
    port = getattr(channel, "src_port_initializer", None)
    if port is None:  # a channel of commands: a number at a time
        return 1
    return int(np.prod(port.shape)) * np.dtype(port.d_type).itemsize * int(port.size)


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE)
