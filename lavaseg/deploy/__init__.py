"""Integers to simulator and Lava graph."""

from lavaseg.deploy.backends import RUNTIMES, run
from lavaseg.deploy.evaluation import evaluate
from lavaseg.deploy.simulator import simulate
from lavaseg.deploy.verification import Comparison, Difference, Verdict, verify, verify_spikes

__all__ = [
    "RUNTIMES",
    "Comparison",
    "Difference",
    "Verdict",
    "evaluate",
    "run",
    "simulate",
    "verify",
    "verify_spikes",
]
