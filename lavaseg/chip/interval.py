"""A quantity that is known only within bounds."""

from __future__ import annotations

from dataclasses import dataclass

from lavaseg.errors import LavasegError


@dataclass(frozen=True)
class Interval:
    """Least and most of a quantity that is not negative.

    Args:
        low, high: the bounds, in the unit that whoever makes it says.

    Raises:
        LavasegError: bounds that are negative, in the wrong order or no numbers.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise LavasegError(f"bounds must be 0 <= low <= high, got {self.low} and {self.high}")

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __mul__(self, other: Interval | float) -> Interval:
        if isinstance(other, Interval):
            return Interval(self.low * other.low, self.high * other.high)
        return Interval(self.low * other, self.high * other)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def in_words(self, unit: str = "") -> str:
        """Both bounds with two digits, such as "74 to 210 µs", or one if they do not differ.

        Args:
            unit: of the bounds; its prefix becomes the one that suits the higher bound.
        """
        prefixes, scale = ["", "m", "µ", "n", "p"], 1.0
        while unit and 0 < self.high * scale < 1 and len(prefixes) > 1:
            scale *= 1000
            prefixes.pop(0)
        low, high = (_two_digits(bound * scale) for bound in (self.low, self.high))
        words = low if low == high else f"{low} to {high}"
        return f"{words} {prefixes[0]}{unit}" if unit else words

    @property
    def inverse(self) -> Interval:
        """1 / quantity."""
        return Interval(1 / self.high, 1 / self.low)


def _two_digits(value: float) -> str:
    if value < 99.5:
        return f"{value:.2g}"
    digits = len(str(round(value))) - 2
    return f"{round(value / 10**digits) * 10**digits:,}"
