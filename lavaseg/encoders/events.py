"""Codes that make spikes of the events of a camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from lavaseg.encoders.base import Encoder, EncoderError, Graded, check_range
from lavaseg.encoders.noise import Noise
from lavaseg.events import Events, Stimulus
from lavaseg.network import Shape, Size
from lavaseg.system.words import counted


@dataclass(frozen=True)
class EventEncoder(Encoder):
    """Base of encoders of events: each step takes a slice of the recording.

    Args:
        sensor: (height, width) of the recordings.
        slicing: "time": a slice is a window of time; "count": a number of events.
        size: microseconds or events of a slice. 0 divides the whole recording evenly.
        anchor: which slices are taken of a recording that is longer than T of them: the first
            from its "start", or the last before its "end". What is missing stays silent.
        crop: (top, left, height, width) of the part of the sensor that is seen, with its labels;
            None: all of it.
        factor: side of the square of pixels that falls on one input neuron; must divide the part
            seen.
    """

    sensor: tuple[int, int]
    slicing: Literal["time", "count"] = "time"
    size: int = 0
    anchor: Literal["start", "end"] = "end"
    crop: tuple[int, int, int, int] | None = None
    factor: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, length in (("sensor", 2), ("crop", 4)):
            value = getattr(self, name)
            if value is None and name == "crop":
                continue
            if not (
                isinstance(value, (list, tuple))
                and len(value) == length
                and all(type(n) is int and n >= 0 for n in value)
                and min(value[-2:]) >= 1
                and max(value) < 2**15
            ):
                raise EncoderError(
                    f"{name} must be {length} whole numbers "
                    f"{'(height, width)' if length == 2 else '(top, left, height, width)'}, "
                    f"got {value!r}"
                )
            object.__setattr__(self, name, tuple(value))
        for name, choices in (("slicing", ("time", "count")), ("anchor", ("start", "end"))):
            if getattr(self, name) not in choices:
                raise EncoderError(
                    f"{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}"
                )
        check_range("size", self.size, 0, 10**12)
        check_range("factor", self.factor, 1, 1024)
        top, left, height, width = self._seen
        if top + height > self.sensor[0] or left + width > self.sensor[1]:
            raise EncoderError(f"crop {self.crop} reaches beyond the sensor {self.sensor}")
        if height % self.factor or width % self.factor:
            raise EncoderError(
                f"factor {self.factor} must divide the {height} x {width} pixels seen: set crop"
            )

    @property
    def _seen(self) -> tuple[int, int, int, int]:
        return self.crop or (0, 0, *self.sensor)

    @property
    def channels(self) -> int:
        """Channels of the input population; the first half are ON, the second OFF."""
        return 2

    def _sheet(self, stimulus: Shape) -> Shape:
        if tuple(stimulus) != (2, *self.sensor):
            raise EncoderError(
                f"the {self.kind} encoder takes events of a sensor of {self.sensor[0]} x "
                f"{self.sensor[1]} pixels (field 'sensor'), got stimuli of shape {tuple(stimulus)}"
            )
        _, _, height, width = self._seen
        return self.channels, height // self.factor, width // self.factor

    def _source(self, sheet: Shape) -> Shape:
        return 2, *self.sensor

    def window(self, size: Size) -> tuple[slice, slice]:
        top, left, height, width = self._seen
        return slice(top, top + height), slice(left, left + width)

    def _check(self, stimuli: Sequence[Stimulus] | np.ndarray) -> Sequence[Events]:
        for stimulus in stimuli:
            if not isinstance(stimulus, Events):
                raise EncoderError(
                    f"the {self.kind} encoder takes recordings of events and got pictures: use "
                    "poisson, onoff_poisson, direct or frames"
                )
            self.shape(stimulus.shape)
        return list(stimuli)

    def slices(self, events: Events) -> list[Events]:
        """The T slices of a recording, with the time that each stands for."""
        start, stop = events.span
        edges: np.ndarray
        if self.slicing == "time":
            if self.size:
                duration = self.steps * self.size
                first = start if self.anchor == "start" else stop - duration
                edges = first + self.size * np.arange(self.steps + 1)
            else:
                edges = start + (stop - start) * np.arange(self.steps + 1) // self.steps
            return [events.between(int(a), max(int(b), int(a) + 1)) for a, b in pairwise(edges)]
        count = len(events)
        if self.size:
            first = 0 if self.anchor == "start" else count - self.steps * self.size
            edges = (first + self.size * np.arange(self.steps + 1)).clip(0, count)
        else:
            edges = count * np.arange(self.steps + 1) // self.steps
        return [events.numbered(int(a), int(b)) for a, b in pairwise(edges)]

    def _spikes(self, stimulus: Events, seed: int, sample: int) -> np.ndarray:
        top, left, height, width = self._seen
        parts = (
            part.moved(part.x - left, part.y - top, (height, width))
            for part in self.slices(stimulus)
        )
        return np.stack([self._messages(part) for part in parts])

    def other_slices(self, steps: int) -> str:
        if not self.size:
            part = "time" if self.slicing == "time" else "events"
            return (
                f"the {part} of each recording is divided into {counted(steps, 'slice')} instead "
                f"of {self.steps}"
            )
        unit = "microseconds" if self.slicing == "time" else "events"
        place = "first" if self.anchor == "start" else "last"
        return (
            f"of each recording the {place} {counted(steps, 'slice')} of {self.size:,} {unit} are "
            f"seen instead of {self.steps}"
        )

    def _noisy(self, stimulus: Events, seed: int, sample: int, noise: Noise) -> np.ndarray:
        frames = self._spikes(noise.on_recording(stimulus, sample), seed, sample)
        return noise.on_frames(frames, self.largest_message, sample)

    def _messages(self, events: Events) -> np.ndarray:
        """Messages of a slice, (channels, H, W)."""
        raise NotImplementedError

    def _sums(
        self, events: Events, sheet: np.ndarray, sheets: int, amount: np.ndarray | None = None
    ) -> np.ndarray:
        """Each event's whole number (None: 1) added on its sheet, int32 (sheets, H, W)."""
        _, _, height, width = self._seen
        rows, columns = height // self.factor, width // self.factor
        place = events.y // self.factor * np.int64(columns) + events.x // self.factor
        total = np.bincount(sheet * (rows * columns) + place, amount, sheets * rows * columns)
        return total.astype(np.int32).reshape(sheets, rows, columns)


@dataclass(frozen=True)
class EventPresence(EventEncoder):
    """A binary spike where a slice has an event: one channel for ON, one for OFF."""

    kind: ClassVar[str] = "event_presence"

    def _messages(self, events: Events) -> np.ndarray:
        return self._sums(events, _off(events), 2) > 0


@dataclass(frozen=True)
class EventHistogram(Graded, EventEncoder):
    """A graded spike: the number of events in a slice, one channel for ON, one for OFF.

    Args:
        bits: message bits, 1 .. 8; more than 2**bits - 1 events count as that many.
    """

    kind: ClassVar[str] = "event_histogram"
    bits: int = 4

    def _messages(self, events: Events) -> np.ndarray:
        return self._sums(events, _off(events), 2).clip(0, 2**self.bits - 1)


@dataclass(frozen=True)
class EventVoxelGrid(Graded, EventEncoder):
    """A voxel grid of each slice: an event counts in the two bins that are nearest in time.

    An event at the part p of its slice (0 .. 1; of a slice by count, from its first event to its
    last) adds its polarity +-1 at p * (bins - 1), divided between the bins beside it by nearness,
    in 256ths of an event, rounded down. The sum of a bin, times `levels` and rounded, is the
    message: in an ON channel if it is positive, in an OFF channel if negative. Channels are the
    ON bins, then the OFF bins. Source: Zhu et al. 2019, as used by ESS (Sun et al. 2022).

    Args:
        bins: time bins of a slice.
        levels: message of a single event that lies on a bin.
        bits: message bits, 1 .. 8; larger messages count as 2**bits - 1.
    """

    kind: ClassVar[str] = "event_voxel_grid"
    bins: int = 5
    levels: int = 8
    bits: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("bins", self.bins, 1, 64)
        check_range("levels", self.levels, 1, 255)

    @property
    def channels(self) -> int:
        return 2 * self.bins

    def _messages(self, events: Events) -> np.ndarray:
        start, stop = events.span
        if self.slicing == "count":
            stop -= 1  # the last event, which lies on the last bin
        place = (events.t - start) * ((self.bins - 1) * 256) // max(stop - start, 1)
        lower, late = place >> 8, place & 255
        sign = np.where(events.polarity, 1, -1)
        upper = np.minimum(lower + 1, self.bins - 1)  # late is 0 on the last bin
        grid = self._sums(events, lower, self.bins, sign * (256 - late))
        grid += self._sums(events, upper, self.bins, sign * late)
        size = np.abs(grid).clip(0, 2**20)  # far beyond every message, and no product overflows
        size = ((size * self.levels + 128) >> 8).clip(0, 2**self.bits - 1).astype(np.uint8)
        return np.concatenate([size * (grid > 0), size * (grid < 0)])


def _off(events: Events) -> np.ndarray:
    """0 for ON events, 1 for OFF events."""
    return 1 - events.polarity.astype(np.int64)


EVENT_ENCODERS: tuple[type[EventEncoder], ...] = (EventPresence, EventHistogram, EventVoxelGrid)
"""All codes of events."""
