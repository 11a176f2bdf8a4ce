"""A board with Loihi 2."""

from __future__ import annotations

from typing import Any

from loihi2_double.rules import check_system
from nxcore.arch.base.nxboard import NxBoard


class N3Board(NxBoard):
    """A board; without a program it idles.

    Args:
        num_chips: chips that are asked for.
        num_embedded: programs on embedded cores.
    """

    def __init__(self, num_chips: int, num_embedded: int) -> None:
        check_system()
        if num_chips < 1 or num_embedded < 0:
            raise ValueError(f"N3Board({num_chips}, {num_embedded}): expected 1 or more, 0 or more")
        self._chip: Any = None
        self._connected, self.steps = True, 0

    def load(self, chip: Any) -> None:
        """Put a program on it."""
        self._chip = chip

    @property
    def chip(self) -> Any:
        """The program, or None."""
        return self._chip

    def check_connected(self) -> None:
        """Raise RuntimeError after `disconnect`."""
        if not self._connected:
            raise RuntimeError("the board is disconnected")

    def run(self, num_steps: int) -> None:
        """Run so many steps."""
        self.check_connected()
        if self._chip is not None:
            self._chip.run(num_steps)
        self.steps += num_steps

    def disconnect(self) -> None:
        """Give the board back."""
        self.check_connected()
        self._connected = False
