"""MNIST-CIFAR10-segmentation: MNIST digits on CIFAR-10 pictures, 32x32, 2 classes.

The rule is in `compose`. Sources are the training images of MNIST and the training batches of
CIFAR-10, as in the papers: a random order of each is cut into 72 % for training samples, 8 % for
validation and 20 % for test, so that no digit and no picture occurs in two parts.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from lavaseg.data import compose, places
from lavaseg.data.base import DataSet
from lavaseg.data.idx import read_idx
from lavaseg.errors import LavasegError
from lavaseg.system.extras import optional
from lavaseg.system.faults import reading

_DIGITS = "train-images-idx3-ubyte"
_BATCHES = "cifar-10-batches-py"
_LARGEST = 2**30
"""Bytes of pictures in one file: one that unpacks to more must not fill the memory."""


def load(
    train: int = 10_000,
    test: int = 2_500,
    seed: int = 0,
    root: str | None = None,
    download: bool = False,
    validation: int | None = None,
    digit_size: int = 14,
) -> DataSet:
    """MNIST-CIFAR10-segmentation: MNIST digits on CIFAR-10 pictures, 2 classes.

    The files are looked for in `root`, else in the folder that LAVASEG_DATA names, else in
    ./data: MNIST as [MNIST/raw/]train-images-idx3-ubyte[.gz]; CIFAR-10 as cifar-10-batches-py/
    (torchvision's layout for both), or as cifar10*.npz with x_train, uint8 (N, 32, 32, 3).

    Args:
        train, test: samples in each part (Yadolahi & Abolmaali 2025: 10,000 and
            2,500; Kim et al.: 48,000 and 12,000).
        seed: of the split and of all draws; with the same files it gives the same samples.
        root: folder of the files.
        download: let torchvision download what is missing.
        validation: samples that select the model; a tenth of `train` if None.
        digit_size: rows and columns of a digit, 14 to 32. 14 as in the original: every second pixel
            of its 28; any other is resized bilinearly. Yadolahi & Abolmaali 2025 print 32, at which
            a digit fills the picture and has one place.

    Raises:
        LavasegError: missing or damaged files, or an option out of range.
    """
    if type(digit_size) is not int or not 14 <= digit_size <= 32:
        raise LavasegError(
            f"data option 'digit_size' must be a whole number from 14 to 32, got {digit_size!r}"
        )
    samples = compose.part_sizes(train, test, validation, seed)
    if download:
        _download(root)
    digit_file, picture_file = _find_digits(root), _find_pictures(root)
    if digit_file is None or picture_file is None:
        lacking = (("MNIST", digit_file), ("CIFAR-10", picture_file))
        raise places.missing(
            " and ".join(name for name, file in lacking if file is None),
            root,
            f"put MNIST/raw/{_DIGITS}.gz and {_BATCHES}/ (or a cifar10*.npz) there, or set the "
            "data option download=true",
        )
    digits = _of_size(read_idx(digit_file, (28, 28)), digit_size)
    pictures = _read_pictures(picture_file)
    digit_parts = compose.split_sources(len(digits), seed, stream=0)
    picture_parts = compose.split_sources(len(pictures), seed, stream=1)
    parts = compose.compose(pictures, digits, picture_parts, digit_parts, samples, seed)
    return DataSet(
        name="mnist-cifar10",
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        classes=compose.CLASSES,
        source=(
            f"{len(digits):,} MNIST training digits ({digit_file.name}) on {len(pictures):,} "
            f"CIFAR-10 training pictures ({picture_file.name})"
        ),
    )


def _of_size(digits: np.ndarray, side: int) -> np.ndarray:
    """Digits at their size in the pictures: uint8 (N, side, side)."""
    if side == 14:
        return digits[:, ::2, ::2]
    if side == digits.shape[1]:
        return digits
    from PIL import Image

    resized = np.empty((len(digits), side, side), np.uint8)
    for target, digit in zip(resized, digits, strict=True):
        enlarged = Image.fromarray(digit).resize((side, side), Image.Resampling.BILINEAR)
        target[...] = np.asarray(enlarged)
    return resized


def _find_digits(root: str | None) -> Path | None:
    names = [f"{sub}{_DIGITS}{end}" for sub in ("MNIST/raw/", "") for end in ("", ".gz")]
    return places.find(root, names)


def _find_pictures(root: str | None) -> Path | None:
    for folder in places.folders(root):
        if (folder / _BATCHES).is_dir():
            return folder / _BATCHES
        for path in sorted(folder.glob("cifar10*.npz")):
            return path
    return None


def _download(root: str | None) -> None:
    """Fetches what is missing into the first folder; torchvision checks the owners' MD5 sums."""
    with optional():
        from torchvision import datasets

    folder = places.folders(root)[0]
    try:
        if _find_digits(root) is None:
            datasets.MNIST(folder, download=True)
        if _find_pictures(root) is None:
            datasets.CIFAR10(folder, download=True)
    except (OSError, RuntimeError) as error:
        problem = " ".join(str(error).split())
        raise LavasegError(f"download into {folder} failed: {problem}") from None


def _read_pictures(path: Path) -> np.ndarray:
    """CIFAR-10's training pictures: uint8 (N, 32, 32, 3)."""
    return _read_batches(path) if path.is_dir() else _read_npz(path)


def _read_batches(path: Path) -> np.ndarray:
    with optional():
        from torchvision.datasets import CIFAR10

    try:  # the batches are pickles: torchvision opens them only if their MD5 is the owner's
        return np.ascontiguousarray(CIFAR10(path.parent, train=True).data)
    except (OSError, RuntimeError):
        raise LavasegError(
            f"{path} is incomplete or does not have the MD5 sums that CIFAR-10's owner publishes; "
            "delete it and fetch it again, for example with the data option download=true"
        ) from None


def _read_npz(path: Path) -> np.ndarray:
    member = "x_train.npy"
    with reading(path), zipfile.ZipFile(path) as archive:
        if member not in archive.namelist():
            raise LavasegError(f"{path} holds no array x_train")
        if archive.getinfo(member).file_size > _LARGEST:
            raise LavasegError(f"{path}: x_train has more than {_LARGEST} bytes")
        # np.load would take as much memory as the array promises before it reads it
        with archive.open(member) as file:
            old = npy.read_magic(file) == (1, 0)
            header = npy.read_array_header_1_0 if old else npy.read_array_header_2_0
            shape, columns_first, dtype = header(file)
            if dtype != np.uint8 or shape[1:] != (32, 32, 3) or columns_first:
                raise LavasegError(
                    f"{path}: x_train must be uint8 (N, 32, 32, 3), got {dtype} {shape}"
                )
            return np.frombuffer(bytearray(file.read()), np.uint8).reshape(shape)
