"""Small recordings of event cameras in every format that is read, to be damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import lz4.frame
import numpy as np
import zstandard

SENSOR = (34, 34)
"""(height, width) of all of them but DSEC's."""


def _events(count: int = 400) -> tuple[np.ndarray, ...]:
    """t in microseconds, x, y, p."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 20_000, count))
    return t, *rng.integers(0, 30, (2, count)), rng.integers(0, 2, count)


def orchard(path: Path) -> None:
    """5 bytes an event, as N-MNIST has them."""
    t, x, y, p = _events()
    rows = np.stack([x, y, p * 128 + (t >> 16), t >> 8 & 255, t & 255], axis=1)
    path.write_bytes(rows.astype(np.uint8).tobytes())


def text(path: Path) -> None:
    """A line "t x y p" for each event."""
    np.savetxt(path, np.stack(_events(), axis=1), "%d")


def table(path: Path) -> None:
    """The same with a header row, commas and seconds."""
    t, x, y, p = _events()
    lines = [f"{when / 1e6:.6f},{a},{b},{c}" for when, a, b, c in zip(t, x, y, p, strict=True)]
    path.write_text("\n".join(["t [s],x,y,p", *lines]), "utf-8")


def evt2(path: Path) -> None:
    """Prophesee EVT 2."""
    t, x, y, p = _events()
    words = np.stack([8 << 28 | t >> 6, p << 28 | (t & 63) << 22 | x << 11 | y], axis=1)
    path.write_bytes(b"% evt 2.0\n% geometry 34x34\n" + words.astype("<u4").tobytes())


def evt21(path: Path) -> None:
    """Prophesee EVT 2.1."""
    t, x, y, p = _events()
    head = b"% evt 2.1\n% format EVT21;height=34;width=34\n% end\n"
    lower = 1 << (x & 1)
    upper = p << 28 | (t & 63) << 22 | (x & ~1) << 11 | y
    times = (8 << 28 | t >> 6) << 32
    words = np.stack([times, upper << 32 | lower], axis=1)
    path.write_bytes(head + words.astype("<u8").tobytes())


def evt3(path: Path) -> None:
    """Prophesee EVT 3."""
    rng = np.random.default_rng(0)
    words: list[int] = []
    for step in range(200):
        words += [8 << 12 | step // 40, 6 << 12 | step, 0 << 12 | int(rng.integers(34))]
        words += [2 << 12 | int(rng.integers(2)) << 11 | int(rng.integers(34))]
    head = b"% evt 3.0\n% format EVT3;height=34;width=34\n% geometry 34x34\n% end\n"
    path.write_bytes(head + np.array(words, "<u2").tobytes())


def aedat4(path: Path) -> None:
    """AEDAT4 in plain packets; `lz4` and `zstd` in the name pack them."""
    number, pack = 0, bytes
    if "lz4" in path.name:
        number, pack = 1, lz4.frame.compress
    elif "zstd" in path.name:
        number, pack = 3, zstandard.compress
    path.write_bytes(aedat4_head(number) + b"".join(_aedat4_packets(pack)))


def aedat4_head(packing: int) -> bytes:
    """A FlatBuffers table of three fields: packing, where a table of packets is, description."""
    height, width = SENSOR
    xml = (
        '<dv version="2.0"><node name="outInfo"><node name="0">'
        '<attr key="typeIdentifier" type="string">EVTS</attr><node name="info">'
        f'<attr key="sizeX" type="int">{width}</attr><attr key="sizeY" type="int">{height}</attr>'
        "</node></node></node></dv>"
    ).encode("ascii")
    fields = struct.pack("<I5H2x", 16, 10, 20, 4, 8, 16) + struct.pack("<iiqI", 12, packing, -1, 4)
    table = fields + struct.pack("<I", len(xml)) + xml + b"\0"
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(table)) + table


def _aedat4_packets(pack: type[bytes]) -> list[bytes]:
    t, x, y, p = _events()
    kind = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "u1"), ("pad", "V3")])
    events = np.zeros(len(t), kind)
    events["t"], events["x"], events["y"], events["on"] = t, x, y, p
    found = []
    for piece in np.split(events, 4):
        body = struct.pack("<I3H2xiI", 12, 6, 8, 4, 8, 4)
        body += struct.pack("<I", len(piece)) + piece.tobytes()
        packed = pack(struct.pack("<I", len(body)) + body)
        found.append(struct.pack("<ii", 0, len(packed)) + packed)
    return found


def dsec(path: Path) -> None:
    """DSEC's events.h5, chunked and deflated."""
    t, x, y, p = _events()
    with h5py.File(path, "w") as file:
        for name, values, kind in (("t", t, "u4"), ("x", x, "u2"), ("y", y, "u2"), ("p", p, "u1")):
            file.create_dataset(f"events/{name}", data=values.astype(kind), compression="gzip")
        file["ms_to_idx"] = np.searchsorted(t, 1_000 * np.arange(21)).astype("u8")
        file["t_offset"] = 50_000


def rectify_map(path: Path) -> None:
    """DSEC's rectify_map.h5."""
    rows, columns = np.mgrid[:480, :640].astype("f4")
    with h5py.File(path, "w") as file:
        places = np.stack([columns, rows], -1)
        file.create_dataset("rectify_map", data=places, compression="gzip")
