"""From an integer network to spikes: simulator, Lava's runtimes, evaluation and verification.

Names are imported on first use: Lava, and torch to compare with, take seconds to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.deploy.backends import BACKENDS, COMPARABLE, COMPARED, RUNTIMES, run
    from lavaseg.deploy.evaluation import evaluate
    from lavaseg.deploy.observation import record, recordings
    from lavaseg.deploy.simulator import Simulator, simulate
    from lavaseg.deploy.verification import (
        Comparison,
        Difference,
        Verdict,
        verify,
        verify_spikes,
    )

__all__ = [
    "BACKENDS",
    "COMPARABLE",
    "COMPARED",
    "RUNTIMES",
    "Comparison",
    "Difference",
    "Simulator",
    "Verdict",
    "evaluate",
    "record",
    "recordings",
    "run",
    "simulate",
    "verify",
    "verify_spikes",
]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "BACKENDS": "backends",
        "COMPARABLE": "backends",
        "COMPARED": "backends",
        "RUNTIMES": "backends",
        "run": "backends",
        "evaluate": "evaluation",
        "record": "observation",
        "recordings": "observation",
        "Simulator": "simulator",
        "simulate": "simulator",
        "Comparison": "verification",
        "Difference": "verification",
        "Verdict": "verification",
        "verify": "verification",
        "verify_spikes": "verification",
    },
)
