"""Encoders: pictures and events to spikes, by the same code while training and once deployed.

An encoder is a small frozen object that travels in the `.net` file. Every random draw comes
from a counter-based generator keyed by (seed, sample), so that a sample gets the same spikes
whatever the batch, the machine or the order, and any run can be replayed spike for spike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.events import Events, Stimulus
from lavaseg.network import Shape, Size


class EncoderError(LavasegError):
    """A wrong encoder setting, or a picture or recording that does not fit it."""


def _draws(seed: int, sample: int, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform uint16 draws of sample number `sample`: Philox, keyed by seed and sample."""
    generator = np.random.Generator(np.random.Philox(key=[seed % 2**64, sample % 2**64]))
    return np.frombuffer(generator.bytes(2 * int(np.prod(shape))), "<u2").reshape(shape)


@dataclass(frozen=True)
class Encoder:
    """Base of all encoders.

    Args:
        steps: logical time steps T of one sample.
    """

    kind: ClassVar[str] = ""
    steps: int

    def __post_init__(self) -> None:
        _check_range("steps", self.steps, 1, 4096)

    @property
    def message_bits(self) -> int:
        """0 for binary spikes, else the bits of a graded spike."""
        return 0

    def shape(self, stimulus: Shape) -> Shape:
        """Shape of the input population for stimuli of this shape.

        Args:
            stimulus: (channels, height, width) of a picture; (2, height, width) of events.
        """
        return stimulus

    def stimulus(self, spikes: Shape) -> Shape:
        """Shape of the stimuli that become spikes of this shape: `shape` turned round."""
        return spikes

    def window(self, size: Size) -> tuple[slice, slice]:
        """Rows and columns of a stimulus of this size that the network sees, and labels."""
        return slice(0, size[0]), slice(0, size[1])

    def _check(self, stimuli: Sequence[Stimulus] | np.ndarray) -> Sequence[Any] | np.ndarray:
        """The batch as `_spikes` takes its items, or EncoderError."""
        if any(isinstance(stimulus, Events) for stimulus in stimuli):
            raise EncoderError(
                f"the {self.kind} encoder takes pictures and got events: use an encoder of events "
                f"({', '.join(k for k, e in ENCODERS.items() if issubclass(e, EventEncoder))})"
            )
        shapes = {np.shape(picture) for picture in stimuli}
        if len(shapes) > 1:
            one, other = sorted(shapes)[:2]
            raise EncoderError(
                f"pictures of a batch must have one shape, got {one} and {other}: the data option "
                "'size' resizes them"
            )
        pictures = np.asarray(stimuli)
        if pictures.dtype != np.uint8 or pictures.ndim != 4:
            raise EncoderError(
                "pictures must be uint8 (samples, channels, height, width), got "
                f"{pictures.dtype} {pictures.shape}"
            )
        return pictures

    def _spikes(self, stimulus: Any, seed: int, sample: int) -> np.ndarray:
        raise NotImplementedError

    def encode(
        self,
        stimuli: Sequence[Stimulus] | np.ndarray,
        *,
        seed: int = 0,
        samples: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Spikes of a batch of pictures or recordings.

        Args:
            stimuli: pictures, uint8 (channels, height, width) each, in a list or an array; for
                an encoder of events, a list of `Events`.
            seed: seed of the random draws.
            samples: the number that keys each stimulus's draws; 0 .. N-1 by default.

        Returns:
            uint8 (N, T, C, H, W): 0/1, or the message of a graded spike.

        Raises:
            EncoderError: stimuli of another kind, type or shape than the encoder's.
        """
        checked = self._check(stimuli)
        numbers = range(len(checked)) if samples is None else samples
        first = self.shape(checked[0].shape) if len(checked) else (0, 0, 0)
        out = np.empty((len(checked), self.steps, *first), np.uint8)
        for row, stimulus, number in zip(out, checked, numbers, strict=True):
            row[...] = self._spikes(stimulus, seed, int(number))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `encoder_from_dict` is its inverse."""
        return {"kind": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class Poisson(Encoder):
    """Unsigned rate code: at each step a pixel x of 0 .. 255 spikes with probability x / 255.

    Args:
        inverted: probability 1 - x / 255, as Kim et al. 2022 (and Yadolahi & Abolmaali
            2025) print it.
    """

    kind: ClassVar[str] = "poisson"
    inverted: bool = False

    def _spikes(self, stimulus: np.ndarray, seed: int, sample: int) -> np.ndarray:
        level = 255 - stimulus if self.inverted else stimulus
        # the smallest whole number of 65536ths: 0 never and 255 always spikes
        bound = (level.astype(np.uint32) * 65536 + 254) // 255
        return _draws(seed, sample, (self.steps, *stimulus.shape)) < bound


@dataclass(frozen=True)
class OnOffPoisson(Encoder):
    """Signed rate code with separate ON and OFF channels (first all ON, then all OFF).

    A pixel spikes in its ON channel with probability gain * (x - mean) / 255 if that is positive,
    in its OFF channel with the opposite. This is Kim et al.'s signed Poisson code with the
    -1 spikes on channels of their own, which hardware can carry.

    Args:
        mean: the level that never spikes, 0 .. 255, one for each picture channel or one for all.
        gain: factor on the probability, which saturates at 1.
    """

    kind: ClassVar[str] = "onoff_poisson"
    mean: tuple[float, ...] = (127.5,)
    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        mean = (self.mean,) if isinstance(self.mean, (int, float)) else tuple(self.mean)
        if any(isinstance(m, bool) for m in mean):
            raise EncoderError(f"mean must be one or more levels from 0 to 255, got {self.mean}")
        object.__setattr__(self, "mean", tuple(float(m) for m in mean))
        if not mean or any(not 0 <= m <= 255 for m in mean):
            raise EncoderError(f"mean must be one or more levels from 0 to 255, got {self.mean}")
        if not 0 < self.gain < math.inf:
            raise EncoderError(f"gain must be positive and finite, got {self.gain}")

    def shape(self, stimulus: Shape) -> Shape:
        return 2 * stimulus[0], stimulus[1], stimulus[2]

    def stimulus(self, spikes: Shape) -> Shape:
        return spikes[0] // 2, spikes[1], spikes[2]

    def _spikes(self, stimulus: np.ndarray, seed: int, sample: int) -> np.ndarray:
        if len(self.mean) not in (1, len(stimulus)):
            raise EncoderError(f"{len(self.mean)} mean levels for {len(stimulus)} picture channels")
        mean = np.reshape(np.array(self.mean), (-1, 1, 1))
        contrast = (stimulus - mean) * (self.gain / 255)
        probability = np.concatenate([contrast, -contrast]).clip(0, 1)
        bound = np.ceil(probability * 65536).astype(np.uint32)
        return _draws(seed, sample, (self.steps, *bound.shape)) < bound


@dataclass(frozen=True)
class Direct(Encoder):
    """Direct code: the pixel itself as a graded spike, the same at every step.

    Args:
        bits: message bits, 1 .. 8; the lower 8 - bits of a pixel are dropped.
    """

    kind: ClassVar[str] = "direct"
    bits: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("bits", self.bits, 1, 8)

    @property
    def message_bits(self) -> int:
        return self.bits

    def _spikes(self, stimulus: np.ndarray, seed: int, sample: int) -> np.ndarray:
        return np.broadcast_to(stimulus >> (8 - self.bits), (self.steps, *stimulus.shape))


@dataclass(frozen=True)
class Frames(Encoder):
    """A stack of frames, one a step: channels 0 .. C-1 at the first step, and so on.

    The upper bits of each level are the message of a graded spike.

    Args:
        bits: message bits, 1 .. 8; 0 for a binary spike where the level is above 0.
    """

    kind: ClassVar[str] = "frames"
    bits: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("bits", self.bits, 0, 8)

    @property
    def message_bits(self) -> int:
        return self.bits

    def shape(self, stimulus: Shape) -> Shape:
        if stimulus[0] % self.steps:
            raise EncoderError(f"{stimulus[0]} picture channels are not {self.steps} frames")
        return stimulus[0] // self.steps, stimulus[1], stimulus[2]

    def stimulus(self, spikes: Shape) -> Shape:
        return spikes[0] * self.steps, spikes[1], spikes[2]

    def _spikes(self, stimulus: np.ndarray, seed: int, sample: int) -> np.ndarray:
        frames = stimulus.reshape(self.steps, -1, *stimulus.shape[1:])
        return frames >> (8 - self.bits) if self.bits else frames > 0


@dataclass(frozen=True)
class EventEncoder(Encoder):
    """Base of encoders of events: each step takes a slice of the recording.

    Args:
        sensor: (height, width) of the recordings.
        slicing: "time": a slice is a window of time; "count": a number of events.
        size: microseconds or events of a slice. 0 divides all that a recording has evenly.
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
        _check_range("size", self.size, 0, 10**12)
        _check_range("factor", self.factor, 1, 1024)
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
        """Of the input population; the first half are ON, the second OFF."""
        return 2

    def shape(self, stimulus: Shape) -> Shape:
        if tuple(stimulus) != (2, *self.sensor):
            raise EncoderError(
                f"the {self.kind} encoder takes events of a sensor of {self.sensor[0]} x "
                f"{self.sensor[1]} pixels (field 'sensor'), got stimuli of shape {tuple(stimulus)}"
            )
        _, _, height, width = self._seen
        return self.channels, height // self.factor, width // self.factor

    def stimulus(self, spikes: Shape) -> Shape:
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
class EventHistogram(EventEncoder):
    """A graded spike: the number of events in a slice, one channel for ON, one for OFF.

    Args:
        bits: message bits, 1 .. 8; more than 2**bits - 1 events count as so many.
    """

    kind: ClassVar[str] = "event_histogram"
    bits: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("bits", self.bits, 1, 8)

    @property
    def message_bits(self) -> int:
        return self.bits

    def _messages(self, events: Events) -> np.ndarray:
        return self._sums(events, _off(events), 2).clip(0, 2**self.bits - 1)


@dataclass(frozen=True)
class EventVoxelGrid(EventEncoder):
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
        _check_range("bins", self.bins, 1, 64)
        _check_range("levels", self.levels, 1, 255)
        _check_range("bits", self.bits, 1, 8)

    @property
    def message_bits(self) -> int:
        return self.bits

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


def _check_range(name: str, value: Any, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise EncoderError(f"{name} must be an integer from {low} to {high}, got {value!r}")


ENCODERS: dict[str, type[Encoder]] = {
    encoder.kind: encoder
    for encoder in (
        Poisson,
        OnOffPoisson,
        Direct,
        Frames,
        EventPresence,
        EventHistogram,
        EventVoxelGrid,
    )
}


def encoder_from_dict(data: Mapping[str, Any]) -> Encoder:
    """The encoder that `Encoder.to_dict` wrote.

    Raises:
        EncoderError: an unknown kind or a field that it does not have.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in ENCODERS:
        raise EncoderError(f"unknown encoder {kind!r}; expected one of {', '.join(ENCODERS)}")
    known = {f.name for f in dataclasses.fields(ENCODERS[kind])}
    for name in fields:
        if name not in known:
            raise EncoderError(
                f"the {kind} encoder has no field {name!r}; it has {', '.join(sorted(known))}"
            )
    try:
        return ENCODERS[kind](**fields)
    except TypeError as error:
        raise EncoderError(f"{kind} encoder: {error}") from None
