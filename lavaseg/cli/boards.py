"""The options that say on which board with Loihi 2 a command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.deploy.backends import BACKENDS
from lavaseg.errors import LavasegError

if TYPE_CHECKING:
    from lavaseg.deploy.loihi2 import System

Board = Annotated[
    str | None,
    typer.Option("--board", help="loihi2: Slurm's node with the one board to take (ncl-og-01)."),
]
Partition = Annotated[
    str | None,
    typer.Option("--partition", help="loihi2: Slurm's partition of boards to take one of."),
]
Host = Annotated[
    str | None,
    typer.Option("--host", help="loihi2: address of a board's host, where there is no Slurm."),
]
Generation = Annotated[
    str | None,
    typer.Option("--loihi-gen", help="loihi2: generation of the chip.", show_default="N3B3"),
]


def system_of(
    board: str | None, partition: str | None, host: str | None, generation: str | None
) -> System | None:
    """The system that the options name; None if they name none: then the environment does.

    Raises:
        LavasegError: two places, or a generation that there is not.
    """
    if not any((board, partition, host, generation)):
        return None
    from lavaseg.deploy.loihi2 import System

    return System(board, partition, host, generation)


def check_used(system: System | None, backend: str) -> None:
    """LavasegError if a board is named for a backend that runs on the CPU of this machine."""
    if system is not None and not BACKENDS[backend].on_chip:
        raise LavasegError(
            f"--board, --partition, --host and --loihi-gen need --backend loihi2, got {backend}"
        )
