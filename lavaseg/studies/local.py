"""Jobs of a study as processes of this machine, some at a time.

Each has a process of its own with its share of the threads, and its log in its run's folder. One
that fails stops no other. A process ends when the pipe at its stdin is closed: when this process
is interrupted, and when it is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lavaseg.errors import LavasegError
from lavaseg.runs.run import make_folder
from lavaseg.studies.plan import Job
from lavaseg.studies.pool import Pool
from lavaseg.system.files import last_line
from lavaseg.system.threads import workers

Report = Callable[[int, float, str], None]
"""Called with the index of a job that ended, its seconds, and why it failed or ""."""
LOG = "log.txt"
_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_LOOK = 0.05
"""Seconds between two looks at the processes."""
_GRACE = 30.0
"""Seconds that an interrupted process has to end by itself."""


@dataclass
class _Process:
    index: int
    log: Path
    before: int
    """Bytes that the log had when it began."""
    started: float
    handle: subprocess.Popen[bytes]
    output: IO[bytes]


def run_jobs(
    folder: Path,
    jobs: Sequence[Job],
    todo: Sequence[int],
    pool: Pool,
    at_once: int,
    report: Report,
) -> dict[int, str]:
    """Do jobs of the study in a folder of results.

    Args:
        jobs: all of the study's.
        todo: indices of those to do, in this order.
        at_once: how many at a time.
        report: called as each ends.

    Returns:
        Why jobs failed, by index.

    Raises:
        KeyboardInterrupt: Ctrl-C; all processes have ended then.
    """
    environment = os.environ | dict.fromkeys(_LIMITS, str(max(workers() // at_once, 1)))
    waiting, running, failed = list(todo), list[_Process](), dict[int, str]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                index = waiting.pop(0)
                log = pool.place(jobs[index]) / LOG
                try:
                    running.append(_start(folder, index, log, environment))
                except LavasegError as error:
                    failed[index] = f"{error}"
                    report(index, 0.0, failed[index])
            for process in [p for p in running if p.handle.poll() is not None]:
                running.remove(process)
                why = _end(process)
                if why:
                    failed[process.index] = why
                report(process.index, time.monotonic() - process.started, why)
            time.sleep(_LOOK)
    finally:
        _stop(running)
    return failed


def command(folder: Path, index: int) -> list[str]:
    """The words that do job `index` of the study in a folder of results."""
    words = [sys.executable, "-m", "lavaseg", "study", "task", str(folder), str(index)]
    return [*words, "--attached"]


def _start(folder: Path, index: int, log: Path, environment: dict[str, str]) -> _Process:
    make_folder(log.parent)
    try:
        output = log.open("ab")  # another study may be at the same run, and log there, too
    except OSError as error:
        raise LavasegError(f"{log} cannot be written: {error.strerror or error}") from None
    before = output.tell()
    handle = subprocess.Popen(
        command(folder, index),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches it through the pipe alone, and only once
    )
    return _Process(index, log, before, time.monotonic(), handle, output)


def _end(process: _Process) -> str:
    """Close what an ended process had open; why it failed, or ""."""
    assert process.handle.stdin is not None
    process.handle.stdin.close()
    process.output.close()
    code = process.handle.returncode
    if code == 0:
        return ""
    if code < 0:
        why = f"killed by signal {-code}"
    else:
        last = last_line(process.log, process.before)
        why = last.removeprefix("error: ") or f"ended with exit code {code}"
    return f"{why} (log: {process.log})"


def _stop(running: Sequence[_Process]) -> None:
    """End processes: by their pipe, then by force."""
    for process in running:
        assert process.handle.stdin is not None
        process.handle.stdin.close()
    until = time.monotonic() + _GRACE
    for process in running:
        try:
            process.handle.wait(max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.handle.pid, signal.SIGKILL)  # its own workers, too
            process.handle.wait()
        process.output.close()
