"""Lists and indices that come with data sets, as kinds of files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from _file_kinds import Kind
from PIL import Image

from lavaseg.data import ddd17_events, dsec, nmnist, voc

_LONG = b"9" * 5_000
"""A number that is too long for Python, and a name that is too long for a file system."""
_WORDS = (
    _LONG,
    b"\0\n1 0",
    b"-1",
    b"\xff\xfe1\0",
    b"\xef\xbb\xbf",
    "\u0663 1".encode(),
    b"../" * 999,
)


def _hostile(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [
        *_WORDS,
        *(content + b"\n" + word for word in _WORDS),
        *(b"1 " + word + b"\n" for word in _WORDS),
    ]


def _idx(path: Path, content: np.ndarray) -> None:
    head = struct.pack(">HBB", 0, 8, content.ndim) + struct.pack(
        f">{content.ndim}I", *content.shape
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + content.tobytes())


def _nmnist(path: Path) -> None:
    """The small edition, with MNIST beside it; nobody reads the recordings here."""
    folder = path.parent
    for prefix in ("train", "t10k"):
        mnist = folder.parent / "MNIST" / "raw" / prefix
        _idx(mnist.with_name(f"{prefix}-images-idx3-ubyte"), np.zeros((9, 28, 28), np.uint8))
        _idx(mnist.with_name(f"{prefix}-labels-idx1-ubyte"), np.arange(9, dtype=np.uint8))
    for part, listing, ahead in (("train", "train1K.txt", 0), ("test", "test100.txt", 60_000)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        numbers = [ahead + k + 1 for k in range(9)]
        for number in numbers:
            (folder / part / f"{number}.bs2").touch()
        lines = [f"{number}\t{k}" for k, number in enumerate(numbers)]
        (folder / listing).write_text("\n".join(["# number class", *lines]), "utf-8")


def _voc(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for part in ("train", "val"):
        names = [f"2007_{number:06d}" for number in range(40)]
        (path.parent / f"{part}.txt").write_text("\n".join(names) + "\n", "utf-8")


def _dsec(path: Path) -> None:
    labels = path.parent / "11classes" / "data"
    labels.mkdir(parents=True, exist_ok=True)
    for number in range(12):
        (labels / f"{number:06d}.png").touch()
    path.write_text("\n".join(str(50_000 * k) for k in range(12)), "utf-8")


def _ddd17(path: Path) -> None:
    masks = path.parents[1] / "segmentation_masks"
    masks.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 6):
        Image.new("L", (8, 8)).save(masks / f"segmentation_{number}.png")
    np.save(path, np.arange(15, dtype=np.int64).reshape(5, 3))


def _read_ddd17(path: Path) -> None:
    ddd17_events._labels(path.parents[1], 50)


LISTS = (
    Kind(
        "nmnist/train1K.txt",
        _nmnist,
        lambda path: nmnist.load(str(path.parents[1])),
        hostile=_hostile,
    ),
    Kind(
        "VOC2012/ImageSets/Segmentation/train.txt",
        _voc,
        lambda path: voc.load(str(path.parents[3])),
        hostile=_hostile,
    ),
    Kind(
        "semantic/timestamps.txt", _dsec, lambda path: dsec._labels(path.parents[1]), None, _hostile
    ),
    Kind("index/index_50ms.npy", _ddd17, _read_ddd17),
)
