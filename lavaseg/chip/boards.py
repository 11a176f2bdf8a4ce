"""Boards with Loihi 2 chips, and which of them holds a number of cores."""

from __future__ import annotations

from dataclasses import dataclass

from lavaseg.errors import LavasegError
from lavaseg.system.words import or_like

CORES_PER_CHIP = 120
"""Cores of a chip that the compiler hands out; public logs number cores in steps of 120 a chip."""


@dataclass(frozen=True)
class Board:
    """A system with Loihi 2 chips.

    Args:
        name: Intel's name for it.
        chips: how many it has.
    """

    name: str
    chips: int

    @property
    def cores(self) -> int:
        """Cores that the compiler can hand out."""
        return self.chips * CORES_PER_CHIP


BOARDS: tuple[Board, ...] = (
    Board("Oheo Gulch", 1),
    Board("Kapoho Point", 8),
    Board("VPX", 16),
    Board("Hala Point", 1152),
)
"""Boards that are publicly described, smallest first. Kapoho Point and Hala Point: Intel's
announcements of 2022 and 2024; the 16 chips of a VPX board: logs in lava-dl's notebooks."""


def find_board(name: str) -> Board:
    """The board of that name, written in any case, with spaces or hyphens.

    Raises:
        LavasegError: there is none.
    """
    wanted = name.casefold().replace("-", " ")
    for board in BOARDS:
        if board.name.casefold() == wanted:
            return board
    known = (board.name for board in BOARDS)
    raise LavasegError(f"there is no board {name!r}{or_like(name, known)}")


def chips_for(cores: int) -> int:
    """Chips that so many cores need."""
    return -(-cores // CORES_PER_CHIP)


def smallest_board(cores: int) -> Board | None:
    """The smallest board that has so many cores; None: no board has."""
    return next((board for board in BOARDS if board.cores >= cores), None)
