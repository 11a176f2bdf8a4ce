"""DDD17 driving scenes as Ev-SegNet exports them: frames of 50 ms with labels of 6 classes.

    {events,labels}/{train,test}/recNNNNNNNNNN_export_N.{npy,png}

An array is (200, 346, 6), of which the first two channels, the histograms of ON and of OFF events
from -1 (none) to 1, are used, as Kim et al. 2022 do. The labels are predictions of a network on
the camera's grey pictures. Source: Alonso and Murillo 2019, Ev-SegNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.data import places
from lavaseg.data.base import DataSet, Samples, samples_in_short
from lavaseg.data.pairs import check_classes
from lavaseg.data.pictures import (
    read_label_map,
    read_picture,
    resize_label_map,
    resize_picture,
)
from lavaseg.data.split import check_part
from lavaseg.errors import LavasegError
from lavaseg.network import Size
from lavaseg.system.faults import reading

CLASSES = ("flat", "construction and sky", "object", "nature", "human", "vehicle")
IGNORE = 255
SIZE = (200, 346)
"""(height, width); the lower 60 rows, the car's bonnet, are cut off."""

Ranges = dict[str, tuple[tuple[int, int], ...]]
TRAIN: Ranges = {
    "rec1487339175": ((0, 4150), (5200, 6600)),
    "rec1487842276": ((1310, 1400), (1900, 2000), (2600, 3550)),
    "rec1487593224": ((870, 2190),),
    "rec1487846842": ((380, 500), (1800, 2150), (2575, 2730), (3530, 3900)),
    "rec1487779465": (
        (1800, 3400),
        (4000, 4700),
        (8400, 8630),
        (8800, 9160),
        (9920, 10175),
        (18500, 22300),
    ),
}
TEST: Ranges = {"rec1487417411": ((100, 1500), (2150, 3100), (3200, 4430), (4840, 5150))}
"""Numbers of the official frames, 15,950 and 3,890; the upper bound is not included."""


def load(
    root: str | None = None,
    frames: int = 1,
    size: int | tuple[int, int] | None = None,
    per_column: bool = False,
    complete: bool = True,
    validation: str | None = "rec1487593224",
) -> DataSet:
    """DDD17 as Ev-SegNet exports it.

    A stimulus is a picture, uint8 (2 * frames, height, width): ON and OFF histogram of each frame,
    0 for no event, oldest frame first, the label's own frame last. The encoder `frames` sends one
    frame a step (Kim et al.'s "target history"); `poisson` suits a single one.

    Args:
        root: folder that holds DDD17 (or is it), else LAVASEG_DATA or ./data.
        frames: number of frames; before the start of an official range (and, with complete=false,
            where a file is missing) they are empty.
        size: (height, width), or one number, that everything is resized to (Kim et al.: 64).
        per_column: spread each column of a channel between its own smallest and largest value, as
            Kim et al.'s code does; it loses where there are many events.
        complete: all official frames must be there; else those that are there are used.
        validation: training recording that selects the model, since neighbouring frames are nearly
            the same; None: single frames are held out, as of any data set.

    Raises:
        LavasegError: files are missing, or an option is out of range. A file that is damaged is
            found when it is used.
    """
    if type(frames) is not int or not 1 <= frames <= 100:
        raise LavasegError(f"data option 'frames' must be 1 to 100, got {frames!r}")
    check_part(validation, TRAIN)
    wanted = _size(size)
    found = places.find(root, (f"{n}events/train" for n in ("DDD17/", "ddd17/", "")))
    if found is None:
        raise places.missing(
            "DDD17", root, "put the folders events and labels of Ev-SegNet's export into DDD17/"
        )
    folder = found.parent.parent

    def part(name: str, ranges: Ranges) -> Samples:
        numbers = _official(folder, name, ranges, complete)
        return Exported(folder, name, tuple(numbers), frames, wanted, per_column)

    held = {} if validation is None else {validation: TRAIN[validation]}
    rest = {recording: spans for recording, spans in TRAIN.items() if recording not in held}
    return DataSet(
        name="ddd17",
        train=part("train", rest),
        validation=part("train", held) if held else None,
        test=part("test", TEST),
        classes=CLASSES,
        ignore_index=IGNORE,
        source=f"Ev-SegNet's export of DDD17 in {folder}",
    )


@dataclass(frozen=True, eq=False)
class Exported:
    """Official frames of one part.

    Args:
        folder: holds events and labels.
        part: train or test.
        numbers: (recording, first number of its range, number) of each sample.
        frames: of each stimulus.
        size: (height, width) of every sample.
        per_column: spread each column.
    """

    folder: Path
    part: str
    numbers: Sequence[tuple[str, int, int]]
    frames: int
    size: Size
    per_column: bool

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        recording, first, number = self.numbers[index]
        stack = []
        for k in range(number - self.frames + 1, number + 1):
            path = _file(self.folder, "events", self.part, recording, k)
            known = k >= first and (k == number or path.is_file())
            stack.append(
                read_histograms(path, per_column=self.per_column)
                if known
                else np.zeros((2, *SIZE), np.uint8)
            )
        file = _file(self.folder, "labels", self.part, recording, number)
        label = read_label_map(file)
        if label.shape != SIZE:
            raise LavasegError(
                f"label map {file} is {label.shape[0]} x {label.shape[1]}, expected "
                f"{SIZE[0]} x {SIZE[1]} (height x width)"
            )
        check_classes(label, file, len(CLASSES), IGNORE)
        return resize_picture(np.concatenate(stack), self.size), resize_label_map(label, self.size)

    def grey(self, index: int) -> np.ndarray | None:
        """The camera's grey frame of a sample, uint8 (height, width); None without its file."""
        recording, _, number = self.numbers[index]
        path = _file(self.folder, "images", self.part, recording, number)
        if not path.is_file():
            return None
        return resize_picture(read_picture(path, (1, *SIZE)), self.size)[0]


def read_histograms(path: Path, *, per_column: bool = False) -> np.ndarray:
    """ON and OFF histogram of an exported array, -1 .. 1 as 0 .. 255: uint8 (2, 200, 346).

    Args:
        path: .npy of floats (200, 346, 6).
        per_column: each column's smallest value becomes 0 and its largest 255.

    Raises:
        LavasegError: the file is missing, damaged, of another shape, or out of range.
    """
    expected = "floats (200, 346, 6), as Ev-SegNet exports DDD17"
    with reading(path, f"is no .npy file of {expected}"):
        # mapped, so that a false header cannot ask for memory
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    if (
        not isinstance(array, np.ndarray)
        or array.shape != (*SIZE, 6)
        or not np.issubdtype(array.dtype, np.floating)
    ):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise LavasegError(f"{path} must hold {expected}, it holds {found}")
    with np.errstate(invalid="ignore"):  # what is no number is refused below
        values = np.moveaxis(np.asarray(array[..., :2], np.float64), -1, 0)
    if not (np.abs(values) <= 1).all():  # not a number is refused, too
        raise LavasegError(f"{path} has histograms outside of -1 to 1")
    if per_column:
        low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
        level = (values - low) / np.where(high > low, high - low, 1)
    else:
        level = (values + 1) / 2
    return np.rint(255 * level).astype(np.uint8)


def _file(folder: Path, kind: str, part: str, recording: str, number: int) -> Path:
    ending = {"events": "npy", "labels": "png", "images": "png"}[kind]
    return folder / kind / part / f"{recording}_export_{number}.{ending}"


def _official(
    folder: Path, part: str, ranges: Ranges, complete: bool
) -> list[tuple[str, int, int]]:
    """(recording, first number of its range, number) of the official frames."""
    official = [
        (recording, first, number)
        for recording, spans in ranges.items()
        for first, stop in spans
        for number in range(first, stop)
    ]
    present = {path.name for path in (folder / "events" / part).glob("*.npy")}
    found = [item for item in official if f"{item[0]}_export_{item[2]}.npy" in present]
    if not found or (complete and len(found) < len(official)):
        raise LavasegError(
            f"{folder / 'events' / part} holds {len(found)} of the {len(official)} official frames "
            f"of {', '.join(ranges)}; the data option complete=false uses those that are there"
        )
    return found


def _size(size: Any) -> Size:
    if size is None:
        return SIZE
    pair = (size, size) if type(size) is int else size
    if (
        not isinstance(pair, (list, tuple))
        or len(pair) != 2
        or not all(type(n) is int and n >= 1 for n in pair)
    ):
        raise LavasegError(
            f"data option 'size' must be one or two positive numbers (height, width), got {size!r}"
        )
    return pair[0], pair[1]
