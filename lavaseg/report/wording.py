"""Numbers of a report in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lavaseg.results.energy import Estimate, format_energy
from lavaseg.system.words import counted


def format_count(number: float) -> str:
    """A whole number in groups of three: '1 234 567' (narrow no-break spaces)."""
    return f"{number:,.0f}".replace(",", "\u202f")


def format_short(number: int) -> str:
    """A whole number in few characters: 12345 is '12.3k', 2 billion '2G'."""
    for size, unit, least in (
        (10**9, "G", 999_500_000),
        (10**6, "M", 999_500),
        (10**3, "k", 10**4),
    ):
        if number >= least:
            return f"{number / size:.3g}{unit}"
    return str(number)


def format_percent(fraction: float, digits: int = 1) -> str:
    """A fraction in percent: '95.3 %'; '–' if it is not finite."""
    return f"{100 * fraction:.{digits}f} %" if math.isfinite(fraction) else "–"


def format_points(points: float) -> str:
    """A difference of percentages: '0.31 points'."""
    return f"{points:.2f} points".replace("-", "−")


def begun_in_words(account: Mapping[str, Any]) -> str:
    """Where the weights come from that a run began with, and which layers took them.

    Args:
        account: as the run keeps it (`lavaseg.training.transfer.Begun.to_dict`).
    """
    epoch = "" if account["epoch"] is None else f"epoch {account['epoch']}, "
    taken, new = account["taken"], account["new"]
    parts = [f"{account['weights']} ({epoch}sha256 {account['sha256'][:12]}…)"]
    parts.append(f"{len(taken)} of {counted(len(taken) + len(new), 'layer')} taken")
    if new:
        parts.append(f"new: {', '.join(f'{name} ({why})' for name, why in new.items())}")
    if account["frozen"]:
        parts.append(f"kept as they were while training: {', '.join(account['frozen'])}")
    return "; ".join(parts)


def energy_range(estimate: Estimate) -> str:
    """The energies of an estimate: '1.2 µJ', or '1.2 µJ to 3.4 µJ'."""
    if estimate.picojoules is None:
        return "no figure"
    least, most = (format_energy(pj) for pj in estimate.picojoules)
    return least if least == most else f"{least} to {most}"


def against_the_ann(estimate: Estimate) -> str:
    """The comparison with the artificial network (ANN), in words that cannot be misread."""
    ratio = estimate.ratio or 1.0
    if ratio >= 1:
        return f"{ratio:.3g} times less than the ANN"
    return f"{1 / ratio:.3g} times more than the ANN"


def cell(value: Any) -> str:
    """A value of a verification row: whole numbers grouped, lists and the rest as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_count(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)
