"""What `sinfo` says of nodes and partitions, and which of them a job may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lavaseg.deploy.slurm.commands import call
from lavaseg.errors import LavasegError

NODES = ("sinfo", "--noheader", "--Node", "--format=%N|%R|%a|%T")
"""A line for each node of each partition: node, partition, up or down, state of the node."""
_UNUSABLE = (
    "down", "drain", "fail", "maint", "unk", "no_resp", "power", "reboot", "boot", "inval",
)  # fmt: skip
"""How the states of nodes begin that take no job."""


@dataclass(frozen=True)
class Node:
    """A node of a partition: on a Loihi cloud, the host of one board.

    Args:
        name: of the node.
        partition: one that it belongs to.
        partition_up: the partition takes jobs.
        state: in Slurm's words, such as idle or down; a star: it does not answer its controller.
    """

    name: str
    partition: str
    partition_up: bool
    state: str

    @property
    def takes_jobs(self) -> bool:
        """Whether it takes jobs, now or when those before are done."""
        return not self.state.startswith(_UNUSABLE) and "*" not in self.state

    @property
    def up(self) -> bool:
        """Whether jobs of its partition can start on it."""
        return self.partition_up and self.takes_jobs

    def __str__(self) -> str:
        state = self.state.rstrip("*~#!%$@^-+")
        silent = not self.state.startswith(_UNUSABLE) and "*" in self.state
        return f"{self.name} is {state}{' but does not answer' if silent else ''}"


def nodes_of(output: str) -> tuple[Node, ...]:
    """The nodes that the output of `NODES` lists; lines of another form are passed over."""
    rows = (line.strip().split("|") for line in output.splitlines())
    return tuple(Node(r[0], r[1], r[2] == "up", r[3].lower()) for r in rows if len(r) == 4)


def find_nodes() -> tuple[Node, ...]:
    """Ask `sinfo`, once for each node and partition.

    Raises:
        LavasegError: there is no Slurm here, or it does not answer.
    """
    return nodes_of(call(NODES))


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
