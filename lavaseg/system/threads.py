"""Work on all cores: blocks of an array, each on a thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

_BLOCK = 2048
_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables by which libraries, and processes that are started, learn how many threads to take."""


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers() -> int:
    """Number of threads to work on: the cores, or OMP_NUM_THREADS where that is less."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores(), int(asked)) if asked.isdecimal() and int(asked) else cores()


def limit_threads(count: int | None) -> None:
    """Let this process, what it starts and torch work on `count` threads; None: as they do."""
    if count is None:
        return
    os.environ.update(dict.fromkeys(_LIMITS, str(count)))
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(count)


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """While open, this process, what it starts and torch work on `count` threads; None: no limit.

    Torch is imported, or is not imported meanwhile.
    """
    if count is None:
        yield
        return
    variables = {name: os.environ.get(name) for name in _LIMITS}
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    limit_threads(count)
    try:
        yield
    finally:
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if torch is not None:
            torch.set_num_threads(before)


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
    """The threads of this process, each started on first use; limits say how many are used."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="lavaseg")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
