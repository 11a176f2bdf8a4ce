"""MATLAB's MAT files (level 5): numbers at a path of structs; the rest is passed over.

SciPy's reader can end the whole process on a damaged file, so that it cannot be named; hence this
short decoder. An element is a tag (type, bytes) and its bytes; an array is an element of elements:
flags, dimensions, name, and numbers or, of a struct, the names of its fields and arrays.
https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class MatError(Exception):
    """What is wrong with the content of a MAT file."""


_HEADER = 128
_LARGEST = 2**28
"""Bytes that a packed array may have: a small file must not fill the memory."""
_ARRAY, _PACKED = 14, 15
_STRUCT = 2
"""Class of arrays that are structs."""
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""NumPy's name of each type of element."""
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
"""NumPy's name of each class of arrays; numbers may be stored in a smaller type."""


@dataclass(frozen=True)
class _Element:
    kind: int
    content: bytes


def read_numbers(path: Path, *names: str) -> np.ndarray:
    """The array at a variable and its fields, such as ("GTcls", "Segmentation").

    Structs on the way hold one of each field.

    Raises:
        MatError: no MAT file of level 5, truncated or damaged, or nothing at this path.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise MatError("it is no MAT file of level 5")
    variables = [e for e in _elements(content, _HEADER, order) if e.kind in (_ARRAY, _PACKED)]
    for element in variables:
        body = _unpacked(element, order)
        if _parts(body, order)[2].content == names[0].encode("ascii"):
            return _array(_inside(body, names[1:], order), order)
    raise MatError(f"it has no variable {names[0]}")


def _elements(content: bytes, place: int, order: str) -> Iterator[_Element]:
    while place < len(content):
        if place + 8 > len(content):
            raise MatError("it ends within a tag")
        kind, size = struct.unpack_from(order + "II", content, place)
        if kind >> 16:  # a short one: its size shares the first word, its bytes are the second
            size, kind, start, after = kind >> 16, kind & 0xFFFF, place + 4, place + 8
            if size > 4:
                raise MatError("a short element of more than 4 bytes")
        else:
            start = place + 8
            after = start + size + (0 if kind == _PACKED else -size % 8)
        if start + size > len(content):
            raise MatError(f"{size} bytes expected, {len(content) - start} found")
        yield _Element(kind, content[start : start + size])
        place = after


def _unpacked(element: _Element, order: str) -> bytes:
    """The content of an array that may be packed."""
    if element.kind == _ARRAY:
        return element.content
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(element.content, _LARGEST)
    if unpacking.unconsumed_tail:
        raise MatError(f"an array of more than {_LARGEST} bytes")
    if not unpacking.eof:
        raise MatError("a packed array is cut off")
    return next(_elements(content, 0, order), _Element(0, b"")).content


def _parts(body: bytes, order: str) -> list[_Element]:
    """Flags, dimensions, name and what follows them."""
    found = list(_elements(body, 0, order))
    if len(found) < 3 or len(found[0].content) != 8 or len(found[1].content) % 4:
        raise MatError("an array without flags, dimensions and name")
    return found


def _shape(part: _Element, order: str) -> tuple[int, ...]:
    return tuple(int(n) for n in np.frombuffer(part.content, order + "i4"))


def _inside(body: bytes, names: tuple[str, ...], order: str) -> bytes:
    """The array of a field within a field, and so on."""
    for name in names:
        flags, dimensions, _, *rest = _parts(body, order)
        if _class(flags, order) != _STRUCT or math.prod(_shape(dimensions, order)) != 1:
            raise MatError(f"what should hold {name} is no single struct")
        if len(rest) < 2 or len(rest[0].content) != 4:
            raise MatError("a struct without names of fields")
        (length,) = struct.unpack(order + "i", rest[0].content)
        if length < 1:
            raise MatError(f"names of {length} bytes")
        text = rest[1].content
        fields = [text[k : k + length].partition(b"\0")[0] for k in range(0, len(text), length)]
        wanted = name.encode("ascii")
        if wanted not in fields or fields.index(wanted) >= len(rest) - 2:
            raise MatError(f"it has no field {name}")
        body = rest[2 + fields.index(wanted)].content
    return body


def _class(flags: _Element, order: str) -> int:
    return int(struct.unpack(order + "II", flags.content)[0]) & 0xFF


def _array(body: bytes, order: str) -> np.ndarray:
    """The numbers of an array, columns first as MATLAB stores them."""
    flags, dimensions, _, *rest = _parts(body, order)
    shape = _shape(dimensions, order)
    kind = _CLASSES.get(_class(flags, order))
    # complex numbers have two parts
    if kind is None or len(rest) != 1 or rest[0].kind not in _NUMBERS:
        raise MatError("what stands there are no numbers, or complex ones")
    stored = np.frombuffer(rest[0].content, order + _NUMBERS[rest[0].kind])
    if min(shape, default=-1) < 0 or math.prod(shape) != len(stored):
        raise MatError(f"{len(stored)} numbers for the shape {shape}")
    return stored.astype(kind).reshape(shape, order="F")
