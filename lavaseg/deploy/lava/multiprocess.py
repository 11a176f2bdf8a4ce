"""Runs a Lava graph on Lava's own multi-process runtime, supervised.

Lava's runtime waits for ever when one of its processes fails, survives its user's Ctrl-C badly and
leaves shared memory behind. Here it lives in a child process that leads a session of its own, so
that whatever happens everything it started can be ended, and everything it made removed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

import lavaseg
from lavaseg.deploy.lava.checks import check_lava, checked_period, run_steps
from lavaseg.deploy.lava.errors import LavaError
from lavaseg.deploy.lava.job import Job, Outcome
from lavaseg.deploy.lava.needs import check_machine
from lavaseg.deploy.lava.session import Progress, make_activity, open_recorders
from lavaseg.deploy.requests import check_request
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity
from lavaseg.system.environment import settle
from lavaseg.system.session import (
    shared_memory_prefix,
    sweep_shared_memory,
    temporary_folder,
)

COMMAND = (sys.executable, "-m", "lavaseg.deploy.supervised")
"""The command that runs a job; the job's folder is added."""


def run_multiprocess(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    record: Iterable[str] | str = (),
    timeout: float | None = None,
    fast: bool = True,
    period: int | None = None,
    progress: Progress | None = None,
) -> Activity:
    """Run the Lava graph of a network on Lava's multi-process runtime.

    Whether it returns, raises or is interrupted, no process, shared memory or file is left.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W), as the network's encoder gives them.
        record: names of populations (or the input) whose spikes are returned, or "all".
        timeout: seconds after which the run is given up, start-up included; by default many
            times what it should take.
        fast: our process models; False runs Lava's own arithmetic, a hundred times slower.
        period: physical steps from sample to sample, as for `build`; T by default.
        progress: called with physical steps (done, in all) while it runs.

    Raises:
        LavaError: wrong spikes, an unknown population, a network that cannot be deployed, or a
            run that failed: a process inside died or raised, or the time was up.
    """
    names = check_request(net, spikes, record)
    check_lava(net)
    apart = checked_period(net, period)
    check_machine(net, spikes, names)
    steps = run_steps(net, len(spikes), apart)
    limit = _default_limit(net, steps, fast) if timeout is None else timeout
    with temporary_folder() as folder:
        job = Job(net, spikes, names, fast, apart, limit, shared_memory_prefix(folder))
        job.save(folder)
        outcome = supervise(folder, job, steps, progress)
        if outcome.error:
            raise LavaError(f"Lava's multi-process runtime failed: {outcome.error}")
        recorders = open_recorders(net.network, names, folder)
    return make_activity(net.network, spikes, names, recorders, outcome.seconds)


def _default_limit(net: IntegerNetwork, steps: int, fast: bool) -> float:
    """Some ten times what start-up and steps took on two slow cores, seconds."""
    network = net.network
    neurons = sum(network.neurons(node.name) for node in network.senders)
    work = network.macs() * (2e-9 if fast else 1e-7) + neurons * 1e-6
    return 120 + 2 * len(network.projections) + steps * (0.1 + work)


def supervise(folder: Path, job: Job, steps: int, progress: Progress | None) -> Outcome:
    """Run the job in `folder` in a process of its own; nothing of it is left, however it ends."""
    with (folder / "log.txt").open("wb") as log:
        child = subprocess.Popen(
            [*COMMAND, str(folder)],
            stdin=subprocess.PIPE,  # closes when this process dies: the child ends then
            stdout=log,
            stderr=log,
            env=_environment(folder),
            cwd=folder,  # `-m` lets modules of the working directory hide all others
            start_new_session=True,
        )
    try:
        return _wait(child, folder, job, steps, progress)
    finally:
        _end_session(child)
        sweep_shared_memory(job.prefix)


def _environment(folder: Path) -> dict[str, str]:
    package = str(Path(lavaseg.__file__).parents[1])
    path = [str(Path(entry).absolute()) for entry in _search_path()]  # it works in another folder
    variables = dict(os.environ)
    settle(variables)
    return {
        **variables,
        "PYTHONPATH": os.pathsep.join([package, *path]),
        "TMPDIR": str(folder),  # what libraries leave there goes with the folder
        # each Lava process computes alone: threads of its own would only contend
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _search_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _wait(
    child: subprocess.Popen[bytes],
    folder: Path,
    job: Job,
    steps: int,
    progress: Progress | None,
) -> Outcome:
    deadline = time.monotonic() + job.limit
    shown = 0
    while child.poll() is None:
        if time.monotonic() > deadline:
            done = _steps_done(folder)
            return Outcome(
                error=f"step {done} of {steps} was reached when the time limit of "
                f"{job.limit:g} s was up"
            )
        if progress is not None and (done := _steps_done(folder)) > shown:
            shown = done
            progress(done, steps)
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.05)
    outcome = Outcome.load(folder)
    if outcome is None:
        log = (folder / "log.txt").read_text("utf-8", "replace").strip().splitlines()
        last = f": {log[-1]}" if log else ""
        return Outcome(error=f"its main process ended with code {child.returncode}{last}")
    if progress is not None and not outcome.error and shown < steps:
        progress(steps, steps)
    return outcome


def _steps_done(folder: Path) -> int:
    """The physical step that the read-out has reached."""
    try:
        return int(np.load(folder / "clock.npy", mmap_mode="r")[0])
    except (OSError, EOFError, ValueError):  # not written yet
        return 0


def _end_session(child: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the child's session, and wait until it is gone."""
    patience = time.monotonic() + 2
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < patience:
            os.killpg(child.pid, signal.SIGKILL)
            child.poll()
            time.sleep(0.01)
    child.wait()
    if child.stdin is not None:
        child.stdin.close()
