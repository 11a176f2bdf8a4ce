"""Codes that make spikes of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lavaseg.encoders.base import Encoder, EncoderError, Graded, draws
from lavaseg.encoders.events import EVENT_ENCODERS
from lavaseg.encoders.noise import Noise, NoiseError
from lavaseg.events import Events, Stimulus
from lavaseg.network import Shape


@dataclass(frozen=True)
class PictureEncoder(Encoder):
    """Base of encoders of pictures."""

    def _check(self, stimuli: Sequence[Stimulus] | np.ndarray) -> np.ndarray:
        if any(isinstance(stimulus, Events) for stimulus in stimuli):
            raise EncoderError(
                f"the {self.kind} encoder takes pictures and got events: use an encoder of events "
                f"({', '.join(encoder.kind for encoder in EVENT_ENCODERS)})"
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

    def _noisy(self, stimulus: np.ndarray, seed: int, sample: int, noise: Noise) -> np.ndarray:
        if noise.kind == "drop-events":
            raise NoiseError(
                f"{noise.kind} is noise of recordings of an event camera, and the {self.kind} "
                "encoder takes pictures: use gaussian or salt-pepper"
            )
        return self._noisy_picture(stimulus, seed, sample, noise)

    def noise_in_words(self, noise: Noise) -> str:
        return noise.described("pixels", "before they are coded")

    def _noisy_picture(
        self, stimulus: np.ndarray, seed: int, sample: int, noise: Noise
    ) -> np.ndarray:
        return self._spikes(noise.on_picture(stimulus, sample), seed, sample)


@dataclass(frozen=True)
class Poisson(PictureEncoder):
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
        return draws(seed, sample, (self.steps, *stimulus.shape)) < bound


@dataclass(frozen=True)
class OnOffPoisson(PictureEncoder):
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

    def _sheet(self, stimulus: Shape) -> Shape:
        return 2 * stimulus[0], stimulus[1], stimulus[2]

    def _source(self, sheet: Shape) -> Shape:
        return sheet[0] // 2, sheet[1], sheet[2]

    def _spikes(self, stimulus: np.ndarray, seed: int, sample: int) -> np.ndarray:
        if len(self.mean) not in (1, len(stimulus)):
            raise EncoderError(f"{len(self.mean)} mean levels for {len(stimulus)} picture channels")
        mean = np.reshape(np.array(self.mean), (-1, 1, 1))
        contrast = (stimulus - mean) * (self.gain / 255)
        probability = np.concatenate([contrast, -contrast]).clip(0, 1)
        bound = np.ceil(probability * 65536).astype(np.uint32)
        return draws(seed, sample, (self.steps, *bound.shape)) < bound


@dataclass(frozen=True)
class Direct(Graded, PictureEncoder):
    """Direct code: the pixel itself as a graded spike, the same at every step.

    Args:
        bits: message bits, 1 .. 8; the lower 8 - bits of a pixel are dropped.
    """

    kind: ClassVar[str] = "direct"
    bits: int = 8

    def _spikes(self, stimulus: np.ndarray, seed: int, sample: int) -> np.ndarray:
        return np.broadcast_to(stimulus >> (8 - self.bits), (self.steps, *stimulus.shape))


@dataclass(frozen=True)
class Frames(Graded, PictureEncoder):
    """A stack of frames, one a step: channels 0 .. C-1 at the first step, and so on.

    The upper bits of each level are the message of a graded spike.

    Args:
        bits: message bits, 1 .. 8; 0 for a binary spike where the level is above 0.
    """

    kind: ClassVar[str] = "frames"
    least_bits: ClassVar[int] = 0
    bits: int = 0

    def _sheet(self, stimulus: Shape) -> Shape:
        if stimulus[0] % self.steps:
            raise EncoderError(f"{stimulus[0]} picture channels are not {self.steps} frames")
        return stimulus[0] // self.steps, stimulus[1], stimulus[2]

    def _source(self, sheet: Shape) -> Shape:
        return sheet[0] * self.steps, sheet[1], sheet[2]

    def _spikes(self, stimulus: np.ndarray, seed: int, sample: int) -> np.ndarray:
        frames = stimulus.reshape(self.steps, -1, *stimulus.shape[1:])
        return frames >> (8 - self.bits) if self.bits else frames > 0

    def noise_in_words(self, noise: Noise) -> str:
        return Encoder.noise_in_words(self, noise)

    def with_steps(self, steps: int) -> Encoder:
        if steps != self.steps:
            raise EncoderError(
                f"the {self.kind} encoder shows the {self.steps} frames of each sample, one a "
                f"step, so it has no {steps} steps: train with other frames (data option 'frames')"
            )
        return self

    def _noisy_picture(
        self, stimulus: np.ndarray, seed: int, sample: int, noise: Noise
    ) -> np.ndarray:
        # on the levels, half of all empty pixels of a binary code would spike at any sigma
        frames = self._spikes(stimulus, seed, sample)
        return noise.on_frames(frames, self.largest_message, sample)


PICTURE_ENCODERS: tuple[type[PictureEncoder], ...] = (Poisson, OnOffPoisson, Direct, Frames)
"""All codes of pictures."""
