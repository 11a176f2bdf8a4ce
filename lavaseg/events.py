"""Recordings of event cameras: single events in time order, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Shape, Size

_ON, _OFF = (213, 94, 0), (0, 114, 178)
"""Colours of a preview: brighter and darker."""


class EventError(LavasegError):
    """Events that contradict each other or their sensor."""


@dataclass(frozen=True, eq=False)
class Events:
    """The events of one sensor during one span of time.

    Args:
        t: microseconds, int64 (n,), never falling.
        x, y: column and row, int16 (n,); row 0 is the upper one.
        polarity: bool (n,); True where it became brighter (ON).
        sensor: (height, width) in pixels.
        span: (start, stop) of the recorded time in microseconds, stop not included; by default
            from the first event to just after the last. It says when nothing happened, too.

    Raises:
        EventError: arrays of different lengths, time running backwards, an event outside of
            the sensor or of the span; no events and no span.
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray
    sensor: Size
    span: tuple[int, int] = (0, 0)

    def __repr__(self) -> str:
        height, width = self.sensor
        span = f"{self.span[0]:,} to {self.span[1]:,} µs"
        return f"Events({len(self.t):,} events, sensor {height}x{width}, {span})"

    def __post_init__(self) -> None:
        kinds = {"t": np.int64, "x": np.int16, "y": np.int16, "polarity": np.bool_}
        arrays = {name: np.asarray(getattr(self, name)) for name in kinds}
        shapes = {name: array.shape for name, array in arrays.items()}
        if arrays["t"].ndim != 1 or len(set(shapes.values())) != 1:
            raise EventError(f"t, x, y and polarity must be arrays of one length, got {shapes}")
        height, width = self.sensor
        for name, limit in (("x", width), ("y", height)):
            outside = (arrays[name] < 0) | (arrays[name] >= limit)
            if outside.any():
                first = int(outside.argmax())
                raise EventError(
                    f"event {first} has {name} = {arrays[name][first]} on a sensor of "
                    f"{height} x {width} pixels (height x width)"
                )
        for name, kind in kinds.items():
            object.__setattr__(self, name, arrays[name].astype(kind, copy=False))
        back = np.diff(self.t) < 0
        if back.any():
            first = int(back.argmax()) + 1
            raise EventError(
                f"time runs backwards at event {first}, from {self.t[first - 1]} to "
                f"{self.t[first]} µs"
            )
        if self.span == (0, 0):
            if not len(self.t):
                raise EventError("there are no events")
            object.__setattr__(self, "span", (int(self.t[0]), int(self.t[-1]) + 1))
        start, stop = self.span
        if not start < stop or (len(self.t) and not start <= self.t[0] <= self.t[-1] < stop):
            raise EventError(f"the span {start} to {stop} µs must hold all events, and be positive")

    def __len__(self) -> int:
        return len(self.t)

    @property
    def shape(self) -> Shape:
        """(2, height, width), polarities and sensor: the counterpart of a picture's shape."""
        return 2, *self.sensor

    def between(self, start: int, stop: int) -> Events:
        """The events of start <= t < stop, which becomes the span."""
        first, last = np.searchsorted(self.t, (start, stop))
        return self._part(slice(first, last), (start, stop))

    def numbered(self, first: int, stop: int) -> Events:
        """The events from number `first` up to `stop`, not included; the span is theirs."""
        part = slice(first, stop)
        t = self.t[part]
        span = (int(t[0]), int(t[-1]) + 1) if len(t) else (self.span[0], self.span[0] + 1)
        return self._part(part, span)

    def where(self, kept: np.ndarray) -> Events:
        """The events of a mask, bool (n,), in the same span."""
        return self._part(kept, self.span)

    def moved(self, x: np.ndarray, y: np.ndarray, sensor: Size) -> Events:
        """The events at other places; those that leave the sensor are dropped.

        Args:
            x, y: the new place of each event, whole numbers (n,).
            sensor: (height, width) afterwards.
        """
        kept = (x >= 0) & (x < sensor[1]) & (y >= 0) & (y < sensor[0])
        return Events(self.t[kept], x[kept], y[kept], self.polarity[kept], sensor, self.span)

    def frame(self) -> np.ndarray:
        """A preview, uint8 (3, height, width): ON events orange, OFF blue, on white.

        The colour is full where a pixel has as many events as 95 % of the active ones.
        """
        height, width = self.sensor
        place = (np.int64(1) - self.polarity) * height * width + self.y.astype(int) * width + self.x
        counts = np.bincount(place, minlength=2 * height * width).reshape(2, height, width)
        total = counts.sum(0)
        active = total[total > 0]
        level = (total / (np.quantile(active, 0.95) if len(active) else 1)).clip(0, 1)
        ink = np.einsum("phw,pc->chw", counts / np.maximum(total, 1), 255.0 - np.array([_ON, _OFF]))
        return np.rint(255 - ink * level).astype(np.uint8)

    def _part(self, part: slice | np.ndarray, span: tuple[int, int]) -> Events:
        return Events(
            self.t[part], self.x[part], self.y[part], self.polarity[part], self.sensor, span
        )


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Events that are made in this block come from `source`: errors about them name it."""
    try:
        yield
    except EventError as error:
        raise LavasegError(f"{source}: {error}") from None


Stimulus: TypeAlias = "np.ndarray | Events"
"""A stimulus of a network: a picture, uint8 (channels, height, width), or events."""


def joined(parts: Sequence[Events]) -> Events:
    """Consecutive events of one sensor as one.

    Raises:
        EventError: no parts, different sensors, or time running backwards between two.
    """
    if not parts:
        raise EventError("there are no events")
    sensors = {part.sensor for part in parts}
    if len(sensors) != 1:
        raise EventError(f"events of different sensors {sorted(sensors)} cannot be joined")
    return Events(
        np.concatenate([part.t for part in parts]),
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.polarity for part in parts]),
        parts[0].sensor,
        (parts[0].span[0], parts[-1].span[1]),
    )


def preview(stimulus: Stimulus) -> np.ndarray:
    """A stimulus as a picture: uint8 (channels, height, width)."""
    return stimulus.frame() if isinstance(stimulus, Events) else stimulus
