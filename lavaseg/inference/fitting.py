"""How a picture of any size comes to a network of one size, and its read-outs back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from lavaseg.data.pictures import resize_picture
from lavaseg.errors import LavasegError
from lavaseg.network import Size
from lavaseg.results.metrics import resize, resize_band

How = Literal["resize", "letterbox", "windows"]
Box: TypeAlias = "tuple[slice, slice]"
"""Rows and columns."""

_BAND_BYTES = 2**22
"""Scores that are held at full size at a time: a band of rows that stays in cache."""


@dataclass(frozen=True)
class Fit:
    """The rule by which pictures of another size than the network's are brought to it.

    Args:
        how: "resize": the whole picture to the network's size; "letterbox": with its proportions
            kept, centred, the rest filled with its mean colour; "windows": cut into windows.
        overlap: share of a window that its neighbour sees, too, at least (windows).
        scale: factor on the picture's size before it is cut (windows).

    Raises:
        LavasegError: an unknown way, or a number out of range.
    """

    how: How = "resize"
    overlap: float = 0.25
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.how not in get_args(How):
            raise LavasegError(f"fit must be {', '.join(get_args(How))}, got {self.how!r}")
        if not 0 <= self.overlap <= 0.9:
            raise LavasegError(f"overlap must be a share from 0 to 0.9, got {self.overlap!r}")
        if not (math.isfinite(self.scale) and 0 < self.scale <= 16):
            raise LavasegError(f"scale must be above 0 and at most 16, got {self.scale!r}")

    def place(self, size: Size, network: Size) -> Placement:
        """The places of a picture of that size on sheets of the network's size."""
        same = tuple(size) == tuple(network) and (self.how == "letterbox" or self.scale == 1)
        if self.how == "resize" or same:
            return Placement(size, network, network, (_whole(network),), _whole(network))
        factor = self.scale
        if self.how == "letterbox":
            factor = min(network[0] / size[0], network[1] / size[1])
        inner = _scaled(size, factor)
        if self.how == "letterbox":  # rounding must not lead beyond the sheet
            inner = min(inner[0], network[0]), min(inner[1], network[1])
        sheet = max(inner[0], network[0]), max(inner[1], network[1])
        rows, columns = (
            [slice(start, start + window) for start in _starts(length, window, self.overlap)]
            for length, window in zip(sheet, network, strict=True)
        )
        windows = tuple((row, column) for row in rows for column in columns)
        return Placement(size, network, sheet, windows, _centred(inner, sheet))

    def in_words(self, network: Size) -> str:
        """What happens to a picture of another size, for people."""
        size = f"{network[0]} x {network[1]}"
        if self.how == "resize":
            return f"resized to the network's {size} pixels, read-outs back to the input's size"
        if self.how == "letterbox":
            return (
                f"resized to fit into the network's {size} pixels with proportions kept, the rest "
                "filled with the mean colour"
            )
        scaled = "" if self.scale == 1 else f"scaled by {self.scale:g}, then "
        return (
            f"{scaled}cut into windows of the network's {size} pixels that overlap by at least "
            f"{100 * self.overlap:g} %; there logits are averaged, with weights that fall from a "
            "window's middle to its edge"
        )


@dataclass(frozen=True)
class Placement:
    """The places of one picture on a network's sheets.

    Args:
        size: (height, width) of the picture.
        network: (height, width) of a sheet.
        sheet: (height, width) of the resized and filled picture that windows are cut of.
        windows: of that, each of the network's size, row by row.
        inner: where the picture lies in it.
    """

    size: Size
    network: Size
    sheet: Size
    windows: tuple[Box, ...]
    inner: Box

    def views(self, picture: np.ndarray) -> Iterator[np.ndarray]:
        """The network's pictures: uint8 (channels, *network) each.

        Args:
            picture: uint8 (channels, *size).
        """
        inside = _extent(self.inner)
        resized = resize_picture(picture, inside)
        if inside == self.sheet:
            filled = resized
        else:
            mean = np.rint(resized.mean((1, 2), dtype=np.float64)).astype(np.uint8)
            filled = np.empty((len(picture), *self.sheet), np.uint8)
            filled[:] = mean[:, None, None]
            filled[:, self.inner[0], self.inner[1]] = resized
        for rows, columns in self.windows:
            yield np.ascontiguousarray(filled[:, rows, columns])

    def bands(self, readouts: Sequence[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
        """Scores at the picture's size, some rows at a time, from top to bottom.

        Args:
            readouts: float32 (K, h, w) of each view.

        Yields:
            Rows, and their scores float32 (K, rows, width).
        """
        if len(readouts) == 1 and _extent(self.inner) == self.sheet == self.network:
            yield from _resized(readouts[0], self.size)
            return
        blended = self._blended(readouts)
        if _extent(self.inner) == self.size:
            yield from _between(blended, self.inner)
            return
        whole = np.concatenate([part for _, part in _between(blended, self.inner)], axis=1)
        yield from _resized(whole, self.size)

    def _blended(self, readouts: Sequence[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """Scores of the sheet: first row, and float32 (K, rows, width), from top to bottom."""
        weight = _tent(self.network)
        width = self.sheet[1]
        sums = np.zeros((len(readouts[0]), self.network[0], width), np.float32)
        weights = np.zeros((self.network[0], width), np.float32)
        top = 0
        for (rows, columns), readout in zip(self.windows, readouts, strict=True):
            if rows.start > top:  # nothing more is added to the rows above
                done = rows.start - top
                yield top, sums[:, :done] / weights[:done]
                for array in (sums, weights):
                    array[..., :-done, :] = array[..., done:, :].copy()
                    array[..., -done:, :] = 0
                top = rows.start
            sums[..., columns] += weight * resize(readout[None], self.network)[0]
            weights[:, columns] += weight
        yield top, sums / weights


def _resized(logits: np.ndarray, size: Size) -> Iterator[tuple[slice, np.ndarray]]:
    """`metrics.resize` of float32 (K, h, w), some rows at a time."""
    rows = max(1, _BAND_BYTES // (4 * len(logits) * size[1]))
    for first in range(0, size[0], rows):
        stop = min(first + rows, size[0])
        yield slice(first, stop), resize_band(logits[None], size, first, stop)[0]


def _between(
    parts: Iterator[tuple[int, np.ndarray]], box: Box
) -> Iterator[tuple[slice, np.ndarray]]:
    """What lies in a box of bands of rows; rows are counted from its upper edge."""
    rows, columns = box
    for top, part in parts:
        first, stop = max(top, rows.start), min(top + part.shape[1], rows.stop)
        if first < stop:
            inside = part[:, first - top : stop - top, columns]
            yield slice(first - rows.start, stop - rows.start), inside


def _tent(size: Size) -> np.ndarray:
    """Weights in a window, float32: they fall linearly from its middle lines to its edges."""
    rows, columns = (1 - np.abs((2 * np.arange(length) + 1) / length - 1) for length in size)
    return np.outer(rows, columns).astype(np.float32)


def _starts(length: int, window: int, overlap: float) -> list[int]:
    """First rows or columns of windows, evenly apart, that overlap by at least that share."""
    stride = max(1, math.floor(window * (1 - overlap)))
    count = -(-(length - window) // stride) + 1
    return [round(k * (length - window) / max(count - 1, 1)) for k in range(count)]


def _scaled(size: Size, factor: float) -> Size:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _whole(size: Size) -> Box:
    return slice(0, size[0]), slice(0, size[1])


def _centred(inner: Size, sheet: Size) -> Box:
    top, left = (sheet[0] - inner[0]) // 2, (sheet[1] - inner[1]) // 2
    return slice(top, top + inner[0]), slice(left, left + inner[1])


def _extent(box: Box) -> Size:
    return box[0].stop - box[0].start, box[1].stop - box[1].start
