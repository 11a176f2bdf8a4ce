"""What label maps of one's own hold, and the classes that follow from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.data.base import Mark
from lavaseg.data.label_classes import LabelClasses, label_classes
from lavaseg.data.pictures import read_label_samples
from lavaseg.errors import LavasegError
from lavaseg.network import Size
from lavaseg.system.faults import reading

IGNORED = 255
"""The value that label maps have where nothing counts, by the habit of PASCAL VOC and others."""
SEAM = (224, 224, 192)
"""The colour of the same, around the objects of PASCAL VOC."""
MOST = 255
"""Most classes that a data set may have."""
NAME_FILES = ("labelmap.txt", "classes.txt")
"""Files beside the pictures that hold names: CVAT's, `name:red,green,blue::`; one name a line."""


@dataclass
class Held:
    """What the label maps of a folder hold.

    Args:
        pixels: of each value or colour.
        sizes: number of label maps of each (height, width).
    """

    pixels: Counter[Mark] = field(default_factory=Counter)
    sizes: Counter[Size] = field(default_factory=Counter)

    @property
    def coloured(self) -> bool:
        """Whether any of it is a colour."""
        return any(isinstance(mark, tuple) for mark in self.pixels)


@dataclass(frozen=True)
class Chosen:
    """Data options that fit label maps.

    Args:
        classes, ignore: of the data sets `folder` and `event-folder`.
        remarks: what was taken for granted, a sentence each.
    """

    classes: Any
    ignore: Any
    remarks: tuple[str, ...]


def look(files: Sequence[Path], report: Callable[[int, int], None] = lambda *_: None) -> Held:
    """Read label maps, all of them.

    Args:
        report: called with (files done, files in all).

    Raises:
        LavasegError: a damaged file, or more colours or values than classes can be.
    """
    held = _look(files, report, colours=False)
    return _look(files, report, colours=True) if held.coloured else held


def _look(files: Sequence[Path], report: Callable[[int, int], None], *, colours: bool) -> Held:
    held = Held()
    for number, file in enumerate(files, 1):
        samples = read_label_samples(file, colours=colours)
        flat = samples.reshape(-1, *samples.shape[2:])
        marks, counts = np.unique(flat, axis=0, return_counts=True)
        for mark, count in zip(marks.tolist(), counts.tolist(), strict=True):
            held.pixels[_mark(mark, colours)] += count
        held.sizes[samples.shape[0], samples.shape[1]] += 1
        if len(held.pixels) > MOST + 1:
            raise LavasegError(
                f"label maps up to {file} hold {len(held.pixels):,} values or colours, expected "
                f"{MOST} classes at most: they were resized or saved with loss, or are pictures"
            )
        report(number, len(files))
    return held


def _mark(value: Any, colours: bool) -> Mark:
    if isinstance(value, list):
        return value[0], value[1], value[2]
    return (value, value, value) if colours else int(value)


def names_beside(root: Path) -> Path | None:
    """The file of names in the folder of the data, if there is one."""
    return next((root / name for name in NAME_FILES if (root / name).is_file()), None)


def read_names(path: Path) -> dict[str, Mark | None]:
    """Names of classes in a file, and the colours that it gives them.

    Raises:
        LavasegError: it cannot be read, or holds a line that is none.
    """
    with reading(path, "is no text"):
        lines = path.read_text("utf-8").splitlines()
    found: dict[str, Mark | None] = {}
    for text in (text.strip() for text in lines):
        if not text or text.startswith("#"):
            continue
        name, *rest = text.split(":")
        colour = rest[0].split(",") if rest else []
        if colour and not all(part.strip().isdigit() for part in colour):
            raise LavasegError(f"{path}: expected name:red,green,blue or a name, got {text!r}")
        found[name.strip()] = _colour(colour) if len(colour) == 3 else None
    return found


def _colour(parts: Sequence[str]) -> Mark:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue


def choose(held: Held, names: dict[str, Mark | None]) -> Chosen:
    """Classes and ignore index for what label maps hold.

    Args:
        names: of classes in the order of their ids or marks, with their colours where known; empty
            if none are known.

    Raises:
        LavasegError: names that do not fit, or fewer than two classes.
    """
    marks = sorted(held.pixels)
    ignore: Mark | None = None
    if held.coloured:
        ignore = SEAM if SEAM in marks and SEAM not in names.values() else None
    elif IGNORED in marks and marks != [0, IGNORED]:
        ignore = IGNORED
    counted = [mark for mark in marks if mark != ignore]
    if len(counted) < 2:
        raise LavasegError(
            f"all label maps hold {_shown(marks)} alone, expected two classes or more"
        )
    remarks = []
    if ignore is not None:
        remarks.append(f"pixels of {_shown([ignore])} do not count, as is usual")
    classes: Any
    left_out = None if ignore is None else _plain(ignore)
    if any(colour is not None for colour in names.values()):
        classes = _by_colour(counted, names)
    elif counted == list(range(len(counted))) and (not names or len(names) >= len(counted)):
        classes = [*names] or [f"class {mark}" for mark in counted]
    elif names and not held.coloured and len(names) > max(_values(counted)):
        classes = [*names]  # of ids, of which some never occur
    elif names and len(names) != len(counted):
        raise LavasegError(
            f"there are {len(names)} names of classes, and label maps hold {len(counted)} values "
            f"or colours that count: {_shown(counted)}"
        )
    else:
        known = [*names] or _made_up(counted)
        classes = {name: _plain(mark) for name, mark in zip(known, counted, strict=True)}
        remarks.append(f"label maps hold {_shown(counted)}, each of which became a class")
    if not names:
        remarks.append("names of classes are made up: change them in the recipe, or give --classes")
    return Chosen(classes, left_out, tuple(remarks))


def _by_colour(counted: Sequence[Mark], names: dict[str, Mark | None]) -> dict[str, Any]:
    known = {colour: name for name, colour in names.items()}
    strange = [mark for mark in counted if mark not in known]
    if strange:
        raise LavasegError(
            f"label maps hold {_shown(strange)}, to which the file of names gives no name"
        )
    return {
        name: _plain(colour)
        for name, colour in names.items()
        if colour in counted and colour is not None
    }


def _made_up(marks: Sequence[Mark]) -> list[str]:
    if list(marks) == [0, IGNORED]:
        return ["background", "object"]
    if all(isinstance(mark, tuple) for mark in marks):
        return [f"class {number}" for number in range(len(marks))]
    return [f"class {mark}" for mark in marks]


def _values(marks: Sequence[Mark]) -> list[int]:
    return [mark for mark in marks if isinstance(mark, int)]


def _plain(mark: Mark) -> Any:
    return list(mark) if isinstance(mark, tuple) else mark


def _shown(marks: Sequence[Mark], most: int = 6) -> str:
    more = f" and {len(marks) - most:,} more" if len(marks) > most else ""
    return ", ".join(map(str, marks[:most])) + more


def class_pixels(held: Held, classes: Any, ignore: Any) -> np.ndarray:
    """Pixels of each class, int64 (K,).

    Raises:
        LavasegError: options out of range, or values and colours that stand for no class.
    """
    chosen: LabelClasses = label_classes(classes, ignore)
    known: dict[Any, int] = {number: number for number in range(len(chosen.names))}
    if chosen.marks is not None:
        known = {_as(mark, held.coloured): number for mark, number in chosen.marks.items()}
    pixels = np.zeros(len(chosen.names), np.int64)
    strange = []
    for mark, count in held.pixels.items():
        number = known.get(mark)
        if number is None and mark != chosen.ignore:
            strange.append(mark)
        elif number is not None and number != chosen.ignore:
            pixels[number] += count
    if strange:
        raise LavasegError(
            f"label maps hold {_shown(sorted(strange))}, which the data option 'classes' gives no "
            "class"
        )
    return pixels


def _as(mark: Mark, coloured: bool) -> Mark:
    return (mark, mark, mark) if coloured and isinstance(mark, int) else mark
