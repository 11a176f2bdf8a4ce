"""What a process is to do on a board: one task, since only its first run can be profiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lavaseg.deploy.loihi2.system import System
from lavaseg.deploy.loihi2.timing import Timing

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
