"""Loihi 2: the graph of Lava's processes on a board, through Intel's extension of Lava.

Never run on a chip so far: the extension is not public. Calls follow public code; a test double of
the extension (`tests/loihi2_extension/`) runs them on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.deploy.loihi2.job import PROFILES
    from lavaseg.deploy.loihi2.limits import check_board, check_limits
    from lavaseg.deploy.loihi2.profiles import check_profiling, profile
    from lavaseg.deploy.loihi2.run import run_loihi2
    from lavaseg.deploy.loihi2.system import GENERATIONS, System

__all__ = [
    "GENERATIONS",
    "PROFILES",
    "System",
    "check_board",
    "check_limits",
    "check_profiling",
    "profile",
    "run_loihi2",
]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "GENERATIONS": "system",
        "PROFILES": "job",
        "System": "system",
        "check_board": "limits",
        "check_limits": "limits",
        "check_profiling": "profiles",
        "profile": "profiles",
        "run_loihi2": "run",
    },
)
