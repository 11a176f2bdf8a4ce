"""Jobs of Slurm and arrays of them: submitting, their states, what keeps or ended them."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lavaseg.deploy.slurm.cluster import choose, find_cluster
from lavaseg.deploy.slurm.commands import call
from lavaseg.errors import LavasegError
from lavaseg.system.signals import deferred_signals

Answer = TypeVar("Answer")

_GOING = (
    "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING",
    "RESIZING", "STAGE_OUT", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
)  # fmt: skip
"""States of jobs that have not ended."""
_HOPELESS = ("PartitionTimeLimit", "PartitionDown", "PartitionInactive", "BadConstraints")
"""Reasons for which a job would wait for ever."""
_DOWN = ("ReqNodeNotAvail", "Nodes_required_for_job_are_DOWN", "Nodes required for job are DOWN")
"""Reasons for which it would if its nodes are down; they may be reserved for others only."""
_ENDS = {
    "TIMEOUT": "reached its time limit and was ended by Slurm; --time gives it more minutes",
    "CANCELLED": "was cancelled (scancel) before it had ended",
    "NODE_FAIL": "was lost: its {node} failed while it ran",
    "OUT_OF_MEMORY": "was ended by Slurm: it took more memory than it may",
    "PREEMPTED": "was ended by Slurm for a job that goes first",
    "DEADLINE": "was ended by Slurm at its deadline",
    "BOOT_FAIL": "did not start: its {node} did not boot",
}


@dataclass(frozen=True)
class State:
    """The state of a job.

    Args:
        name: in Slurm's words, such as PENDING or TIMEOUT; "" if Slurm has forgotten the job.
        reason: why it waits, or "None".
        nodes: where it runs.
    """

    name: str
    reason: str = ""
    nodes: str = ""

    @property
    def ended(self) -> bool:
        return self.name not in _GOING


def own_name(beginning: str) -> str:
    """A name for a job that no other has."""
    return f"{beginning}-{secrets.token_hex(4)}"


def submit_script(
    options: Sequence[str],
    script: Path,
    words: Sequence[str],
    environment: Mapping[str, str],
    name: str | None = None,
) -> str:
    """Submit a script; it comes into the queue and its number back, or neither.

    Args:
        options: of `sbatch`.
        words: of the script.
        environment: what the job finds besides the environment of this process.
        name: of the job, that no other has; by default one that is drawn.

    Returns:
        The number of the job, or of the array of jobs.

    Raises:
        LavasegError: Slurm refuses it or does not answer.
    """
    name = name or own_name("lavaseg")  # by which it is found if no number comes back
    command = ["sbatch", "--parsable", "--no-requeue", f"--job-name={name}", *options, str(script)]
    try:
        with deferred_signals():
            answer = call([*command, *words], {**os.environ, **environment})
    except BaseException:  # an interrupt that waited is raised when the block has ended
        subprocess.run(["scancel", f"--name={name}"], capture_output=True, check=False)
        raise
    return answer.strip().partition(";")[0]


def state_of(job: str) -> State:
    """The state of a job.

    Raises:
        LavasegError: Slurm does not answer.
    """
    answer = _ask_queue(job, "%T|%r|%N")
    return State(*answer.splitlines()[0].split("|", 2)) if answer else State("")


def states_of(array: str, name: str) -> dict[int, State]:
    """The states of an array's jobs by their indices; those that Slurm has forgotten are left out.

    Args:
        array: its number, which Slurm may have given to other jobs since it was set up anew.
        name: of its jobs, which no others have.

    Raises:
        LavasegError: Slurm does not answer.
    """
    found = {}
    for line in _ask_queue(array, "%K|%T|%r|%N", "-r", "-n", name).splitlines():
        index, *state = line.split("|", 3)
        if index.isdecimal():
            found[int(index)] = State(*state)
    return found


def arrays_named(name: str) -> dict[str, str]:
    """Comments of the arrays with jobs of a name that have not ended, by their numbers.

    Raises:
        LavasegError: Slurm does not answer.
    """
    # squeue by itself leaves out jobs that are suspended or held
    answer = call(["squeue", "-h", "-t", "all", "-n", name, "-o", "%F|%T|%k"])
    rows = [line.strip().split("|", 2) for line in answer.splitlines()]
    return {number: comment for number, state, comment in rows if not State(state).ended}


def _ask_queue(job: str, form: str, *options: str) -> str:
    """What `squeue` says of a job that may have ended; "" if Slurm has forgotten it."""
    try:
        return call(["squeue", "-h", *options, "-j", job, "-t", "all", "-o", form]).strip()
    except LavasegError as error:
        if "Invalid job id" in str(error):
            return ""
        raise


def patiently(
    ask: Callable[[], Answer],
    patience: float,
    pause: float,
    silent: Callable[[LavasegError], object] = lambda error: None,
) -> Answer:
    """What a question to Slurm gives; its controller may be away for a while.

    Args:
        patience: seconds after which it is given up.
        pause: seconds between two tries.
        silent: called with each try's error before the next.

    Raises:
        LavasegError: of the last try.
    """
    end = time.monotonic() + patience
    while True:
        try:
            return ask()
        except LavasegError as error:
            if time.monotonic() > end:
                raise
            silent(error)
        time.sleep(pause)


def obstacle(reason: str, node: str, partition: str | None, board: str | None = None) -> str:
    """Why a job that waits for `reason` cannot start as things are; "" if it may.

    Args:
        node: what nodes are called, such as board.
        partition, board: that it was submitted to, at most one of them.
    """
    if reason.startswith(_HOPELESS):
        return f"`sinfo` shows which {node}s take jobs"
    if not reason.startswith(_DOWN):
        return ""
    try:
        cluster = find_cluster()
    except LavasegError:  # the next look at the queue says so
        return ""
    try:
        choose(cluster, partition, board, None)
    except LavasegError as error:
        return str(error)
    return ""


def end_in_words(state: str, node: str) -> str:
    """What a job did that ended in a state of Slurm; "" if its own output says why it ended.

    Args:
        state: name of the state.
        node: what its node is called, such as board.
    """
    return _ENDS.get(state, "").format(node=node)


def cancel(job: str) -> None:
    """Take a job, or an array of jobs, out of the queue, or end it.

    Raises:
        LavasegError: Slurm does not answer.
    """
    call(["scancel", job])
