"""Encoders: pictures to spikes, by the same code while training and once deployed.

An encoder is a small frozen object that travels in the `.net` file. Every random draw comes
from a counter-based generator keyed by (seed, sample), so that a sample gets the same spikes
whatever the batch, the machine or the order, and any run can be replayed spike for spike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Shape


class EncoderError(LavasegError):
    """A wrong encoder setting, or a picture that does not fit it."""


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
        if not isinstance(self.steps, int) or not 1 <= self.steps <= 4096:
            raise EncoderError(f"steps must be an integer from 1 to 4096, got {self.steps!r}")

    @property
    def message_bits(self) -> int:
        """0 for binary spikes, else the bits of a graded spike."""
        return 0

    def shape(self, picture: Shape) -> Shape:
        """Shape of the input population for pictures of shape (channels, height, width)."""
        return picture

    def _spikes(self, picture: np.ndarray, seed: int, sample: int) -> np.ndarray:
        raise NotImplementedError

    def encode(
        self, pictures: np.ndarray, *, seed: int = 0, samples: Sequence[int] | None = None
    ) -> np.ndarray:
        """Spikes of a batch of pictures.

        Args:
            pictures: uint8 (N, channels, height, width).
            seed: seed of the random draws.
            samples: the number that keys each picture's draws; 0 .. N-1 by default.

        Returns:
            uint8 (N, T, C, H, W): 0/1, or the message of a graded spike.
        """
        pictures = np.asarray(pictures)
        if pictures.dtype != np.uint8 or pictures.ndim != 4:
            raise EncoderError(
                "pictures must be uint8 (samples, channels, height, width), got "
                f"{pictures.dtype} {pictures.shape}"
            )
        numbers = range(len(pictures)) if samples is None else samples
        out = np.empty((len(pictures), self.steps, *self.shape(pictures.shape[1:])), np.uint8)
        for row, picture, number in zip(out, pictures, numbers, strict=True):
            row[...] = self._spikes(picture, seed, int(number))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `encoder_from_dict` is its inverse."""
        return {"kind": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class Poisson(Encoder):
    """Unsigned rate code: at each step a pixel x of 0 .. 255 spikes with probability x / 255.

    Args:
        inverted: probability 1 - x / 255, as Kim et al. 2022 (and paper 000) print it.
    """

    kind: ClassVar[str] = "poisson"
    inverted: bool = False

    def _spikes(self, picture: np.ndarray, seed: int, sample: int) -> np.ndarray:
        level = 255 - picture if self.inverted else picture
        # the smallest whole number of 65536ths: 0 never and 255 always spikes
        bound = (level.astype(np.uint32) * 65536 + 254) // 255
        return _draws(seed, sample, (self.steps, *picture.shape)) < bound


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
        object.__setattr__(self, "mean", tuple(float(m) for m in mean))
        if not mean or any(not 0 <= m <= 255 for m in mean):
            raise EncoderError(f"mean must be one or more levels from 0 to 255, got {self.mean}")
        if not self.gain > 0:
            raise EncoderError(f"gain must be positive, got {self.gain}")

    def shape(self, picture: Shape) -> Shape:
        return 2 * picture[0], picture[1], picture[2]

    def _spikes(self, picture: np.ndarray, seed: int, sample: int) -> np.ndarray:
        if len(self.mean) not in (1, len(picture)):
            raise EncoderError(f"{len(self.mean)} mean levels for {len(picture)} picture channels")
        mean = np.reshape(np.array(self.mean), (-1, 1, 1))
        contrast = (picture - mean) * (self.gain / 255)
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
        if not isinstance(self.bits, int) or not 1 <= self.bits <= 8:
            raise EncoderError(f"bits must be an integer from 1 to 8, got {self.bits!r}")

    @property
    def message_bits(self) -> int:
        return self.bits

    def _spikes(self, picture: np.ndarray, seed: int, sample: int) -> np.ndarray:
        return np.broadcast_to(picture >> (8 - self.bits), (self.steps, *picture.shape))


ENCODERS: dict[str, type[Encoder]] = {e.kind: e for e in (Poisson, OnOffPoisson, Direct)}


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
