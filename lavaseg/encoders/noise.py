"""Noise on the input of a network: what a picture, an event frame or a recording loses to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.events import Events

NoiseKind = Literal["gaussian", "salt-pepper", "drop-events"]
KINDS: tuple[str, ...] = get_args(NoiseKind)

_MOST = {"gaussian": 100.0, "salt-pepper": 1.0, "drop-events": 1.0}
_AMOUNTS = {
    "gaussian": "sigma, 0 to 100, in units of the whole range of a pixel",
    "salt-pepper": "the share of pixels, 0 to 1",
    "drop-events": "the share of events, 0 to 1",
}
_COUNTER = 1 << 192
"""Where its draws begin in a Philox stream: those of the codes begin at 0 and never get here."""


def stream(seed: int, sample: int, counter: int = 0) -> np.random.Generator:
    """The random numbers of a sample: Philox, keyed by seed and sample, from a counter on."""
    key = [seed % 2**64, sample % 2**64]
    return np.random.Generator(np.random.Philox(counter=counter, key=key))


class NoiseError(LavasegError):
    """Noise that is unknown, out of range, or that this kind of input cannot have."""


@dataclass(frozen=True)
class Noise:
    """Noise that is drawn anew for each sample, by seed and sample number alone.

    A sample has the same noise in any batch and order, whatever the seed of the code's own draws,
    and so the same for a float network and the integer network made of it.

    - "gaussian": a normal draw of standard deviation `amount` is added to each value, whose whole
      range is 0 to 1; the sum is clipped to that range and rounded to what the input can hold:
      256 levels of a picture, before it is coded; the messages of an event frame, of which a
      binary one flips where the draw exceeds one half. Kim et al. 2022 (figure 11) add it to
      pictures of 0 .. 255, likewise before coding.
    - "salt-pepper": a share `amount` of the pixels of a picture (all of its channels) or of the
      messages of an event frame becomes the least or the largest value, with even chances.
    - "drop-events": each event of a recording is lost with probability `amount`, before it is
      sliced.

    Args:
        kind: one of these three.
        amount: sigma, 0 to 100; or a share, 0 to 1.
        seed: of the draws; noise of two seeds is independent.

    Raises:
        NoiseError: another kind, or an amount or a seed out of range.
    """

    kind: NoiseKind
    amount: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise NoiseError(f"unknown noise {self.kind!r}: expected one of {', '.join(KINDS)}")
        amount = self.amount
        number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
        if not number or not 0 <= amount <= _MOST[self.kind]:
            raise NoiseError(
                f"the amount of {self.kind} noise must be {_AMOUNTS[self.kind]}, got {amount!r}"
            )
        if type(self.seed) is not int or self.seed < 0:
            raise NoiseError(f"the seed of noise must be a whole number from 0, got {self.seed!r}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.amount:g}, seed {self.seed}"

    def described(self, values: str, when: str) -> str:
        """What it does, in words.

        Args:
            values: what it falls on, such as "pixels".
            when: such as "before coding".
        """
        if self.kind == "drop-events":
            return f"{100 * self.amount:g} % of the events dropped, before they are sliced"
        if self.kind == "gaussian":
            return f"Gaussian, sigma {self.amount:g} where {values} reach from 0 to 1, {when}"
        return f"salt and pepper on {100 * self.amount:g} % of the {values}, {when}"

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> Noise:
        """The noise that a word such as "0.1" (Gaussian) or "salt-pepper:0.05" asks for.

        Raises:
            NoiseError: it asks for none.
        """
        kind, colon, amount = text.rpartition(":")
        try:
            number = float(amount)
        except ValueError:
            raise NoiseError(
                f"noise {text!r}: expected SIGMA or KIND:AMOUNT, such as 0.1 or salt-pepper:0.05 "
                f"(kinds: {', '.join(KINDS)})"
            ) from None
        return cls(kind if colon else "gaussian", number, seed)  # type: ignore[arg-type]

    def on_recording(self, events: Events, sample: int) -> Events:
        """A recording with this noise; other noise than lost events is on its frames instead."""
        if self.kind != "drop-events":
            return events
        return events.where(self._generator(sample).random(len(events)) >= self.amount)

    def on_picture(self, picture: np.ndarray, sample: int) -> np.ndarray:
        """A picture with this noise, uint8 (channels, height, width) as it was."""
        return self._on_values(picture, 255, (1, *picture.shape[1:]), sample)

    def on_frames(self, messages: np.ndarray, largest: int, sample: int) -> np.ndarray:
        """Event frames with this noise: whole messages (T, C, H, W) of 0 .. `largest`."""
        if self.kind == "drop-events":  # done already, to the recording
            return messages
        return self._on_values(messages, largest, messages.shape, sample)

    def _on_values(
        self, values: np.ndarray, largest: int, places: tuple[int, ...], sample: int
    ) -> np.ndarray:
        """Whole numbers 0 .. `largest`; salt and pepper fall on `places`, which broadcast."""
        generator = self._generator(sample)
        if self.kind == "gaussian":
            added = generator.standard_normal(values.shape, np.float32)
            added *= np.float32(self.amount * largest)
            return np.rint(values + added).clip(0, largest).astype(np.uint8)
        drawn = generator.random(places)
        extreme = np.where(drawn < self.amount / 2, 0, largest)
        return np.where(drawn < self.amount, extreme, values).astype(np.uint8)

    def _generator(self, sample: int) -> np.random.Generator:
        return stream(self.seed, sample, _COUNTER)


NoiseLike: TypeAlias = "Noise | float | str | None"
"""Noise, Gaussian noise of a sigma, or the word that the command line takes; None: no noise."""


def as_noise(given: NoiseLike) -> Noise | None:
    """The noise that was asked for.

    Raises:
        NoiseError: it is none.
    """
    if given is None or isinstance(given, Noise):
        return given
    return Noise.parse(given) if isinstance(given, str) else Noise("gaussian", given)
