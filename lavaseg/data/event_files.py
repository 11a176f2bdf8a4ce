"""Recordings of event cameras as files, read in pieces: memory does not grow with the file.

- .aedat4: iniVation's cameras (DAVIS, DVXplorer)
- .raw: Prophesee EVT 2, 2.1 and 3
- .bin, .bs2: 5 bytes an event, as N-MNIST and N-Caltech101 have them (Orchard et al. 2015)
- .txt, .csv: a line "t x y p" for each event, p 1 for ON, 0 or -1 for OFF; other columns and
  the unit of t as a header row or the options say (`lavaseg.data.event_text`). A first line
  "width height" is understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np

from lavaseg.data.event_text import TextFormat, read_lines, read_text
from lavaseg.data.evt21 import read_words
from lavaseg.data.sensors import agreed
from lavaseg.data.sound_events import Maker, SoundEvents
from lavaseg.errors import LavasegError
from lavaseg.events import EventError, Events, joined, naming
from lavaseg.network import Size
from lavaseg.system.extras import optional
from lavaseg.system.faults import muted, reading
from lavaseg.system.words import meant_path

SUFFIXES = (".aedat4", ".raw", ".bin", ".bs2", ".txt", ".csv")
"""File names that count as recordings."""
TEXT_SUFFIXES = (".txt", ".csv")
"""Those of them that are text."""

_PIECE = 2**16
"""Events that are read at once where the file does not say."""
_PROPHESEE = {"gen3": (480, 640), "gen4": (720, 1280), "imx636": (720, 1280)}
"""Sensors of headers that name a camera but no size."""
_WORD = {"evt2": 4, "evt21": 8, "evt3": 2}
"""Bytes of a word of each format."""


def stream_recording(
    path: str | Path,
    sensor: Size | None = None,
    text: TextFormat | None = None,
    sound: SoundEvents | None = None,
) -> Iterator[Events]:
    """The events of a file, in pieces.

    Args:
        path: a file whose name ends in one of `SUFFIXES`.
        sensor: (height, width). Needed where the file does not say; where it does, it must agree.
        text: unit and columns of a text file; by default as it says, or as its first lines show.
        sound: drops and counts single bad events; by default they are refused.

    Raises:
        LavasegError: no such file, another format, truncated or damaged, another sensor, time
            running backwards, or no events. A format without lengths (.raw, .bin, .txt) that
            is cut exactly between two events cannot be told from a shorter recording.
    """
    path = Path(path)
    if not path.is_file():
        raise LavasegError(f"there is no recording {path}{meant_path(path)}")
    readers: dict[str, Callable[[Path, Size | None, Maker], Iterator[Events | None]]]
    readers = {".aedat4": _aedat4, ".raw": _prophesee, ".bin": _orchard, ".bs2": _orchard}
    as_text = partial(read_text, given=text or TextFormat())
    readers |= {".txt": as_text, ".csv": as_text}
    if path.suffix.lower() not in readers:
        raise LavasegError(
            f"{path} is no recording of events: expected a name that ends in {', '.join(SUFFIXES)}"
        )
    return _checked(path, readers[path.suffix.lower()](path, sensor, sound or Events))


def stream_lines(
    file: TextIO, name: str, sensor: Size, text: TextFormat, at_once: int = 256
) -> Iterator[Events]:
    """The events of text that is open already and may still grow, in pieces.

    Args:
        file: lines, as of .txt files.
        name: what to call it in messages.
        sensor: (height, width).
        text: unit and columns.
        at_once: lines of a piece.

    Raises:
        LavasegError: as of `stream_recording`.
    """
    source = Path(name)
    return _checked(source, read_lines(file, source, sensor, Events, given=text, at_once=at_once))


def read_recording(
    path: str | Path,
    sensor: Size | None = None,
    text: TextFormat | None = None,
    sound: SoundEvents | None = None,
) -> Events:
    """All events of a file; see `stream_recording`."""
    return joined(list(stream_recording(path, sensor, text, sound)))


def cut(pieces: Iterable[Events], *, time: int = 0, count: int = 0) -> Iterator[Events]:
    """Consecutive parts of a stream, each of the same time or number of events.

    What is left at the end, shorter than a part, is dropped unless it is all there is.

    Args:
        pieces: as `stream_recording` gives them.
        time: microseconds of a part, counted from the first event, or 0.
        count: events of a part, or 0. One of the two is given.
    """
    held: list[Events] = []
    parts = 0
    for piece in pieces:
        held.append(piece)
        while (time and held[-1].span[1] - held[0].span[0] > time) or (
            count and sum(map(len, held)) > count
        ):
            whole = joined(held)
            start, stop = whole.span
            if time:
                yield whole.between(start, start + time)
                held = [whole.between(start + time, stop)]
            else:
                yield whole.numbered(0, count)
                held = [whole.numbered(count, len(whole))]
            parts += 1
    if held and (not parts or (count and sum(map(len, held)) == count)):
        yield joined(held)


def _checked(path: Path, pieces: Iterator[Events | None]) -> Iterator[Events]:
    """The pieces, in time order also from one to the next; errors name the file."""
    last: int | None = None
    with naming(path):
        for piece in pieces:
            if piece is None:
                continue
            if last is not None and piece.t[0] < last:
                raise EventError(f"time runs backwards, from {last} to {piece.t[0]} µs")
            yield piece
            last = int(piece.t[-1])
    if last is None:
        raise LavasegError(f"{path} holds no events")


def _aedat4(path: Path, sensor: Size | None, make: Maker) -> Iterator[Events | None]:
    with optional():
        from lavaseg.data.aedat4 import sensor_and_packets

    own, packets = sensor_and_packets(path)
    size = agreed(path, own, sensor)
    for packet in packets:
        if len(packet):
            yield make(packet["t"], packet["x"], packet["y"], packet["on"] != 0, size)


def _prophesee(path: Path, sensor: Size | None, make: Maker) -> Iterator[Events | None]:
    version, own, start, legacy = _prophesee_header(path)
    height, width = agreed(path, own, sensor)
    odd = (path.stat().st_size - start) % _WORD[version]
    if odd:
        raise LavasegError(f"{path} is truncated: it ends with {odd} bytes of a word of {version}")
    if version == "evt21":  # faery does not decode it
        yield from read_words(path, start, (height, width), legacy, make)
        return
    with optional():
        import faery

    with reading(path), muted():
        packets = iter(
            faery.events_stream_from_file(
                path, dimensions_fallback=(width, height), version_fallback=version, file_type="evt"
            )
        )
    while True:
        with reading(path), muted():
            packet = next(packets, None)
        if packet is None:
            return
        if len(packet):
            t = packet["t"].astype(np.int64)
            yield make(t, packet["x"], packet["y"], packet["on"], (height, width))


def _prophesee_header(path: Path) -> tuple[str, Size | None, int, bool | None]:
    """Format, (height, width) if it is said, where the words begin, whether halves are swapped."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while (start := file.tell()) < 2**16 and file.peek(1)[:1] == b"%":
            name, _, value = file.readline().decode("latin-1")[1:].strip().partition(" ")
            if name == "end":
                start = file.tell()
                break
            fields[name.lower()] = value.strip()
    kind, *details = fields.get("format", "").lower().split(";")
    version = kind or "evt" + fields.get("evt", "").removesuffix(".0").replace(".", "")
    if version not in _WORD:
        raise LavasegError(
            f"{path} is no Prophesee recording in EVT 2, 2.1 or 3: its header names {version!r}"
        )
    try:
        sizes = dict(item.split("=") for item in details)
        if "geometry" in fields:
            sizes["width"], sizes["height"] = fields["geometry"].lower().split("x")
        order = sizes.get("endianness", fields.get("endianness", "").lower())
        legacy = {"legacy": True, "little": False}.get(order)
        if order == "big":
            raise LavasegError(f"{path} is written big-endian, expected little-endian words")
        if "height" in sizes:
            return version, (int(sizes["height"]), int(sizes["width"])), start, legacy
    except (ValueError, KeyError):
        raise LavasegError(f"{path} has a damaged header: no sensor size in it") from None
    camera = (fields.get("plugin_name", "") + fields.get("sensor_name", "")).lower()
    size = next((size for name, size in _PROPHESEE.items() if name in camera), None)
    return version, size, start, legacy


def _orchard(path: Path, sensor: Size | None, make: Maker) -> Iterator[Events | None]:
    """5 bytes an event: x, y, then polarity (top bit) and 23 bits of time, big-endian.

    A row of 240 is no event: the 13-bit clock of the ATIS ran over (2**13 us).
    """
    size = agreed(path, None, sensor)
    odd = path.stat().st_size % 5
    if odd:
        raise LavasegError(f"{path} is truncated: it ends with {odd} bytes of an event of 5")
    overflows = 0
    with path.open("rb") as file:
        while content := file.read(5 * _PIECE):
            x, y, high, middle, low = np.frombuffer(content, np.uint8).reshape(-1, 5).T.astype(int)
            over = y == 240
            t = ((high & 127) << 16 | middle << 8 | low) + (overflows + np.cumsum(over)) * 2**13
            overflows += int(over.sum())
            if not over.all():
                yield make(t[~over], x[~over], y[~over], (high >> 7 == 1)[~over], size)
