"""Description to trained SLAYER network."""

from lavaseg.training.experiment import evaluate, train
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.run import Run

__all__ = ["Run", "SpikingNetwork", "evaluate", "train"]
