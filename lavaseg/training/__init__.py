"""Description to trained SLAYER network.

Names are imported on first use: opening a run's folder needs neither torch nor SLAYER.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lavaseg.training.experiment import evaluate, train
    from lavaseg.training.network import SpikingNetwork
    from lavaseg.training.run import Run

__all__ = ["Run", "SpikingNetwork", "evaluate", "train"]

_SOURCES = {
    "Run": "run",
    "SpikingNetwork": "network",
    "evaluate": "experiment",
    "train": "experiment",
}


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"lavaseg.training.{_SOURCES[name]}"), name)
