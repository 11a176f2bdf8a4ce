"""Sizes, units and the error that all of a description shares."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index

from lavaseg.errors import LavasegError

Shape = tuple[int, int, int]
"""(channels, height, width)."""
Size = tuple[int, int]
"""(height, width)."""

DECAY_UNITY = 4096
"""Decays are integers in 1/4096: 0 keeps the state for ever, 4096 forgets it at every step."""
STATE_SCALE = 64
"""State units (u, v) for each weight unit."""
STATE_LIMIT = 2**23 - 1
"""v is clipped here (24 bits with sign)."""
NEVER = 131071
"""The largest 17-bit threshold mantissa, given on Loihi to a neuron that must not fire."""


class NetworkError(LavasegError):
    """A description that contradicts itself; the message names the population and the shapes."""


def integers(values: Iterable[object]) -> tuple[int, ...]:
    """The values as Python's integers, or () if one of them is none: neither 3.7 nor True is."""
    found = tuple(values)
    if any(isinstance(value, bool) for value in found):
        return ()
    try:
        return tuple(map(index, found))  # type: ignore[arg-type]
    except TypeError:
        return ()


def pair(value: int | Iterable[int], what: str, least: int) -> Size:
    """`value` as (height, width), each at least `least`.

    Raises:
        NetworkError: it is neither one nor two such integers.
    """
    found = integers(value if isinstance(value, Iterable) else (value, value))
    if len(found) != 2 or min(found) < least:
        raise NetworkError(f"{what} must be one or two integers of at least {least}, got {value}")
    return found
