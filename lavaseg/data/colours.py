"""Colours of classes: the data set's own, the user's, or those that the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.data.pictures import palette, voc_colour
from lavaseg.errors import LavasegError
from lavaseg.system.faults import reading
from lavaseg.system.settings import read_yaml

if TYPE_CHECKING:
    from lavaseg.recipes import Choice

BACKGROUND = frozenset({"background", "void", "unlabelled", "unlabeled", "unknown", "nothing"})
"""Names of classes that are what is left when everything else is named; they may be black."""

Colours = Mapping[str, tuple[int, int, int]]
"""(red, green, blue), 0 to 255 each, by the name of the class."""


def is_background(name: str) -> bool:
    """Whether a class is what is left when everything else is named."""
    return name.strip().lower() in BACKGROUND


def class_colours(classes: Sequence[str], *given: Colours) -> np.ndarray:
    """The colour of each class, uint8 (K, 3).

    Args:
        classes: names in the order of their ids.
        given: colours by name; what stands later counts. Others are those of `palette`, in which
            black is left out unless the first class is background.
    """
    count = len(classes)
    if count and is_background(classes[0]):
        found = palette(count)
    else:
        found = palette(count + 1)[1:]
    for colours in given:
        for number, name in enumerate(classes):
            if name in colours:
                found[number] = colours[name]
    return found


def label_table(colours: np.ndarray, ignore_index: int | None = None) -> np.ndarray:
    """The colour of each label, uint8 (256, 3); what is no class, or does not count, is white.

    Args:
        colours: of the classes, uint8 (K, 3).
        ignore_index: label that does not count.
    """
    found = np.full((256, 3), 255, np.uint8)
    found[: len(colours)] = colours
    if ignore_index is not None:
        found[ignore_index] = 255
    return found


def data_colours(data: Choice | None) -> Colours:
    """The colours that a data set gives its classes; none if it has none of its own.

    Nothing is read but the choice: the data need not be on this machine.
    """
    if data is None:
        return {}
    if data.name == "camvid":
        from lavaseg.data.camvid import COLOURS

        return {name: colours[0] for name, colours in COLOURS.items()}
    if data.name == "voc":
        from lavaseg.data.voc import CLASSES

        return {name: voc_colour(number) for number, name in enumerate(CLASSES)}
    classes = data.options.get("classes")
    return _of_marks(classes) if isinstance(classes, Mapping) else {}


def _of_marks(classes: Mapping[str, Any]) -> Colours:
    """The first colour that stands for each class in label maps, where colours do."""
    from lavaseg.data.label_classes import label_classes

    found: dict[str, tuple[int, int, int]] = {}
    options = label_classes(classes, None)
    for mark, number in (options.marks or {}).items():
        if isinstance(mark, tuple):
            found.setdefault(options.names[number], mark)
    return found


def read_colours(text: str, classes: Sequence[str]) -> Colours:
    """The colours that an option gives, as YAML or as the name of a YAML file.

    Raises:
        LavasegError: no such file, no YAML mapping, a class that there is not, or no colour.
    """
    source = f"--colours {text!r}"
    if "{" not in text and ":" not in text:
        path = Path(text)
        source = str(path)
        with reading(path, "is no YAML file of a colour for each class"):
            text = path.read_text("utf-8")
    with reading(source, "is no YAML of a colour for each class"):
        found = read_yaml(text, "classes")
    if not isinstance(found, Mapping):
        raise LavasegError(
            f"{source} must hold a colour for each class, such as {{road: '#804080'}}"
        )
    for name in found:
        if name not in classes:
            raise LavasegError(f"{source}: no class {name!r}; there are {', '.join(classes)}")
    return {name: _colour(value, f"{source}: {name}") for name, value in found.items()}


def _colour(value: Any, what: str) -> tuple[int, int, int]:
    from lavaseg.data.label_classes import colour_mark

    mark = colour_mark(value)
    if mark is None:
        raise LavasegError(
            f"{what} must be a colour as [red, green, blue] or '#rrggbb', got {value!r}"
        )
    return mark
