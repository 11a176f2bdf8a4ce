"""Reads arrays of an HDF5 file that may come from a stranger, and never more than the file holds.

Both `.net` layouts, ours and SLAYER's, are read through this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.netx.limits import MAX_FILE
from lavaseg.system.faults import reading
from lavaseg.system.words import meant_path

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""How an HDF5 file without a user block begins."""


class FormatError(LavasegError):
    """A file that holds no network that can be read; the message names the file and the field."""


def read_image(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FormatError: it is missing, too large, no plain file or cannot be read.
    """
    if not path.exists():
        raise FormatError(f"there is no file {path}{meant_path(path)}")
    if not path.is_file():
        raise FormatError(f"{path} is not a file")
    with reading(path, kind=FormatError):
        if path.stat().st_size > MAX_FILE:
            raise FormatError(f"{path} is larger than {MAX_FILE} bytes, the limit of a network")
        return path.read_bytes()


@contextmanager
def opened(image: bytes, path: str) -> Iterator[h5py.File]:
    """An HDF5 file in memory; errors in the block name the file at `path`.

    Raises:
        LavasegError: of the kind that the block raised; a FormatError for anything that the HDF5
            library, or Python's arithmetic on what the file holds, objects to.
    """
    with reading(path, "is truncated or damaged: its HDF5 part cannot be read", FormatError):
        try:
            with h5py.File(h5py.h5f.open_file_image(image)) as file:
                yield file
        except FormatError:
            raise
        except LavasegError as error:  # from a description or an IntegerNetwork
            kind = FormatError if type(error) is LavasegError else type(error)
            raise kind(f"{path}: {error}") from None


@dataclass
class Reader:
    """Reads one open file; `budget` is how many bytes of arrays it may still give."""

    file: h5py.File
    path: str
    budget: int

    def refuse(self, where: str, what: str) -> NoReturn:
        """Raise a FormatError about the item at `where`."""
        raise FormatError(f"{self.path}: {where} {what}")

    def item(self, path: str) -> Any:
        """The item at `path`, reached through hard links alone: nothing outside the file."""
        item: Any = self.file
        for part in filter(None, path.split("/")):
            if not isinstance(item, h5py.Group) or part not in item.keys():  # noqa: SIM118
                self.refuse(path, "is missing")
            if not isinstance(item.get(part, getlink=True), h5py.HardLink):
                self.refuse(path, "is a link, expected what the file itself holds")
            item = item[part]
        return item

    def group(self, path: str) -> h5py.Group:
        """The group at `path`."""
        item = self.item(path)
        if not isinstance(item, h5py.Group):
            self.refuse(path, "is not a group")
        return item

    def dataset(self, path: str) -> h5py.Dataset:
        """The array at `path`, stored as it is: in one piece, unfiltered, inside the file."""
        item = self.item(path)
        if not isinstance(item, h5py.Dataset):
            self.refuse(path, "is not an array")
        properties = item.id.get_create_plist()
        plain = (
            properties.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
            and properties.get_nfilters() == 0
            and properties.get_external_count() == 0
        )
        if not plain:
            self.refuse(
                path,
                "is stored in chunks, filtered or outside of the file, expected in one piece: "
                "`h5repack -l CONTI -f NONE OLD NEW` of the HDF5 tools writes it so",
            )
        return item

    def numbers(self, path: str, dataset: h5py.Dataset) -> np.ndarray:
        """The numbers of `dataset`, which is at `path`, once the file is known to hold them."""
        size = dataset.dtype.itemsize * (dataset.size or 0)
        self.budget -= size
        if dataset.id.get_storage_size() != size or self.budget < 0:
            self.refuse(path, f"has no data for its shape {dataset.shape}")
        return np.asarray(dataset[()])
