"""The first 512 bytes of a `.net` file: the format's version and a checksum of the rest."""

from __future__ import annotations

import hashlib
import re

from lavaseg.netx.hdf5 import SIGNATURE, FormatError

VERSION = 1
"""Version of the layout; a reader refuses files of a higher one."""

HEADER_SIZE = 512
"""Number of bytes before the HDF5 part: HDF5's user block, which every HDF5 reader skips."""

_FIRST_LINE = re.compile(rb"lavaseg network, NetX HDF5, version (\d{1,6})\n")


def header(body: bytes) -> bytes:
    """The header of a file whose HDF5 part is `body`."""
    digest = hashlib.sha256(body).hexdigest()
    text = f"lavaseg network, NetX HDF5, version {VERSION}\nsha256 {digest}\n"
    return text.encode("ascii").ljust(HEADER_SIZE, b"\0")


def is_ours(image: bytes) -> bool:
    """Whether the bytes of a file begin as lavaseg's own do."""
    return image.startswith(b"lavaseg network")


def check_header(image: bytes, path: str) -> None:
    """Refuse a file that no lavaseg up to this version wrote, before the HDF5 library sees a byte.

    Raises:
        FormatError: the file is of another program or of a newer version, truncated or damaged.
    """
    if image.startswith(SIGNATURE):
        raise FormatError(
            f"{path} is an HDF5 file of another program (a SLAYER export, perhaps), expected "
            "one that lavaseg wrote; `lavaseg import` reads what SLAYER exports"
        )
    first = _FIRST_LINE.match(image)
    if first is None:
        raise FormatError(f"{path} is not a lavaseg network (its first line does not say so)")
    version = int(first[1])
    if version > VERSION:
        raise FormatError(
            f"{path} has format version {version}, this lavaseg reads up to {VERSION}: update it"
        )
    if image[:HEADER_SIZE] != header(image[HEADER_SIZE:]):
        raise FormatError(f"{path} is truncated or damaged (its checksum differs)")
