"""Runs Lava's multi-process runtime in the process that `lavaseg/deploy/supervised.py` starts.

It leads a session of its own. Lava waits for ever when one of its OS processes dies or raises, so
a thread watches them and the time limit; on trouble it writes down what happened and ends the
whole session.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import (
    active_children,
    connection,
    current_process,
    resource_tracker,
    set_start_method,
    shared_memory,
)
from pathlib import Path
from typing import Any, NoReturn

from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.compiler.executable import Executable
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.runtime.runtime import Runtime

from lavaseg.deploy.lava.graph import build
from lavaseg.deploy.lava.job import Job, Outcome
from lavaseg.deploy.lava.needs import make_room, use_few_files
from lavaseg.deploy.lava.process_models import run_config
from lavaseg.deploy.lava.session import make_recorders
from lavaseg.errors import LavasegError
from lavaseg.system.faults import explanation
from lavaseg.system.session import end_forks_with_this


class _Watch:
    """Ends the session when something goes wrong that Lava would wait out for ever."""

    def __init__(self, folder: Path, job: Job) -> None:
        self._folder, self._job = folder, job
        self._deadline = time.monotonic() + job.limit + 5  # the calling process comes first
        self._lock = threading.Lock()
        self._names: Sequence[str] = ()
        self._runtime: Runtime | None = None

    def start(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def run(
        self, executable: Executable, steps: int, name: Callable[[AbstractProcess], str]
    ) -> float:
        """Seconds that an executable takes for so many steps, its OS processes being watched.

        Args:
            name: of a process, for messages.
        """
        builders: Mapping[AbstractProcess, Any] = executable.proc_builders
        # those that become OS processes, in the order of their creation
        self._names = [name(p) for p, b in builders.items() if isinstance(b, PyProcessBuilder)]
        self._runtime = runtime = Runtime(executable, ActorType.MultiProcessing)
        runtime.initialize()
        start = time.perf_counter()
        runtime.start(RunSteps(num_steps=steps))
        seconds = time.perf_counter() - start
        self._runtime = None  # from now on they may end
        runtime.stop()
        return seconds

    def fail(self, message: str) -> NoReturn:
        """Write down what happened (the first message stays) and end the session."""
        self._lock.acquire()
        try:
            Outcome(error=message).save(self._folder)
        finally:
            self._end_session()

    def _end_session(self) -> NoReturn:
        os.killpg(0, signal.SIGKILL)
        raise SystemExit(1)  # not reached

    def _watch(self) -> None:
        while True:
            actors = self._actors()
            for sentinel in connection.wait([*actors], timeout=0.2):
                if self._runtime is not None:
                    self.fail(self._obituary(*actors[sentinel]))
            if time.monotonic() > self._deadline:
                self.fail(f"it did not finish within the time limit of {self._job.limit:.0f} s")

    def _actors(self) -> dict[Any, tuple[str, Any]]:
        """(name, OS process) by sentinel, which becomes readable when the process ends."""
        infrastructure = getattr(self._runtime, "_messaging_infrastructure", None)
        found = {}
        for index, actor in enumerate(infrastructure.actors if infrastructure else ()):
            name = self._names[index] if index < len(self._names) else "Lava's runtime service"
            with suppress(ValueError):  # not started yet, or closed
                found[actor.sentinel] = name, actor
        return found

    @staticmethod
    def _obituary(name: str, actor: Any) -> str:
        with suppress(EOFError):  # it died without a word
            if actor._pconn.poll():  # where Lava puts the exception of an OS process
                report = actor._pconn.recv()
                if report is not None:
                    return f"{name} raised {_in_words(report[0])}"
        return f"the OS process of {name} died"


def _in_words(error: BaseException) -> str:
    """An exception and, if the system or a library gave up, what can be done about it."""
    return f"{type(error).__name__}: {explanation(error) or error}"


def main(folder: Path) -> None:
    """Run the job in `folder` and write its outcome there."""
    job = Job.load(folder)
    _own_shared_memory(job.prefix)
    set_start_method("fork", force=True)  # what Lava's runtime needs
    if job.chip is None:  # what a chip's extension expects of Lava's runtime is left as it is
        use_few_files()
    end_forks_with_this()
    watch = _Watch(folder, job)
    watch.start()
    try:
        outcome = _on_chip(job, folder, watch) if job.chip else _on_cpus(job, folder, watch)
    except LavasegError as error:
        watch.fail(str(error))
    except Exception as error:
        watch.fail(_in_words(error))
    outcome.save(folder)
    _collect()


def _on_cpus(job: Job, folder: Path, watch: _Watch) -> Outcome:
    net = job.net
    recorders = make_recorders(
        net.network, len(job.spikes), net.steps, job.record, folder, period=job.period
    )
    graph = build(net, job.spikes, recorders, job.period)
    executable = graph.compile(run_config(graph.processes, job.fast))
    make_room(executable)
    return Outcome(watch.run(executable, graph.steps, graph.name))


def _on_chip(job: Job, folder: Path, watch: _Watch) -> Outcome:
    from lavaseg.deploy.loihi2.child import do_task

    return do_task(job, folder, watch.run)


def _collect() -> None:
    """Wait for what this process started, Python's resource tracker too.

    Left to the system's first process they stay in the process table until that looks after them,
    for a second or so, and the calling process waits as long as anything of this session is there.
    """
    for process in active_children():
        process.join(2)
    tracker = resource_tracker._resource_tracker
    if not active_children() and hasattr(tracker, "_stop"):
        tracker._stop()


def _own_shared_memory(prefix: str) -> None:
    """Let all shared memory of this session begin with `prefix`, so that it can be swept."""
    shared_memory._SHM_NAME_PREFIX = f"/{prefix}"  # type: ignore[attr-defined]
    shared_memory._SHM_SAFE_NAME_LENGTH = 30  # type: ignore[attr-defined]  # macOS: 31
    current_process()._config["semprefix"] = f"/{prefix}"  # type: ignore[attr-defined]
