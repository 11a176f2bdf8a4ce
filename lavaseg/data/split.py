"""Holding out part of the training samples, so that models are selected without the test set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lavaseg.data.base import Samples, own_label, samples_in_short
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus


@dataclass(frozen=True, eq=False)
class Subset:
    """The samples with the given numbers, in that order."""

    samples: Samples
    numbers: np.ndarray

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Stimulus, np.ndarray]:
        return self.samples[int(self.numbers[index])]

    def own_label(self, index: int) -> np.ndarray:
        """See `lavaseg.data.base.own_label`."""
        return own_label(self.samples, int(self.numbers[index]))


@dataclass(frozen=True, eq=False)
class Joined:
    """The samples of several parts, one part after the other."""

    parts: tuple[Samples, ...]

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> tuple[Stimulus, np.ndarray]:
        if index < 0:
            index += len(self)
        for part in self.parts:
            if 0 <= index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError("there is no sample of that number")

    def own_label(self, index: int) -> np.ndarray:
        """See `lavaseg.data.base.own_label`."""
        for part in self.parts:
            if index < len(part):
                return own_label(part, index)
            index -= len(part)
        raise IndexError("there is no sample of that number")


def hold_out(samples: Samples, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """Splits samples at random into (rest, held out), each in the original order.

    Args:
        samples: at least two.
        fraction: part to hold out, above 0 and below 1; at least one sample on either side.
        seed: of the random choice, not negative.

    Raises:
        LavasegError: a fraction out of range, or fewer than two samples.
    """
    if not 0 < fraction < 1:
        raise LavasegError(f"the fraction to hold out must lie between 0 and 1, got {fraction!r}")
    count = len(samples)
    if count < 2:
        raise LavasegError(f"at least 2 samples are needed to hold some out, got {count}")
    held = min(max(round(fraction * count), 1), count - 1)
    order = np.argsort(np.random.Philox(key=[seed, 2**62]).random_raw(count), kind="stable")
    return Subset(samples, np.sort(order[held:])), Subset(samples, np.sort(order[:held]))


def check_part(validation: str | None, parts: Iterable[str]) -> None:
    """Raises LavasegError unless the option `validation` names one of a training set's parts."""
    parts = tuple(parts)
    if validation is not None and validation not in parts:
        raise LavasegError(
            f"data option 'validation' must be one of {', '.join(parts)}, got {validation!r}"
        )
