"""The base of all encoders: settings, the way to a file and back, draws, graded spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from lavaseg.encoders.noise import Noise, stream
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.network import Shape, Size
from lavaseg.network.interleave import interleaved


class EncoderError(LavasegError):
    """A wrong encoder setting, or a picture or recording that does not fit it."""


def draws(seed: int, sample: int, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform uint16 draws of sample number `sample`: Philox, keyed by seed and sample."""
    return np.frombuffer(stream(seed, sample).bytes(2 * int(np.prod(shape))), "<u2").reshape(shape)


def check_range(name: str, value: Any, low: int, high: int) -> None:
    """EncoderError unless a field is a whole number in that range."""
    if type(value) is not int or not low <= value <= high:
        raise EncoderError(f"{name} must be an integer from {low} to {high}, got {value!r}")


@dataclass(frozen=True)
class Encoder:
    """Base of all encoders.

    Args:
        steps: logical time steps T of one sample.
        interleave: how many channels each channel becomes, so that the sheet is narrower
            (`lavaseg/network/interleave.py`); it must divide the columns. Export sets it.
    """

    kind: ClassVar[str] = ""
    steps: int
    interleave: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 1, 4096)
        check_range("interleave", self.interleave, 1, 2**15)

    @property
    def message_bits(self) -> int:
        """0 for binary spikes, else the bits of a graded spike."""
        return 0

    def shape(self, stimulus: Shape) -> Shape:
        """Shape of the input population for stimuli of this shape.

        Args:
            stimulus: (channels, height, width) of a picture; (2, height, width) of events.

        Raises:
            EncoderError: stimuli of another shape than the encoder's.
        """
        channels, height, width = self._sheet(stimulus)
        if width % self.interleave:
            raise EncoderError(
                f"{width} columns cannot be interleaved into {self.interleave} channels"
            )
        return channels * self.interleave, height, width // self.interleave

    def stimulus(self, spikes: Shape) -> Shape:
        """Shape of the stimuli that become spikes of this shape: `shape` turned round."""
        channels, height, width = spikes
        return self._source((channels // self.interleave, height, width * self.interleave))

    def _sheet(self, stimulus: Shape) -> Shape:
        """Shape of what `_spikes` gives at each step."""
        return stimulus

    def _source(self, sheet: Shape) -> Shape:
        """Shape of the stimuli of which `_spikes` makes sheets of this shape."""
        return sheet

    def window(self, size: Size) -> tuple[slice, slice]:
        """Rows and columns that the network sees of a stimulus of this size, and of its labels."""
        return slice(0, size[0]), slice(0, size[1])

    def _check(self, stimuli: Sequence[Stimulus] | np.ndarray) -> Sequence[Any] | np.ndarray:
        """The batch as `_spikes` takes its items, or EncoderError."""
        raise NotImplementedError

    def _spikes(self, stimulus: Any, seed: int, sample: int) -> np.ndarray:
        """Spikes or messages of one stimulus, (T, C, H, W)."""
        raise NotImplementedError

    def _noisy(self, stimulus: Any, seed: int, sample: int, noise: Noise) -> np.ndarray:
        """As `_spikes`, with noise on the stimulus or on its frames."""
        raise NotImplementedError

    def noise_in_words(self, noise: Noise) -> str:
        """What noise does to the input of this code, and on which scale."""
        return noise.described("messages", f"on event frames of 0 to {self.largest_message}")

    def with_steps(self, steps: int) -> Encoder:
        """The same code for another number of steps.

        Raises:
            EncoderError: the number is out of range, or the stimuli fix it.
        """
        return dataclasses.replace(self, steps=steps)

    def other_slices(self, steps: int) -> str:
        """How the slices of a recording change with `steps` steps; empty where there are none."""
        return ""

    @property
    def largest_message(self) -> int:
        """The largest number that a spike carries; 1 for binary spikes."""
        return 2**self.message_bits - 1 if self.message_bits else 1

    def encode(
        self,
        stimuli: Sequence[Stimulus] | np.ndarray,
        *,
        seed: int = 0,
        samples: Sequence[int] | None = None,
        noise: Noise | None = None,
    ) -> np.ndarray:
        """Spikes of a batch of pictures or recordings.

        Args:
            stimuli: pictures, uint8 (channels, height, width) each, in a list or an array; for
                an encoder of events, a list of `Events`.
            seed: seed of the random draws.
            samples: the number that keys each stimulus's draws; 0 .. N-1 by default.
            noise: noise on the input, drawn by its own seed and the same numbers; None: none.

        Returns:
            uint8 (N, T, C, H, W): 0/1, or the message of a graded spike.

        Raises:
            EncoderError: stimuli of another kind, type or shape than the encoder's.
            NoiseError: noise that such stimuli cannot have.
        """
        checked = self._check(stimuli)
        numbers = range(len(checked)) if samples is None else samples
        first = self.shape(checked[0].shape) if len(checked) else (0, 0, 0)
        out = np.empty((len(checked), self.steps, *first), np.uint8)
        for row, stimulus, number in zip(out, checked, map(int, numbers), strict=True):
            if noise is None:
                spikes = self._spikes(stimulus, seed, number)
            else:
                spikes = self._noisy(stimulus, seed, number, noise)
            row[...] = interleaved(spikes, self.interleave)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `encoder_from_dict` is its inverse."""
        fields = {"kind": self.kind, **dataclasses.asdict(self)}
        if self.interleave == 1:
            del fields["interleave"]
        return fields


class Graded(Encoder):
    """Base of codes whose spikes carry a message; it stands before the base for the stimulus.

    A subclass declares its field `bits`, the message bits, at the place that it has in files.
    """

    least_bits: ClassVar[int] = 1
    """The least number of message bits: 0 where the code has binary spikes, too."""
    bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("bits", self.bits, self.least_bits, 8)

    @property
    def message_bits(self) -> int:
        return self.bits
