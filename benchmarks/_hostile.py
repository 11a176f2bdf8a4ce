"""Contents of files that were made to do harm: bombs, code, sizes that nobody has.

Each function gives those of one kind of file; `path` is where they will lie, one after the other,
and code in them would make `CANARY` beside it.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lz4.frame
import numpy as np
import zstandard
from _damage import CANARY
from _recordings import aedat4_head


def yaml_bombs(path: Path) -> list[bytes]:
    names = "abcdefghij"
    laughs = ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    laughs += [
        f"{new}: &{new} [{', '.join(['*' + old] * 9)}]" for old, new in itertools.pairwise(names)
    ]
    itself = b"data: &x {options: *x}\n"
    python = f"name: !!python/object/apply:pathlib.Path.touch [{path.parent / CANARY}]"
    nested = [b"[" * 100_000, b"{a: " * 50_000, b"a: " + b"9" * 100_000, b"? " * 50_000]
    return ["\n".join(laughs).encode("ascii"), itself, python.encode("utf-8"), *nested]


def json_bombs(path: Path) -> list[bytes]:
    deep = [b"[" * 100_000, b'{"a":' * 100_000, b'{"network": ' + b"9" * 100_000 + b"}"]
    return [*deep, b'"\\ud800"', b"\xef\xbb\xbf{}", b'{"a": 1e999, "a": NaN}']


def array_bombs(path: Path) -> list[bytes]:
    def tensors(shape: list[int], end: int, size: int | None = None) -> bytes:
        head = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}})
        return struct.pack("<Q", len(head) if size is None else size) + head.encode("ascii")

    return [tensors([2**40], 2**42), tensors([0, 2**62], 0), tensors([1], 4, 2**62)]


class _Harm:
    """A pickle that makes the canary, if it is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return Path.touch, (self.folder / CANARY,)


def pickles(path: Path) -> list[bytes]:
    harm = pickle.dumps(_Harm(path.parent), protocol=2)
    inside, array = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("archive/data.pkl", harm)
        archive.writestr("archive/version", "3\n")
    np.save(array, np.array([_Harm(path.parent)], object), allow_pickle=True)
    batch = pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [0]}, protocol=2)
    return [harm, inside.getvalue(), array.getvalue(), batch]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, *chunks: bytes) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


def png_bombs(path: Path) -> list[bytes]:
    zeros = zlib.compress(bytes(2**28))
    data = _chunk(b"IDAT", zlib.compress(bytes(11 * 10)))
    return [
        _png(2**31 - 1, 2**31 - 1, data),
        _png(60_000, 60_000, _chunk(b"IDAT", zeros)),
        _png(13_000, 13_000, _chunk(b"IDAT", zeros)),
        _png(10, 10, _chunk(b"zTXt", b"a\0\0" + zeros), data),
        _png(10, 10, _chunk(b"iCCP", b"a\0\0" + zeros), data),
        _png(10, 10, _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), data),
    ]


def tiff_bombs(path: Path) -> list[bytes]:
    def tiff(width: int, height: int, following: int = 0) -> bytes:
        tags = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1))
        tags += ((278, height), (279, min(width * height, 2**32 - 1)))
        body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + struct.pack("<I", following)

    return [tiff(2**31 - 1, 2**31 - 1), tiff(60_000, 60_000), tiff(12_000, 12_000), tiff(5, 5, 8)]


def gif_bombs(path: Path) -> list[bytes]:
    head = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return [head + frame + b";", head + frame * 50_000 + b";"]


def npy_bombs(path: Path) -> list[bytes]:
    found = []
    for shape in ((3, 2**20, 2**20), (3, 0, 2**40), (2**62, 2**62, 2**62), (10**30,), (-1, 3, 3)):
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n"
        found.append(b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode("ascii"))
    nested = "(" * 3_000
    found.append(b"\x93NUMPY\x02\0" + struct.pack("<I", len(nested)) + nested.encode("ascii"))
    return [*found, b"\x93NUMPY\x02\0" + struct.pack("<I", 2**32 - 1), *pickles(path)]


def mat_bombs(path: Path) -> list[bytes]:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)
    zeros = zlib.compress(struct.pack("<II", 14, 2**31) + bytes(2**28))
    return [head + struct.pack("<II", 15, len(zeros)) + zeros]


def idx_bombs(path: Path) -> list[bytes]:
    content = struct.pack(">IIII", 2051, 2**32 - 1, 28, 28) + bytes(2**20)
    packed = gzip.compress(content, 9)
    block = gzip.compress(bytes(2**27), 9)
    return [packed + block * 40] if path.suffix == ".gz" else [content]


def npz_bombs(path: Path) -> list[bytes]:
    found = []
    for content in (*npy_bombs(path), b""):
        inside = io.BytesIO()
        with zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x_train.npy", content)
        found.append(inside.getvalue())
    inside = io.BytesIO()
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1048576, 32, 32, 3), }\n"
    with (
        zipfile.ZipFile(inside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x_train.npy", "w", force_zip64=True) as file,
    ):
        file.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode("ascii"))
        for _ in range(3 * 2**9):  # 1.5 GiB
            file.write(bytes(2**20))
    return [*found, inside.getvalue()]


def aedat4_bombs(path: Path) -> list[bytes]:
    found = []
    for number, pack in ((1, lz4.frame.compress), (3, zstandard.compress)):
        packed = pack(struct.pack("<I", 2**32 - 1) + bytes(2**29))
        found.append(aedat4_head(number) + struct.pack("<ii", 0, len(packed)) + packed)
    return [*found, aedat4_head(0) + struct.pack("<ii", 0, 2**31 - 1)]


def text_bombs(path: Path) -> list[bytes]:
    lines = (b"9" * 100_000 + b" 1 1 1", b"1e400 1 1 1", b"1 1 1 1\n1e300 1 1 1", b"1 1e300 1 1")
    return [*lines, b"999999999 999999999\n1 1 1 1", b"0 " * 1_000_000, b"\xff\xfe1\0 \x001\0"]


def huge_hdf5(*paths: str) -> Callable[[Path], list[bytes]]:
    """Files whose arrays promise far more than is stored."""

    def hostile(path: Path) -> list[bytes]:
        found = []
        for chunked in (False, True):
            memory = io.BytesIO()
            with h5py.File(memory, "w") as file:
                for place in paths:
                    options = {"chunks": (2**16,), "compression": "gzip"} if chunked else {}
                    file.create_dataset(place, (2**33,), "u4", **options)
                if "t_offset" not in file:
                    file["t_offset"] = 0
            found.append(memory.getvalue())
        return found

    return hostile
