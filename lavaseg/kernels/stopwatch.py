"""Wall time of a run, without the time that its kernels take to be compiled or loaded."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

from numba.core import event


class Stopwatch:
    """Runs while its block is open.

    numba compiles a kernel, or loads it, when it is first called; it holds one lock meanwhile.
    """

    def __enter__(self) -> Stopwatch:
        self._compiling = _Locked()
        event.register("numba:compiler_lock", self._compiling)
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped = time.perf_counter()
        event.unregister("numba:compiler_lock", self._compiling)

    @property
    def seconds(self) -> float:
        """The time, once the block is closed."""
        return max(0.0, self._stopped - self._started - self._compiling.seconds)


class _Locked(event.Listener):
    """Adds up the time in which any thread holds numba's lock, or waits for it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._holders, self._since, self._lock = 0, 0.0, threading.Lock()

    def on_start(self, event: Any) -> None:
        with self._lock:
            if not self._holders:
                self._since = time.perf_counter()
            self._holders += 1

    def on_end(self, event: Any) -> None:
        with self._lock:
            if not self._holders:  # it was taken before this watch began
                return
            self._holders -= 1
            if not self._holders:
                self.seconds += time.perf_counter() - self._since
