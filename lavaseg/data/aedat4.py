"""AEDAT4, the files of iniVation's cameras: events, packet by packet.

The libraries that read them (aedat, faery, dv-processing) end the whole process on a damaged
file, so that it cannot be named; hence this short decoder. The layout: the line `#!AER-DAT4.0`,
a header with an XML description of the streams, then packets (stream, size, compressed bytes),
each a FlatBuffers table whose first field is a vector of 16-byte events.
https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

import lz4.frame
import numpy as np
import zstandard

from lavaseg.errors import LavasegError
from lavaseg.network import Size
from lavaseg.system.faults import reading

MAGIC = b"#!AER-DAT4.0\r\n"
_LARGEST = 2**28
"""Bytes that one packet may have, packed or not: a false size must not fill the memory."""
_EVENT = np.dtype(
    {
        "names": ["t", "x", "y", "on"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)


class _Damaged(Exception):
    pass


def sensor_and_packets(path: Path) -> tuple[Size, Iterator[np.ndarray]]:
    """(height, width) and the packets of the first event stream, read as they are asked for.

    A packet is a structured array with the fields t (us), x, y, on.

    Raises:
        LavasegError: no AEDAT4, no event stream, truncated or damaged; while packets are
            read, too.
    """
    with path.open("rb") as file:
        with reading(path, "is no AEDAT4 recording of events"):
            unpack, end, description = _header(file)
            number, sensor = _event_stream(description)
        start = file.tell()
    return sensor, _packets(path, start, end, number, unpack)


def _packets(
    path: Path, start: int, end: int | None, number: int, unpack: Callable[[bytes], bytes]
) -> Iterator[np.ndarray]:
    size = path.stat().st_size
    if end is not None and not start <= end <= size:
        raise LavasegError(f"{path} is truncated: its packets should end at byte {end} of {size}")
    with path.open("rb") as file:
        file.seek(start)
        while file.tell() < (size if end is None else end):
            with reading(path, f"is truncated or damaged at byte {file.tell()} or after"):
                stream, length = struct.unpack("<ii", _take(file, 8))
                content = _take(file, length)
                packet = _events(unpack(content)) if stream == number else None
            if packet is not None:
                yield packet


def _take(file: BinaryIO, length: int) -> bytes:
    if not 0 <= length <= _LARGEST:
        raise _Damaged(f"a packet of {length} bytes")
    content = file.read(length)
    if len(content) != length:
        raise _Damaged(f"{length} bytes expected, {len(content)} found")
    return content


def _header(file: BinaryIO) -> tuple[Callable[[bytes], bytes], int | None, str]:
    """The packing of packets, where they end (None: with the file), the XML description."""
    if file.read(len(MAGIC)) != MAGIC:
        raise _Damaged("it does not begin with #!AER-DAT4.0")
    table = _Table(_take(file, struct.unpack("<I", _take(file, 4))[0]), prefixed=False)
    packing = table.number(0, "<i", 0)
    if packing not in _PACKINGS:
        raise _Damaged(f"unknown compression {packing}")
    index = table.number(1, "<q", -1)  # of a table of packets that follows them
    return _PACKINGS[packing], None if index < 0 else index, table.text(2)


def _event_stream(description: str) -> tuple[int, Size]:
    """Number and (height, width) of the first stream of events."""
    for node in ElementTree.fromstring(description).iterfind("./node[@name='outInfo']/node"):
        if node.findtext("./attr[@key='typeIdentifier']") == "EVTS":
            sizes = (node.findtext(f"./node/attr[@key='size{axis}']") for axis in "YX")
            height, width = (int(size or 0) for size in sizes)
            if not (0 < height < 2**15 and 0 < width < 2**15):
                raise _Damaged(f"a sensor of {height} x {width} pixels")
            return int(node.get("name", "")), (height, width)
    raise _Damaged("it has no stream of events")


def _events(content: bytes) -> np.ndarray:
    table = _Table(content, prefixed=True)
    place = table.pointer(0)
    count = 0 if place is None else table.read("<I", place)
    if place is None or count == 0:
        return np.empty(0, _EVENT)
    if place + 4 + count * _EVENT.itemsize > len(content):
        raise _Damaged(f"a packet that promises {count} events is too short")
    return np.frombuffer(content, _EVENT, count, place + 4)


class _Table:
    """The root table of a FlatBuffers message; every place is checked before it is read."""

    def __init__(self, content: bytes, *, prefixed: bool) -> None:
        self.content = content
        base = 4 if prefixed else 0
        self.root = base + self.read("<I", base)
        self.fields = self.root - self.read("<i", self.root)

    def read(self, kind: str, place: int) -> int:
        if not 0 <= place <= len(self.content) - struct.calcsize(kind):
            raise _Damaged("a reference beyond the end of its packet")
        return int(struct.unpack_from(kind, self.content, place)[0])

    def place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self.read("<H", self.fields):
            return None
        offset = self.read("<H", self.fields + entry)
        return self.root + offset if offset else None

    def number(self, field: int, kind: str, default: int) -> int:
        place = self.place(field)
        return default if place is None else self.read(kind, place)

    def pointer(self, field: int) -> int | None:
        place = self.place(field)
        return None if place is None else place + self.read("<I", place)

    def text(self, field: int) -> str:
        place = self.pointer(field)
        if place is None:
            raise _Damaged("it has no description of its streams")
        length = self.read("<I", place)
        return self.content[place + 4 : place + 4 + length].decode("utf-8")


def _unpack_lz4(content: bytes) -> bytes:
    return bytes(lz4.frame.LZ4FrameDecompressor().decompress(content, max_length=_LARGEST))


def _unpack_zstd(content: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(content) as reader:
        pieces = iter(lambda: reader.read(2**20), b"")
        return b"".join(islice(pieces, _LARGEST // 2**20))


_PACKINGS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: _unpack_lz4,
    2: _unpack_lz4,
    3: _unpack_zstd,
    4: _unpack_zstd,
}
