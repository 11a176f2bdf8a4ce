"""Which board a run takes, and how Lava is told: Slurm's partition or board, or a host by address.

Names of variables are those of lava-nc 0.10.0, `lava/utils/slurm.py` and `lava/utils/loihi.py`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lavaseg.deploy.slurm.cluster import Node, find_nodes
from lavaseg.errors import LavasegError

GENERATIONS = ("N3B3", "N3C1", "N3B2")
"""Generations of Loihi 2, the most common first."""
_PLACES = ("BOARD", "PARTITION", "NXSDKHOST")
_MARKER = "lava.utils.loihi2_profiler"
"""The module by which `lava.utils.loihi.is_installed` knows the extension."""


@dataclass(frozen=True)
class System:
    """Where to run; at most one of the first three.

    Args:
        board: node of Slurm that hosts the one board that is to run it, such as ncl-og-01.
        partition: partition of Slurm whose boards may run it, such as oheogulch.
        host: address of a board's host on the network, without Slurm.
        generation: generation of the chip; None: as the environment says, else the most common.

    Raises:
        LavasegError: more than one place, or a generation that there is not.
    """

    board: str | None = None
    partition: str | None = None
    host: str | None = None
    generation: str | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in self._places.items() if value}
        if len(given) > 1:
            words = " and ".join(f"{name} {value!r}" for name, value in given.items())
            raise LavasegError(f"{words} were both given: a run takes one place, give one of them")
        if self.generation is not None and self.generation not in GENERATIONS:
            raise LavasegError(
                f"no generation {self.generation!r} of Loihi 2; there are {', '.join(GENERATIONS)}"
            )

    @property
    def _places(self) -> dict[str, str | None]:
        return {"board": self.board, "partition": self.partition, "host": self.host}

    @property
    def given(self) -> bool:
        """Whether it names a place."""
        return any(self._places.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `System(**data)` reads it."""
        return asdict(self)


def placed(system: System | None, variables: Mapping[str, str] = os.environ) -> System:
    """The system that was asked for, or the one that the environment names.

    Raises:
        LavasegError: neither names a place, or the environment names two.
    """
    system = system or System()
    generation = system.generation or variables.get("LOIHI_GEN") or GENERATIONS[0]
    if system.given:
        return System(system.board, system.partition, system.host, generation)
    board, partition, host = (variables.get(name) for name in _PLACES)
    if variables.get("NOSLURM") == "1":
        board = partition = None
    elif board or partition or variables.get("SLURM") == "1":
        host = None
    found = System(board, partition, host, generation)
    if not found.given:
        raise LavasegError(
            "where is the board? Give --board NAME or --partition NAME of Slurm (`sinfo` lists "
            "them), or --host ADDRESS of a board's host"
        )
    return found


def check_extension() -> None:
    """Raise LavasegError unless Intel's extension of Lava for Loihi 2 is installed."""
    try:
        found = importlib.util.find_spec(_MARKER) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise LavasegError(
            "backend 'loihi2' needs Intel's extension of Lava for Loihi 2 (package lava-loihi), "
            "which is not installed: members of Intel's neuromorphic research community (INRC) "
            "get it from Intel"
        )


def variables(system: System) -> dict[str, str]:
    """The environment that makes Lava's extension run on a system; nothing else names a place."""
    found = {"LOIHI_GEN": system.generation or GENERATIONS[0]}
    if system.host:
        return {**found, "NOSLURM": "1", "NXSDKHOST": system.host}
    if system.board:
        return {**found, "SLURM": "1", "BOARD": system.board}
    return {**found, "SLURM": "1", "PARTITION": str(system.partition)}


def _told(system: System) -> bool:
    """Whether the environment says it all already, as in a job that Slurm started."""
    wanted = variables(system)
    return all(os.environ.get(name) == wanted.get(name) for name in (*wanted, *_PLACES))


def check_place(system: System) -> None:
    """Ask Slurm for the board or the partition, unless the environment names it.

    Raises:
        LavasegError: Slurm does not answer, or there is no such board or partition, or it is down.
    """
    if system.host or _told(system):
        return
    try:
        nodes = find_nodes()
    except LavasegError:
        raise LavasegError(
            "Slurm does not answer: `sinfo` fails; without Slurm, give --host ADDRESS of a board's "
            "host"
        ) from None
    found: dict[str, Node] = {}
    for node in nodes:  # of a partition, or of a board in several, one that takes jobs if any does
        name = node.name if system.board else node.partition
        if name not in found or node.up:
            found[name] = node
    _check_listed(
        "board" if system.board else "partition", system.board or str(system.partition), found
    )


def use(system: System) -> None:
    """Tell Lava and its extension, by the environment of this process, where to run.

    Raises:
        LavasegError: the host does not answer.
    """
    if _told(system):
        return
    from lava.utils import loihi

    for name in _PLACES:
        os.environ.pop(name, None)
    generation = loihi.ChipGeneration(system.generation)
    if system.host:
        try:
            loihi.use_ethernet_host(system.host, loihi_gen=generation)
        except (ValueError, OSError):
            raise LavasegError(
                f"host {system.host!r} does not answer: `ping {system.host}` fails"
            ) from None
    else:
        # without names, which `check_place` looked up: lava-nc 0.10.0 takes the empty line at the
        # end of sinfo's output for a name, and raises
        loihi.use_slurm_host(loihi_gen=generation)
    os.environ.update(variables(system))


def _check_listed(what: str, name: str, nodes: Mapping[str, Node]) -> None:
    if name not in nodes:
        raise LavasegError(f"Slurm has no {what} {name!r}; there are {', '.join(sorted(nodes))}")
    node = nodes[name]
    if not node.up:
        why = str(node) if node.partition_up else f"partition {node.partition!r} is down"
        raise LavasegError(f"{what} {name!r} takes no job: {why}, as `sinfo` says: choose another")
