"""What a process is to do on a board: one task, since only its first run can be profiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lavaseg.deploy.backends import BACKENDS
from lavaseg.deploy.loihi2.system import System
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.errors import LavasegError
from lavaseg.system.words import or_like

LAGS, RUN, IDLE = "lags", "run", "idle"
"""Tasks beside the profiles: measure lags, run and listen, measure an idle board's power."""

PROFILES = ("power", "time", "activity", "memory")
"""What can be profiled."""


@dataclass(frozen=True)
class ChipTask:
    """One task.

    Args:
        kind: `LAGS`, `RUN`, `IDLE` or one of `PROFILES`.
        system: where.
        timing: steps between host and chip; None where nothing depends on them.
        replay: the input comes from the chip's buffer.
    """

    kind: str
    system: System
    timing: Timing | None = None
    replay: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChipTask:
        """The task that `to_dict` gave."""
        timing = None if data["timing"] is None else Timing(**data["timing"])
        return cls(data["kind"], System(**data["system"]), timing, data["replay"])


def profile_kinds(profile: str | None, backend: str) -> tuple[str, ...]:
    """The profiles that an option names, with commas; "all" for every one, None for none.

    Raises:
        LavasegError: there is no such profile, or the backend is no board.
    """
    if profile is None:
        return ()
    if not BACKENDS[backend].on_chip:
        raise LavasegError(f"--profile {profile} needs --backend loihi2, got {backend}")
    if profile == "all":
        return PROFILES
    kinds = tuple(dict.fromkeys(name.strip() for name in profile.split(",")))
    check_profiles(kinds, ("all", *PROFILES))
    return kinds


def check_profiles(kinds: Sequence[str], words: Sequence[str] = PROFILES) -> None:
    """Refuse what is no profile.

    Args:
        words: that could have been given instead.

    Raises:
        LavasegError: names the first one, and what is meant.
    """
    for kind in kinds:
        if kind not in PROFILES:
            raise LavasegError(f"no profile {kind!r}{or_like(kind, words)}")


def check_power(kinds: Sequence[str], partition: str | None) -> None:
    """Raise LavasegError if power would be that of whichever board of a partition is free."""
    if "power" in kinds and partition:
        raise LavasegError(
            f"power is compared with that of the same board when it idles, and partition "
            f"{partition!r} may give another board each time: give --board NAME"
        )
