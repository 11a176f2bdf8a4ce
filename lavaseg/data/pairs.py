"""Pairs of files, a picture and its label map, as samples of one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lavaseg.data.base import LabelError, samples_in_short, unknown_label
from lavaseg.data.pictures import (
    is_turned,
    read_label_map,
    read_picture,
    resize_label_map,
    resize_picture,
)
from lavaseg.errors import LavasegError
from lavaseg.network import Size

Files = Sequence[tuple[Path, Path]]
"""(picture, label map) of each sample."""


@dataclass
class Memory:
    """Samples that were read before, as long as they fit: uint8, at the size they are used in.

    Args:
        limit: bytes that may be kept. What does not fit any more is read again each time.
    """

    limit: int
    used: int = 0
    kept: dict[tuple[Path, Path], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def get(
        self, key: tuple[Path, Path], read: Callable[[], tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The sample of these files: kept, or read and kept if it fits. Copy it to change it."""
        if key in self.kept:
            return self.kept[key]
        picture, label = read()
        size = picture.nbytes + label.nbytes
        if self.used + size <= self.limit:
            picture.flags.writeable = label.flags.writeable = False
            self.used += size
            self.kept[key] = picture, label
        return picture, label


@dataclass(frozen=True)
class Preparation:
    """The changes that files undergo on their way to samples.

    Args:
        size: (height, width) of every sample; None: each its own.
        resize: bring files to that size, or demand that they have it.
        labels: how label maps are resized; bilinear is wrong (see `resize_label_map`).
        memory: where samples are kept.
    """

    size: Size | None
    resize: bool
    labels: Literal["nearest", "bilinear"]
    memory: Memory


def preparation(
    size: Any, labels: Any, cache: Any, files: Files, *, mixed: bool = False
) -> Preparation:
    """A `Preparation` from the options that data sets of files have in common.

    Args:
        size: (height, width), or one number for both; None: that of the first sound picture.
        mixed: the files differ in size, and without `size` each sample keeps its own.
        labels: 'nearest' or 'bilinear'.
        cache: gigabytes of samples to keep in memory, 0 or more.

    Raises:
        LavasegError: an option out of range, or no picture can be read.
    """
    pair = (size, size) if isinstance(size, int) else size
    if pair is not None and not (
        isinstance(pair, (list, tuple))
        and len(pair) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in pair)
    ):
        raise LavasegError(
            f"data option 'size' must be one or two positive numbers (height, width), got {size!r}"
        )
    if labels not in ("nearest", "bilinear"):
        raise LavasegError(f"data option 'labels' must be nearest or bilinear, got {labels!r}")
    if not isinstance(cache, (int, float)) or isinstance(cache, bool) or not 0 <= cache < 1e6:
        raise LavasegError(f"data option 'cache' must be gigabytes, 0 or more, got {cache!r}")
    memory = Memory(round(cache * 2**30))
    if pair is None and mixed:
        return Preparation(None, False, labels, memory)
    height, width = pair or _first_size(files)
    return Preparation((height, width), pair is not None, labels, memory)


def _first_size(files: Files) -> Size:
    for number, (picture, _) in enumerate(files, 1):
        try:
            _, height, width = read_picture(picture).shape
        except LavasegError:
            if number == len(files):
                raise
        else:
            return height, width
    raise LavasegError("there are no pictures")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Samples that are read from files when they are asked for.

    Args:
        files: (picture, label map) of each sample.
        classes: number of classes; labels must lie below, or be `ignore`.
        ignore: the ignore index, or None.
        preparation: size and memory.
        read_label: a label map's class ids from its file, uint8 (height, width).
    """

    files: Files
    classes: int
    ignore: int | None
    preparation: Preparation
    read_label: Callable[[Path], np.ndarray] = read_label_map

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample `index`; its arrays may be kept for later calls and are then read-only.

        Raises:
            LavasegError: a file is missing, damaged, or of another size than its partner (or, if
                no size was asked for, than the first picture); a label that is no class.
        """
        files = self.files[index]
        return self.preparation.memory.get(files, lambda: self._read(*files))

    def own_label(self, index: int) -> np.ndarray:
        """The label map of sample `index` as its file holds it, not resized; checked likewise."""
        label_file = self.files[index][1]
        label = self.read_label(label_file)
        check_classes(label, label_file, self.classes, self.ignore)
        return label

    def _read(self, picture_file: Path, label_file: Path) -> tuple[np.ndarray, np.ndarray]:
        picture, label = read_picture(picture_file), self.read_label(label_file)
        if picture.shape[1:] != label.shape:
            raise LavasegError(
                f"{picture_file} is {_text(picture.shape[1:])} and its label map {label_file} is "
                f"{_text(label.shape)} (height x width): they must be equal"
                + (", and the picture is turned by its EXIF tag" if is_turned(picture_file) else "")
            )
        check_classes(label, label_file, self.classes, self.ignore)
        size = self.preparation.size
        if size is None:
            return picture, label
        if not self.preparation.resize and label.shape != size:
            raise LavasegError(
                f"{picture_file} is {_text(label.shape)}, the first picture {_text(size)} "
                "(height x width): set the data option 'size' to resize them"
            )
        resized = resize_label_map(label, size, self.preparation.labels)
        if self.preparation.labels == "bilinear" and self.ignore is not None:
            resized[resized >= self.classes] = self.ignore  # a mixture with the ignore index
        return resize_picture(picture, size), resized


def check_classes(label: np.ndarray, file: Path, classes: int, ignore: int | None) -> None:
    """LabelError if a label map from `file` holds an id that is no class and not ignored."""
    strange = unknown_label(label, classes, ignore)
    if strange is not None:
        known = f"0 to {classes - 1}"
        raise LabelError(
            f"label map {file} has the label {strange}: expected {known}"
            + ("" if ignore is None else f", or {ignore} (ignored)"),
            np.unique(label).tolist(),
        )


def _text(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
