"""Numbers in sentences: '1 sample', '2 samples', '95.30%'."""

from __future__ import annotations

import math


def counted(number: int, noun: str) -> str:
    """A number of things: '1 sample', '2,000 samples'.

    Args:
        noun: in the singular, with a regular plural.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(fraction: float, digits: int = 2) -> str:
    """A fraction in percent, '95.30%'; '-' where there is no number, such as of nothing."""
    return f"{fraction:.{digits}%}" if math.isfinite(fraction) else "-"
