"""Arrays of an HDF5 file that may come from a stranger: nothing outside it, never more than it has.

Both `.net` layouts, ours and SLAYER's, are read through this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import h5py

from lavaseg.errors import LavasegError

MAX_FILE = 2**31
SIGNATURE = b"\x89HDF\r\n\x1a\n"


class FormatError(LavasegError):
    """A file that holds no network that can be read; the message names the file and the field."""


def read_image(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FormatError: it is missing, too large, no plain file or cannot be read.
    """
    if not path.exists():
        raise FormatError(f"{path} does not exist")
    if not path.is_file():
        raise FormatError(f"{path} is not a file")
    try:
        if path.stat().st_size > MAX_FILE:
            raise FormatError(f"{path} is larger than {MAX_FILE} bytes, the limit of a network")
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}") from None


@dataclass
class Reader:
    """Reads one open file; `budget` is how many bytes of arrays it may still give."""

    file: h5py.File
    path: str
    budget: int

    def _refuse(self, where: str, what: str) -> NoReturn:
        raise FormatError(f"{self.path}: {where} {what}")

    def _item(self, path: str) -> Any:
        """What is at `path`, reached through hard links alone: nothing outside the file."""
        item: Any = self.file
        for part in filter(None, path.split("/")):
            if not isinstance(item, h5py.Group) or part not in item.keys():  # noqa: SIM118
                self._refuse(path, "is missing")
            if not isinstance(item.get(part, getlink=True), h5py.HardLink):
                self._refuse(path, "is a link, expected what the file itself holds")
            item = item[part]
        return item

    def _dataset(self, name: str) -> h5py.Dataset:
        item = self._item(name)
        if not isinstance(item, h5py.Dataset):
            self._refuse(name, "is not an array")
        properties = item.id.get_create_plist()
        plain = (
            properties.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
            and properties.get_nfilters() == 0
            and properties.get_external_count() == 0
        )
        if not plain:
            self._refuse(name, "is stored in chunks, filtered or outside of the file")
        return item

    def _spend(self, dataset: h5py.Dataset, name: str) -> None:
        """Refuse an array that promises more numbers than the file holds."""
        size = dataset.dtype.itemsize * (dataset.size or 0)
        self.budget -= size
        if dataset.id.get_storage_size() != size or self.budget < 0:
            self._refuse(name, f"has no data for its shape {dataset.shape}")
