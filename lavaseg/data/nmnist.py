"""N-MNIST segmentation: real recordings of MNIST digits, with the digit's own mask as label.

An event camera on a motor saw each digit on a screen during three saccades of about 100 ms
(Orchard et al. 2015); 34x34 pixels, about 4,000 events. Training recording k shows MNIST's training
digit k - 1, test recording k (60000 + k in the small edition) its test digit k - 1.

The digit moves by up to 3 pixels while it is recorded. The label is the digit where it stands on
average, which was measured by correlating events with the digit's gradient; the camera stood 0.7
pixels differently when the test part was recorded. docs/events.md has the measurement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lavaseg.data import places
from lavaseg.data.base import DataSet, samples_in_short
from lavaseg.data.event_files import read_recording
from lavaseg.data.idx import read_idx
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.system.faults import reading

SENSOR = (34, 34)
PLACE = {"train": (3.0, 3.0), "test": (2.3, 2.9)}
"""Row and column of the digit's upper left corner, on average over a recording."""
THRESHOLD = 0.3
"""Brighter parts of the digit, of 0 .. 1, are its mask, as in MNIST-CIFAR10-segmentation."""

_FOLDERS = ("N-MNIST", "NMNIST", "nmnist", "events/nmnist", ".")
_PARTS = {
    "train": ("Train", "train1K.txt", 0, "train"),
    "test": ("Test", "test100.txt", 60_000, "t10k"),
}
"""Official folder; list of the small edition and what its numbers are ahead; MNIST's prefix."""
_LINE = re.compile(r"\s*([0-9]{1,9})\s+([0-9])\s*")
"""A line of such a list: number of a recording, class."""


def load(
    root: str | None = None,
    train: int | None = None,
    test: int | None = None,
    digits: bool = False,
) -> DataSet:
    """N-MNIST segmentation.

    The recordings are looked for in N-MNIST/, nmnist/ or events/nmnist/ of `root`, else of the
    folder that LAVASEG_DATA names, else of ./data: the official Train/D/NNNNN.bin and Test/..., or
    the small edition of train/N.bs2, test/N.bs2, train1K.txt and test100.txt. MNIST's images and
    labels are looked for there as MNIST/raw/*-ubyte[.gz].

    Args:
        root: folder of the files.
        train, test: number of recordings to use, the first ones; None: all.
        digits: tell the ten digits apart (11 classes), instead of background and digit.

    Raises:
        LavasegError: files are missing or damaged, or a recording and its MNIST digit differ in
            class; an option out of range.
    """
    for name, value in (("train", train), ("test", test)):
        if value is not None and (type(value) is not int or value < 1):
            raise LavasegError(f"data option {name!r} must be a positive number, got {value!r}")
    if not isinstance(digits, bool):
        raise LavasegError(f"data option 'digits' must be true or false, got {digits!r}")
    found = places.find(
        root,
        (
            f"{f}/{name}"
            for f in _FOLDERS
            for name in (_PARTS["train"][0] + "/0", _PARTS["train"][1])
        ),
    )
    if found is None:
        raise places.missing("N-MNIST", root, "put its Train and Test folders into N-MNIST/ there")
    folder = found.parent.parent if found.is_dir() else found.parent
    names = [f"digit {d}" for d in range(10)] if digits else ["digit"]
    return DataSet(
        name="nmnist",
        train=_part(folder, "train", root, train, digits),
        test=_part(folder, "test", root, test, digits),
        classes=("background", *names),
        source=f"N-MNIST recordings ({folder.name}), masks of MNIST",
    )


@dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings that are read when they are asked for, each with its digit's mask.

    Args:
        files: one for each sample.
        images: uint8 (N, 28, 28), the digit that each shows.
        classes: label of each mask's pixels, uint8 (N,).
        place: of the digits, see `PLACE`.
    """

    files: tuple[Path, ...]
    images: np.ndarray
    classes: np.ndarray
    place: tuple[float, float]

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Events, np.ndarray]:
        events = read_recording(self.files[index], SENSOR)
        return events, label_map(self.images[index], self.place, int(self.classes[index]))


def label_map(image: np.ndarray, place: tuple[float, float], label: int = 1) -> np.ndarray:
    """The mask of an MNIST image on the sensor: uint8 (34, 34), 0 or `label`.

    Args:
        image: uint8 (28, 28).
        place: row and column of its upper left corner; between pixels, the image is interpolated
            (bilinear) before its brighter part is taken.
    """
    moved = np.zeros(SENSOR)
    (top, down), (left, right) = (divmod(at, 1) for at in place)
    for row, upper in ((int(top), 1 - down), (int(top) + 1, down)):
        for column, weight in ((int(left), 1 - right), (int(left) + 1, right)):
            moved[row : row + 28, column : column + 28] += upper * weight * image
    return np.where(moved > THRESHOLD * 255, label, 0).astype(np.uint8)


def _part(folder: Path, part: str, root: str | None, count: int | None, digits: bool) -> Recordings:
    official = (folder / _PARTS[part][0]).is_dir()
    listed = list(_official(folder, part) if official else _small(folder, part))
    said = "" if official else f"by {folder / _PARTS[part][1]}, "
    listed = sorted(listed)[:count]
    if not listed:
        raise LavasegError(f"{folder} holds no recordings of the {part} part")
    numbers, classes, files = zip(*listed, strict=True)
    images = _mnist(root, _PARTS[part][3], "images-idx3", (28, 28))
    labels = _mnist(root, _PARTS[part][3], "labels-idx1", ())
    for number, digit, file in listed:
        if number >= len(images) or number < 0:
            raise LavasegError(
                f"{said}{file} would show digit {number} of MNIST, which has {len(images)}"
            )
        if labels[number] != digit:
            raise LavasegError(
                f"{said}{file} shows a {digit}, MNIST's {part} digit {number} is a {labels[number]}"
            )
    return Recordings(
        files,
        images[list(numbers)],
        np.array(classes, np.uint8) + 1 if digits else np.ones(len(files), np.uint8),
        PLACE[part],
    )


def _official(folder: Path, part: str) -> Iterator[tuple[int, int, Path]]:
    """(number of the MNIST digit, class, file) of Train/D/NNNNN.bin."""
    for digit in range(10):
        for path in (folder / _PARTS[part][0] / str(digit)).glob("*.bin"):
            if path.stem.isdecimal():
                yield int(path.stem) - 1, digit, path


def _small(folder: Path, part: str) -> Iterator[tuple[int, int, Path]]:
    """As `_official`, from a list of "number<TAB>class" lines."""
    _, name, ahead, _ = _PARTS[part]
    listing = folder / name
    if not listing.is_file():
        raise LavasegError(f"there is no file {listing}")
    with reading(listing):
        lines = listing.read_text("utf-8", "replace").splitlines()
    seen = set()
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        if (row := _LINE.fullmatch(line)) is None:
            raise LavasegError(f"{listing}: expected lines 'number class', got {line[:80]!r}")
        number, digit = map(int, row.groups())
        if number in seen:
            raise LavasegError(f"{listing} names recording {number} twice")
        seen.add(number)
        path = folder / part / f"{number}.bs2"
        if not path.is_file():
            raise LavasegError(f"{listing} names {path}, which is not there")
        yield number - ahead - 1, digit, path


def _mnist(
    root: str | None, prefix: str, kind: str, item: tuple[int, int] | tuple[()]
) -> np.ndarray:
    name = f"{prefix}-{kind}-ubyte"
    path = places.find(
        root, (f"{folder}{name}{end}" for folder in ("MNIST/raw/", "") for end in ("", ".gz"))
    )
    if path is None:
        raise places.missing(f"MNIST ({name})", root, "put MNIST/raw/ there")
    return read_idx(path, item)
