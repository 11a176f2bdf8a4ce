"""Inputs that arrive one after the other: frames or events from standard input, a folder."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import BinaryIO

from lavaseg.data.photos import read_photo
from lavaseg.data.pictures import is_own_output
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.inference.predictor import Item

STDIN = "standard input"
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PPM = (b"P5", b"P6")
_STAND_ALONE = {0x01, *range(0xD0, 0xD8)}
"""JPEG's markers that no length follows, but for start and end."""
_POLL = 0.2
"""Seconds between two looks at a folder."""


def frames(stream: BinaryIO, channels: int) -> Iterator[Item]:
    """Pictures of a stream, PNG, JPEG, PPM or PGM one after the other.

    One that is damaged inside gives its error when it is read, and the next one follows.

    Args:
        stream: bytes.
        channels: of the network.

    Raises:
        LavasegError: what comes next is no such picture, or ends within one.
    """
    reader = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
    for number in count():
        name = f"stream-{number:06}"
        content = _next_picture(reader, name)
        if content is None:
            return
        yield Item(name, number, partial(read_photo, f"{STDIN}, {name}", channels, content))


def _next_picture(stream: BinaryIO, name: str) -> bytes | None:
    """The bytes of the next picture; None at the end of the stream."""
    head = stream.read(2)
    while head[:1].isspace():  # between pictures of Netpbm there may be blanks
        head = head[1:] + stream.read(1)
    if not head:
        return None
    try:
        if head == _PNG[:2]:
            return _png(stream, head)
        if head == _JPEG:
            return _jpeg(stream, head)
        if head in _PPM:
            return _netpbm(stream, head)
    except EOFError:
        raise LavasegError(f"{STDIN} ends within {name}") from None
    raise LavasegError(
        f"{STDIN}, {name} is no PNG, JPEG or PPM picture, it begins with {head!r}: `ffmpeg ... "
        "-f image2pipe -c:v ppm -` writes such a stream"
    )


def _take(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _png(stream: BinaryIO, head: bytes) -> bytes:
    parts = [head, _take(stream, 6)]
    while True:
        parts.append(_take(stream, 8))
        length, kind = int.from_bytes(parts[-1][:4], "big"), parts[-1][4:]
        parts.append(_take(stream, length + 4))
        if kind == b"IEND":
            return b"".join(parts)


def _jpeg(stream: BinaryIO, head: bytes) -> bytes:
    """Segments with lengths, and after each start of scan its data up to the next marker."""
    parts, in_scan = [head], False
    while True:
        byte = _take(stream, 1)
        parts.append(byte)
        if byte != b"\xff":
            if not in_scan:
                raise LavasegError(f"{STDIN} holds a JPEG picture that is damaged")
            continue
        marker = b"\xff"
        while marker == b"\xff":  # any number of them may stand before a marker
            marker = _take(stream, 1)
            parts.append(marker)
        kind = marker[0]
        if kind == 0xD9:
            return b"".join(parts)
        if kind in _STAND_ALONE or (in_scan and kind == 0):
            continue
        size = _take(stream, 2)
        parts += [size, _take(stream, int.from_bytes(size, "big") - 2)]
        in_scan = kind == 0xDA


def _netpbm(stream: BinaryIO, head: bytes) -> bytes:
    """A header of three numbers, and the raster of one or two bytes a level."""
    header, numbers = bytearray(head), list[int]()
    while len(numbers) < 3:
        word = b""
        while not (word and word[-1:].isspace()):
            byte = _take(stream, 1)
            header += byte
            if byte == b"#":
                while byte != b"\n":
                    byte = _take(stream, 1)
                    header += byte
            if word or not byte.isspace():
                word += byte
        if not word.strip().isdigit():
            raise LavasegError(f"{STDIN} holds a PPM picture whose header is damaged")
        numbers.append(int(word))
    width, height, largest = numbers
    size = width * height * (3 if head == b"P6" else 1) * (1 if largest < 256 else 2)
    return bytes(header) + _take(stream, size)


class Watch:
    """A folder that fills: its files, and those that appear later, each when it is whole.

    Args:
        folder: with all below it.
        suffixes: of names, in lower case.
        idle: seconds without a new file after which it ends; None: never.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str], idle: float | None) -> None:
        self.folder, self.suffixes, self.idle = folder, suffixes, idle
        self._sizes: dict[Path, tuple[int, int]] = {}
        self._given: set[Path] = set()

    def __iter__(self) -> Iterator[Path]:
        last = time.monotonic()
        while True:
            whole = self._whole()
            for path in whole:
                yield path
                last = time.monotonic()
            if self.idle is not None and time.monotonic() - last >= self.idle and not self._sizes:
                return
            time.sleep(_POLL)

    def _whole(self) -> list[Path]:
        """New files that have not changed since the last look."""
        from lavaseg.data.walk import walked

        found: list[Path] = []
        before, self._sizes = self._sizes, {}
        for path in walked(self.folder):
            if path.suffix.lower() not in self.suffixes or path in self._given:
                continue
            try:
                state = path.stat()
            except OSError:  # it is gone, or a link that leads nowhere
                continue
            now = (state.st_size, state.st_mtime_ns)
            if before.get(path) == now and now[0]:
                self._given.add(path)
                if not is_own_output(path):
                    found.append(path)
            elif now[0] or time.time_ns() - now[1] < 10 * 10**9:
                self._sizes[path] = now  # an empty file is waited for, but not for long
        return found


def events(parts: Iterator[Events]) -> Iterator[Item]:
    """Parts of a stream of events as items."""
    for number, part in enumerate(parts):
        yield Item(f"stream-{number:06}", number, partial(_given, part))


def _given(part: Events) -> Events:
    return part
