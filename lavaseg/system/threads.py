"""Work on all cores: blocks of an array, each on a thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

_BLOCK = 2048


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers() -> int:
    """Number of threads to work on: the cores, or OMP_NUM_THREADS where that is less."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores(), int(asked)) if asked.isdecimal() and int(asked) else cores()


def over_blocks(count: int, work: Callable[[int, int], object], block: int = _BLOCK) -> None:
    """Run `work(first, last)` over blocks of `count` things, on a thread a core, or fewer.

    Args:
        work: releases Python's lock (a compiled kernel), or nothing is gained.
        block: number of things in a block; a block stays on one thread.
    """
    blocks = range(0, count, block)
    threads = min(len(blocks), workers())
    if threads <= 1:
        for first in blocks:
            work(first, min(first + block, count))
        return
    share = -(-len(blocks) // threads) * block

    def run(start: int) -> None:
        for first in range(start, min(start + share, count), block):
            work(first, min(first + block, count))

    list(_pool().map(run, range(0, count, share)))


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads of this process, started on first use."""
    return ThreadPoolExecutor(workers(), thread_name_prefix="lavaseg")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
