"""Goes on past single bad events of a recording: drops them, counts them, and refuses many."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.network import Size
from lavaseg.system.words import counted

MOST, SHARE = 10, 0.01
"""So many bad events, and this share of all, are single ones; more are a damaged file."""

Maker: TypeAlias = "Callable[..., Events | None]"
"""(t, x, y, polarity, sensor) -> events, as `Events` makes them, or None if none are left."""


def check_bad_events(choice: str) -> bool:
    """Whether bad events are dropped; LavasegError unless the option is "refuse" or "drop"."""
    if choice not in ("refuse", "drop"):
        raise LavasegError(f"data option 'bad_events' must be refuse or drop, got {choice!r}")
    return choice == "drop"


class SoundEvents:
    """Makes `Events` of pieces of one recording, without those that contradict the others.

    Dropped are events beyond the sensor, and the fewest events of a piece without which time
    never runs backwards.

    Args:
        path: the recording, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.kept, self.dropped = path, 0, 0
        self._last: int | None = None

    def __call__(
        self,
        t: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        polarity: np.ndarray,
        sensor: Size,
        span: tuple[int, int] = (0, 0),
    ) -> Events | None:
        arrays = [np.asarray(array) for array in (t, x, y, polarity)]
        t, x, y, _ = arrays
        height, width = sensor
        sound = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        if self._last is not None:
            sound &= t >= self._last
        sound[sound] = _rising(t[sound])
        self.drop(int(sound.size - sound.sum()))
        if not sound.any():
            return None
        self.kept += int(sound.sum())
        self._last = int(t[sound][-1])
        t, x, y, polarity = (array[sound] for array in arrays)
        return Events(t, x, y, polarity, sensor)

    def drop(self, count: int) -> None:
        """Count bad events.

        Raises:
            LavasegError: there are more than single ones.
        """
        self.dropped += count
        total = self.kept + self.dropped
        if self.dropped > MOST + SHARE * total:
            raise LavasegError(
                f"{self.path}: {self.dropped:,} of the first {total:,} events are bad, which is "
                "more than single ones: the recording is damaged, or of another sensor or format"
            )

    @property
    def remark(self) -> str:
        """A sentence on what was dropped, or ''."""
        if not self.dropped:
            return ""
        return (
            f"{self.path}: {counted(self.dropped, 'bad event')} dropped (beyond the sensor, back "
            "in time, or no event)"
        )


def _rising(t: np.ndarray) -> np.ndarray:
    """Which times form a longest series that never falls, bool (n,)."""
    if (np.diff(t) >= 0).all():
        return np.ones(len(t), bool)
    ends: list[int] = []  # the least time at which a series of each length can end
    lengths = np.empty(len(t), np.int64)
    for index, time in enumerate(t.tolist()):
        place = bisect_right(ends, time)
        ends[place : place + 1] = [time]
        lengths[index] = place
    chosen, wanted = np.zeros(len(t), bool), len(ends) - 1
    later = None
    for index in range(len(t) - 1, -1, -1):
        if lengths[index] == wanted and (later is None or t[index] <= later):
            chosen[index], later, wanted = True, t[index], wanted - 1
    return chosen
