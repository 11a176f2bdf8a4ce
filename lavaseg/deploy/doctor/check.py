"""What an examination of the machine finds: one `Check` a thing, and what all of them allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.system.words import or_like

GOOD, MISSING, WRONG = "good", "missing", "wrong"
"""States of a thing: it is as it should be; it is not there; it is there and does not work."""

PURPOSES = {
    "simulate": "simulate, evaluate and report exported networks",
    "lava": "run exported networks on Lava",
    "demo": "lavaseg demo: train, export, verify and report",
    "slurm": "hand jobs to a cluster",
    "loihi2": "run on Loihi 2",
}
"""What a machine may be wanted for."""

ON_LAVA = ("lava", "demo", "loihi2")
"""Purposes that start Lava's runtime."""


@dataclass(frozen=True)
class Check:
    """One thing of the machine.

    Args:
        name: what was looked at.
        state: `GOOD`, `MISSING` or `WRONG`.
        found: what was seen, in a few words.
        remedy: the command that mends it, or what to do; "" if the state is `GOOD`.
        needed_for: names of `PURPOSES` that fail while the state is not `GOOD`.
    """

    name: str
    state: str
    found: str
    remedy: str = ""
    needed_for: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it is as it should be."""
        return self.state == GOOD


def obstacles(checks: Iterable[Check], purpose: str) -> tuple[Check, ...]:
    """The checks that keep the machine from a purpose; none if it can serve it.

    Args:
        purpose: a name of `PURPOSES`.

    Raises:
        LavasegError: no such purpose.
    """
    if purpose not in PURPOSES:
        raise LavasegError(f"no purpose {purpose!r}{or_like(purpose, PURPOSES)}")
    return tuple(check for check in checks if not check.good and purpose in check.needed_for)


def as_plain(checks: Sequence[Check]) -> dict[str, Any]:
    """Plain data for JSON: the checks, and for each of `PURPOSES` whether they allow it."""
    return {
        "checks": [asdict(check) for check in checks],
        "able": {purpose: not obstacles(checks, purpose) for purpose in PURPOSES},
    }
