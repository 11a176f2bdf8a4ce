"""Slurm's commands and what `sinfo` says of nodes, for all who ask: boards, jobs, the doctor."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lavaseg.errors import LavasegError

NODES = ("sinfo", "--noheader", "--Node", "--format=%N|%R|%a|%T")
"""A line for each node of each partition: node, partition, up or down, state of the node."""

_PATIENCE = 60
"""Seconds that a command of Slurm may take; they wait for its controller."""
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


def call(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a command of Slurm prints.

    Raises:
        LavasegError: it is not installed, failed or took too long.
    """
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE, env=environment
        )
    except FileNotFoundError:
        raise LavasegError(
            f"Slurm is not installed here ({command[0]} is not found): unpack a bundle where it "
            "is to run, and see its README.txt"
        ) from None
    except subprocess.TimeoutExpired:
        raise LavasegError(f"Slurm does not answer: {command[0]} took {_PATIENCE} s") from None
    if ended.returncode:
        words = " ".join(ended.stderr.split()) or f"exit code {ended.returncode}"
        raise LavasegError(f"Slurm's {command[0]} failed: {words}")
    return ended.stdout
