"""Slurm by its own commands: which boards there are, submitting a job, following it, ending it.

Plain `sbatch` and `squeue` rather than submitit: that one runs a pickled Python function, needs
itself installed where the job runs, and asks `sacct` for a job's state, which answers nothing where
Slurm keeps no accounting.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lavaseg.deploy.slurm import Node, call, find_nodes
from lavaseg.errors import LavasegError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Board:
    """A node of Slurm, in all its partitions.

    Args:
        node: as the first partition shows it.
        partitions: those that it belongs to.
    """

    node: Node
    partitions: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def usable(self) -> bool:
        """Whether it takes jobs, now or when those before are done."""
        return self.node.takes_jobs

    def __str__(self) -> str:
        return str(self.node)


@dataclass(frozen=True)
class Partition:
    """A partition of Slurm.

    Args:
        up: it takes jobs.
        limit: most minutes of a job; None if there is no limit.
        default: jobs that name none go there.
    """

    name: str
    up: bool
    limit: float | None
    default: bool


@dataclass(frozen=True)
class Cluster:
    """What `sinfo` says: boards and partitions, by name."""

    boards: Mapping[str, Board]
    partitions: Mapping[str, Partition]


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
        return self.name not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")


def find_cluster() -> Cluster:
    """Ask `sinfo`.

    Raises:
        LavasegError: there is no Slurm here, or it does not answer.
    """
    boards: dict[str, Board] = {}
    for node in find_nodes():
        before = boards[node.name].partitions if node.name in boards else ()
        boards[node.name] = Board(node, (*before, node.partition))
    partitions = {}
    for line in call(["sinfo", "-h", "-s", "-o", "%P|%a|%l"]).splitlines():
        name, available, limit = line.split("|")
        own = name.removesuffix("*")
        partitions[own] = Partition(own, available == "up", minutes(limit), own != name)
    return Cluster(boards, partitions)


def minutes(limit: str) -> float | None:
    """A time limit as Slurm writes it, days-hours:minutes:seconds, in minutes; None if infinite."""
    days, _, clock = limit.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in parts):
        return None
    hours, mins, seconds = (int(part) for part in ["0", "0", *parts][-3:])
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60


def choose(
    cluster: Cluster, partition: str | None, board: str | None, limit: int | None
) -> list[str]:
    """Options of `sbatch` for a partition, or a board, or neither, which is Slurm's default.

    Args:
        partition, board: at most one of them.
        limit: minutes that the job may take; None: as the partition says.

    Raises:
        LavasegError: there is no such partition or board, it takes no jobs, or the job may take
            longer than the partition lets any.
    """
    if board:
        partition = _partition_of(cluster, board)
    elif not partition:
        partition = next((p.name for p in cluster.partitions.values() if p.default), None)
        if partition is None:
            raise LavasegError(
                "Slurm has no default partition: --partition names one of "
                f"{', '.join(cluster.partitions)}"
            )
    _check_partition(cluster, partition, limit)
    options = [f"--partition={partition}"]
    options += [f"--nodelist={board}"] if board else []
    return options + ([f"--time={limit}"] if limit is not None else [])


def _partition_of(cluster: Cluster, board: str) -> str:
    found = cluster.boards.get(board)
    if found is None:
        raise LavasegError(f"no board {board!r}; there are {_names(cluster.boards)}")
    if not found.usable:
        usable = [other.name for other in cluster.boards.values() if other.usable]
        raise LavasegError(f"board {found}; boards that take jobs: {_names(usable)}")
    up = [name for name in found.partitions if cluster.partitions[name].up]
    return (up or found.partitions)[0]


def _check_partition(cluster: Cluster, name: str, limit: int | None) -> None:
    found = cluster.partitions.get(name)
    if found is None:
        raise LavasegError(f"no partition {name!r}; there are {_names(cluster.partitions)}")
    own = [board for board in cluster.boards.values() if name in board.partitions]
    if not found.up or not any(board.usable for board in own):
        states = ", ".join(map(str, own))
        what = "it is not up" if not found.up else states or "it has no board"
        raise LavasegError(f"partition {name!r} takes no job: {what}")
    if limit is not None and found.limit is not None and limit > found.limit:
        raise LavasegError(
            f"--time {limit}: partition {name!r} lets a job take {found.limit:g} minutes at most"
        )


def _names(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(names) or "none"


def submit_script(
    options: Sequence[str], script: Path, words: Sequence[str], environment: Mapping[str, str]
) -> str:
    """Submit a script; it comes into the queue and its number back, or neither.

    Args:
        options: of `sbatch`.
        words: of the script.
        environment: what the job finds besides the environment of this process.

    Returns:
        The number of the job.

    Raises:
        LavasegError: Slurm refuses it or does not answer.
    """
    name = f"lavaseg-{secrets.token_hex(4)}"  # by which it is found if no number comes back
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
    command = ["squeue", "-h", "-j", job, "-t", "all", "-o", "%T|%r|%N"]
    try:
        answer = call(command).strip()
    except LavasegError as error:
        if "Invalid job id" in str(error):
            return State("")
        raise
    return State(*answer.splitlines()[0].split("|", 2)) if answer else State("")


def cancel(job: str) -> None:
    """Take a job out of the queue, or end it.

    Raises:
        LavasegError: Slurm does not answer.
    """
    call(["scancel", job])


@contextmanager
def deferred_signals() -> Iterator[Callable[[], object]]:
    """While open, signals that would end this process wait: what is begun is finished.

    Yields:
        What lets them in before the block ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """While open, a lost terminal and a polite kill are like Ctrl-C: a KeyboardInterrupt."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
