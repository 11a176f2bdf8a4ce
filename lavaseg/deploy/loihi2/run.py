"""Runs a network on Loihi 2, sample after sample, and listens to every population."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lavaseg.chip.period import padded
from lavaseg.deploy.lava.checks import check_lava
from lavaseg.deploy.lava.errors import LavaError
from lavaseg.deploy.lava.job import Job, Outcome
from lavaseg.deploy.lava.multiprocess import supervise
from lavaseg.deploy.lava.session import Progress, make_activity, open_recorders
from lavaseg.deploy.loihi2.job import LAGS, RUN, ChipTask
from lavaseg.deploy.loihi2.limits import check_limits
from lavaseg.deploy.loihi2.system import System, check_extension, check_place, placed
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.deploy.requests import check_request
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity
from lavaseg.system.session import clear_up, shared_memory_prefix, temporary_folder

_PATIENCE = 900.0
"""Seconds that a task may take before its steps: a board's queue, and Intel's compiler."""
_SECONDS_PER_STEP = 1.0


def run_loihi2(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    record: Iterable[str] | str = (),
    system: System | None = None,
    timing: Timing | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Activity:
    """Run the Lava graph of a network on a board with Loihi 2.

    Samples are streamed from the host, each in the least power of two of steps. The steps that
    adapters take are measured on the board first. The host listens to all populations, which makes
    the run slow: what it takes on the chip is for `profile` to say.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W), as the network's encoder gives them.
        record: names of populations (or the input) whose spikes are returned, or "all".
        system: where to run; as the environment says by default.
        timing: steps that the board's adapters take, if they are known: `measure_lags`.
        timeout: seconds after which each task on the board is given up.
        progress: called with physical steps (done, in all) while it runs.

    Raises:
        LavasegError: no extension, no such board, wrong spikes, a network that cannot be deployed
            or breaks a limit of the chip, or a run that failed.
    """
    check_extension()
    names = check_request(net, spikes, record)
    check_lava(net)
    check_limits(net)
    place = placed(system)
    check_place(place)
    if timing is None:
        timing = measure_lags(net, spikes, place, timeout)
    task = ChipTask(RUN, place, timing)
    with temporary_folder() as folder:
        outcome = do(net, spikes, names, task, folder, timeout, progress)
        recorders = open_recorders(net.network, names, folder)
    return make_activity(net.network, spikes, names, recorders, outcome.seconds)


def measure_lags(
    net: IntegerNetwork, spikes: np.ndarray, system: System, timeout: float | None
) -> Timing:
    """The steps that adapters and buffers of a board take."""
    with temporary_folder() as folder:
        outcome = do(net, spikes, (), ChipTask(LAGS, system), folder, timeout, None)
    return Timing(**outcome.data)


def do(
    net: IntegerNetwork,
    spikes: np.ndarray,
    record: tuple[str, ...],
    task: ChipTask,
    folder: Path,
    timeout: float | None,
    progress: Progress | None,
) -> Outcome:
    """Let a supervised process of its own do one task; its files lie in `folder`.

    Raises:
        LavaError: it failed, or the time was up.
    """
    steps = (len(spikes) + 1) * padded(net.steps) + max(net.network.latencies.values())
    limit = _PATIENCE + _SECONDS_PER_STEP * steps if timeout is None else timeout
    prefix = shared_memory_prefix(folder)
    job = Job(net, spikes, record, True, net.steps, limit, prefix, task.to_dict())
    clear_up()
    job.save(folder)
    outcome = supervise(folder, job, steps, progress)
    if outcome.error:
        raise LavaError(f"Loihi 2 ({task.kind}): {outcome.error}")
    return outcome
