"""Integers to simulator and Lava graph.

Names are imported on first use: Lava's child process needs `lavaseg.deploy.lava` without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lavaseg.deploy.backends import RUNTIMES, run
    from lavaseg.deploy.evaluation import evaluate
    from lavaseg.deploy.recording import record, recordings
    from lavaseg.deploy.simulator import simulate
    from lavaseg.deploy.verification import (
        BACKENDS,
        Comparison,
        Difference,
        Verdict,
        verify,
        verify_spikes,
    )

__all__ = [
    "BACKENDS",
    "RUNTIMES",
    "Comparison",
    "Difference",
    "Verdict",
    "evaluate",
    "record",
    "recordings",
    "run",
    "simulate",
    "verify",
    "verify_spikes",
]

_SOURCES = {
    "RUNTIMES": "backends",
    "run": "backends",
    "evaluate": "evaluation",
    "record": "recording",
    "recordings": "recording",
    "simulate": "simulator",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"lavaseg.deploy.{_SOURCES.get(name, 'verification')}")
    return getattr(module, name)
