"""Lava: an integer network as a graph of Lava's own processes, run here or by Lava's runtime."""

from lavaseg.deploy.lava.graph import LavaError, build, check_deployable
from lavaseg.deploy.lava.inprocess import run_inprocess
from lavaseg.deploy.lava.multiprocess import run_multiprocess

__all__ = ["LavaError", "build", "check_deployable", "run_inprocess", "run_multiprocess"]
