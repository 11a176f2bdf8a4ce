"""Lava: an integer network as a graph of Lava's own processes, run here or by Lava's runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.compat import prepare_lava
from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.deploy.lava.checks import check_lava
    from lavaseg.deploy.lava.errors import LavaError
    from lavaseg.deploy.lava.graph import build
    from lavaseg.deploy.lava.inprocess import run_inprocess
    from lavaseg.deploy.lava.multiprocess import run_multiprocess
    from lavaseg.deploy.lava.needs import check_machine

__all__ = ["LavaError", "build", "check_lava", "check_machine", "run_inprocess", "run_multiprocess"]

prepare_lava()

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "LavaError": "errors",
        "build": "graph",
        "check_lava": "checks",
        "check_machine": "needs",
        "run_inprocess": "inprocess",
        "run_multiprocess": "multiprocess",
    },
)
