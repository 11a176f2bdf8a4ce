"""Class ids of label maps: their values, or values and colours that stand for classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.data.base import LabelError, Mark
from lavaseg.data.pairs import check_classes
from lavaseg.data.pictures import read_label_samples
from lavaseg.errors import LavasegError
from lavaseg.system.settings import write_yaml

IGNORE = 255
"""Ignore index where values or colours stand for classes."""
_SHOWN = 32
"""Most colours that a proposal lists."""


@dataclass(frozen=True)
class LabelClasses:
    """Classes of a data set, and how a label map says them.

    Args:
        names: class names in the order of their ids.
        ignore: the ignore index, or None.
        marks: id of each value or colour; None: values are ids.
    """

    names: tuple[str, ...]
    ignore: int | None
    marks: Mapping[Mark, int] | None = None

    def read(self, path: Path) -> np.ndarray:
        """Class ids of a label map, uint8 (height, width).

        Raises:
            LabelError: values or colours that stand for no class.
            LavasegError: no such file, or a damaged one.
        """
        coloured = self.marks is not None and any(isinstance(m, tuple) for m in self.marks)
        samples = read_label_samples(path, colours=coloured)
        if self.marks is None:
            return self._ids(samples, path)
        packed = _packed(samples) if coloured or samples.ndim == 3 else samples.astype(np.int64)
        found, place = np.unique(packed, return_inverse=True)
        marks = [_colour(n) if coloured or samples.ndim == 3 else int(n) for n in found]
        known = {_as_colour(m) if coloured else m: k for m, k in self.marks.items()}
        strange = [mark for mark in marks if mark not in known]
        if strange:
            raise LabelError(
                f"label map {path} holds {_listed(strange)}, which {_verb(strange)} for no class "
                "in the data option 'classes'",
                missing=strange,
            )
        ids = np.array([known[mark] for mark in marks], np.uint8)
        return ids[place].reshape(samples.shape[:2])

    def _ids(self, samples: np.ndarray, path: Path) -> np.ndarray:
        if samples.ndim == 3:
            colours = [_colour(n) for n in np.unique(_packed(samples))]
            raise LabelError(
                f"label map {path} holds colours, {_listed(colours)}: expected class ids, or a "
                "colour for each class in the data option 'classes'",
                colours,
            )
        if samples.max() > 255 or samples.min() < 0:
            values = [int(n) for n in np.unique(samples)]
            raise LabelError(
                f"label map {path} has the label {max(values, key=abs)}: expected "
                f"0 to {len(self.names) - 1}",
                values,
            )
        ids = samples.astype(np.uint8)
        check_classes(ids, path, len(self.names), self.ignore)
        return ids


def label_classes(classes: Any, ignore: Any) -> LabelClasses:
    """Classes from the data options `classes` and `ignore`.

    Args:
        classes: their number; their names in the order of ids; or a mapping of each name to the
            value or the colour that stands for it in label maps, or to a list of several: a
            colour is (red, green, blue) or "#rrggbb".
        ignore: a value, or with a mapping also a colour, of pixels that do not count; or None.

    Raises:
        LavasegError: an option out of range.
    """
    named: Mapping[Any, Any] = classes if isinstance(classes, Mapping) else {}
    if isinstance(classes, int) and not isinstance(classes, bool):
        names: list[Any] = [f"class {k}" for k in range(classes)]
    elif isinstance(classes, (list, tuple, Mapping)):
        names = list(classes)
    else:
        names = []
    for name in names:
        if not isinstance(name, str):
            raise LavasegError(
                f"data option 'classes' must hold names that are text, got {name!r}: write it "
                "in quotes"
            )
    if not 2 <= len(names) <= 255 or len(set(names)) != len(names):
        raise LavasegError(
            "data option 'classes' must be 2 to 255 different names, or their number, got "
            f"{classes!r}"
        )
    if not named:
        is_label = isinstance(ignore, int) and not isinstance(ignore, bool) and 0 <= ignore <= 255
        if ignore is not None and not is_label:
            raise LavasegError(
                f"data option 'ignore' must be a label from 0 to 255, got {ignore!r}"
            )
        return LabelClasses(tuple(names), ignore)
    marks: dict[Mark, int] = {}
    for number, name in enumerate(names):
        _enter(
            marks, name, _marks(named[name], f"class {name!r} of the data option 'classes'"), number
        )
    if ignore is not None:
        _enter(marks, "ignore", _marks(ignore, "data option 'ignore'"), IGNORE)
    return LabelClasses(tuple(names), None if ignore is None else IGNORE, marks)


def _enter(marks: dict[Mark, int], name: str, new: Iterable[Mark], number: int) -> None:
    for mark in new:
        if marks.setdefault(mark, number) != number:
            raise LavasegError(
                f"data option 'classes': {mark} stands for {name!r} and for another class"
            )


def _marks(value: Any, what: str) -> list[Mark]:
    """The values or colours that an option gives."""
    several = isinstance(value, (list, tuple)) and any(
        isinstance(item, (list, tuple, str)) for item in value
    )
    return [_mark(item, what) for item in (value if several else [value])]


def _mark(value: Any, what: str) -> Mark:
    colour = colour_mark(value)
    if colour is not None:
        return colour
    if type(value) is int and 0 <= value < 2**16:
        return value
    raise LavasegError(
        f"{what} must be a value, or a colour as [red, green, blue] or '#rrggbb', got {value!r}"
    )


def colour_mark(value: Any) -> tuple[int, int, int] | None:
    """(red, green, blue) of three numbers or of "#rrggbb"; None if it is no colour."""
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    if isinstance(value, (list, tuple)) and len(value) == 3:
        red, green, blue = value
        if all(type(part) is int and 0 <= part <= 255 for part in value):
            return red, green, blue
    return None


def proposal(
    held: Iterable[Mark], missing: Iterable[Mark], names: Sequence[str], ignore: int | None
) -> str:
    """The option that would make classes of what label maps hold, in one line.

    Args:
        held: all values or colours of label maps that should hold ids.
        missing: those that no class was given.
        names: class names.
        ignore: the ignore index, or None.
    """
    left = sorted(missing, key=str)
    if left:
        marks = [list(mark) if isinstance(mark, tuple) else mark for mark in left[:_SHOWN]]
        option = f"'ignore={marks if len(marks) > 1 else marks[0]}'"
        return (
            f"labels also hold {_listed(left)}; give each a name in the option classes, or "
            f"--set {option} if they do not count"
        )
    colours = sorted(mark for mark in held if isinstance(mark, tuple))
    if colours:
        colours = sorted({_as_colour(mark) for mark in held})
        if len(colours) > _SHOWN:
            return (
                f"label maps hold {len(colours):,} colours: they were resized or saved with loss, "
                "or are pictures"
            )
        said = f"labels have the colours {_listed(colours, _SHOWN)}"
        option = _option(_names(names, len(colours)), colours)
        return f"{said}; give --set {option}, each name with the colour of its own"
    values = sorted(mark for mark in held if isinstance(mark, int) and mark != ignore)
    strange = [value for value in values if not 0 <= value < len(names)] or values
    said = f"labels hold {_listed(strange)}"
    if strange == [255]:
        option = "--set ignore=255"
        if set(values) == {0, 255} and len(names) == 2:
            return (
                f"labels hold 0 and 255; give --set {_option(names, [0, 255])}, or {option} if "
                "255 does not count"
            )
        return f"{said}; give {option}"
    counted = [value for value in values if value != 255 or ignore is not None]
    rest = "" if counted == values else " --set ignore=255"
    if len(counted) == len(names):
        return f"{said}; give --set {_option(names, counted)}{rest}"
    if counted[0] >= 0 and counted[-1] < 255 and len(counted) > len(names):
        more = counted[-1] + 1
        return f"{said}; give names for {more} classes, or --set classes={more}{rest}"
    return f"{said}; give each class its value, such as --set {_option(names, counted)}{rest}"


def _names(names: Sequence[str], count: int) -> Sequence[str]:
    """The names if they are as many as wanted, else numbered ones."""
    return names if len(names) == count else [f"class {k}" for k in range(count)]


def _option(names: Sequence[str], marks: Sequence[Mark]) -> str:
    """The option `classes` that gives marks to names, quoted for a shell."""
    named = {n: list(m) if isinstance(m, tuple) else m for n, m in zip(names, marks, strict=False)}
    text = write_yaml(named, default_flow_style=True, width=10**6).strip()
    quoted = text.replace("'", "'\\''")
    return f"'classes={quoted}'"


def _listed(marks: Sequence[Mark], most: int = 5) -> str:
    """'(0, 0, 0), (128, 0, 0) and 3 more'."""
    shown = ", ".join(str(mark) for mark in marks[:most])
    return shown + (f" and {len(marks) - most:,} more" if len(marks) > most else "")


def _verb(marks: Sequence[Mark]) -> str:
    return "stands" if len(marks) == 1 else "stand"


def _packed(samples: np.ndarray) -> np.ndarray:
    """A number for each colour, int64 (height, width); values are greys."""
    wide = samples.astype(np.int64)
    if wide.ndim == 2:
        return wide * 0x010101
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _colour(packed: int) -> tuple[int, int, int]:
    number = int(packed)
    return number >> 16, number >> 8 & 255, number & 255


def _as_colour(mark: Mark) -> tuple[int, int, int]:
    return mark if isinstance(mark, tuple) else (mark, mark, mark)
