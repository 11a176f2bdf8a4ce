"""MNIST's idx files: images and labels."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.system.faults import reading

_LARGEST = 2**30
"""Bytes of the items of a file: one that unpacks to more must not fill the memory."""
_BYTES = 8
"""Code of unsigned bytes in the second half of the magic number."""


def read_idx(path: Path, item: tuple[int, int] | tuple[()]) -> np.ndarray:
    """All items of an idx file of bytes, gzipped or not: uint8 (N, *item).

    Args:
        path: the file.
        item: (28, 28) for MNIST's images, () for its labels.

    Raises:
        LavasegError: it is truncated, or holds something else.
    """
    dimensions = 1 + len(item)
    with reading(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        header = np.frombuffer(file.read(4 + 4 * dimensions), ">u4")
        if (
            len(header) != 1 + dimensions
            or header[0] != _BYTES * 256 + dimensions
            or tuple(header[2:]) != item
        ):
            what = "image file (idx, 28x28 bytes an image)" if item else "label file (idx)"
            raise LavasegError(f"{path} is no MNIST {what}")
        count, size = int(header[1]), math.prod(item)
        if count * size > _LARGEST:
            raise LavasegError(
                f"{path} is no MNIST file: it promises {count} items, more than {_LARGEST} bytes"
            )
        content = file.read(count * size)
    if len(content) != count * size:
        kind = "images" if item else "labels"
        raise LavasegError(
            f"{path} is truncated: it promises {count} {kind} and holds {len(content) // size}"
        )
    return np.frombuffer(content, np.uint8).reshape(count, *item)
