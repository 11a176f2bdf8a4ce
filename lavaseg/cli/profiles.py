"""Profiles of a network on a board: where they are kept, how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavaseg.cli.console import print_table, say
from lavaseg.system.styles import BAD

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.deploy.loihi2 import System
    from lavaseg.network.integers import IntegerNetwork


def profile_on_chip(
    path: Path,
    net: IntegerNetwork,
    spikes: np.ndarray,
    kinds: Sequence[str],
    system: System | None,
    timeout: float | None,
) -> dict[str, Any]:
    """Profile a network; if its file is that of a run, the run's folder keeps the figures."""
    from lavaseg.deploy.loihi2 import profile
    from lavaseg.runs import RunFolder
    from lavaseg.system.progress import bar

    with bar("profile loihi2") as progress:
        found = profile(net, spikes, kinds=kinds, system=system, timeout=timeout, progress=progress)
    files = RunFolder(path.parent)
    if files.recipe.exists() and files.net.path.name == path.name:
        files.chip_profile.save(found)
    return found


def show_profile(found: Mapping[str, Any]) -> None:
    """Print what a board measured."""
    from lavaseg.results.chip import chip_conditions, chip_rows

    print_table(
        f"Measured on Loihi 2: {chip_conditions(found)}", ["figure", ">value"], chip_rows(found)
    )
    if remark := found["derived"].get("remark"):
        say(remark, BAD)
