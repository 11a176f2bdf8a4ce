"""From a recipe to a run: description to trained SLAYER network.

Names are imported on first use: torch and SLAYER take seconds to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.training.evaluating import evaluate
    from lavaseg.training.experiment import dry_run, train
    from lavaseg.training.isometry import isometries
    from lavaseg.training.network import SpikingNetwork
    from lavaseg.training.rates import RateTest, try_rates

__all__ = [
    "RateTest",
    "SpikingNetwork",
    "dry_run",
    "evaluate",
    "isometries",
    "train",
    "try_rates",
]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "RateTest": "rates",
        "SpikingNetwork": "network",
        "dry_run": "experiment",
        "evaluate": "evaluating",
        "isometries": "isometry",
        "train": "experiment",
        "try_rates": "rates",
    },
)
