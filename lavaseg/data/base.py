"""Data sets: pictures or events in parts, each with a label for every pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.network import Shape
from lavaseg.system.words import counted

Mark: TypeAlias = "int | tuple[int, int, int]"
"""A value or a colour (red, green, blue) in a label map."""


class LabelError(LavasegError):
    """A label map with values or colours that are no class.

    Args:
        text: the sentence.
        held: all values, or colours (red, green, blue), of a label map that should hold ids.
        missing: those that no class was given, where classes were given values or colours.
    """

    def __init__(self, text: str, held: Iterable[Mark] = (), missing: Iterable[Mark] = ()) -> None:
        super().__init__(text)
        self.held, self.missing = frozenset(held), frozenset(missing)


class Samples(Protocol):
    """A sequence of (stimulus, label) pairs.

    The stimulus is a picture, uint8 (channels, height, width), or a recording of events; the label
    is uint8 (height, width), a class id or the data set's ignore index.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Stimulus, np.ndarray]: ...


def own_label(samples: Samples, index: int) -> np.ndarray:
    """The label of a sample at the size that its file has, uint8 (height, width).

    Where samples are not resized, or come from no file, it is the label that they have.
    """
    found = getattr(samples, "own_label", None)
    return samples[index][1] if found is None else found(index)


def samples_in_short(samples: Samples) -> str:
    """What samples are called where Python shows them, in place of all their files or pixels."""
    return f"{type(samples).__name__}({counted(len(samples), 'sample')})"


def unknown_label(label: np.ndarray, classes: int, ignore: int | None) -> int | None:
    """The smallest id of a label map that is neither a class nor the ignore index, or None."""
    strange = np.setdiff1d(label[label >= classes], [ignore])
    return int(strange[0]) if strange.size else None


@dataclass(frozen=True)
class DataSet:
    """A labelled data set.

    Args:
        name: its registered name.
        train, test: samples; model selection never looks at `test`.
        classes: class names; a label k means classes[k].
        ignore_index: label of pixels that count neither in the loss nor in any metric, or None.
        validation: an official validation part, or None: then a part of `train` is held out.
        source: where the files came from, for the report.
        remarks: what the loader took for granted, and which files it left out; a sentence each.
    """

    name: str
    train: Samples
    test: Samples
    classes: tuple[str, ...]
    ignore_index: int | None = None
    validation: Samples | None = None
    source: str = ""
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = ", ".join(f"{part} {len(samples):,}" for part, samples in self._parts.items())
        return f"DataSet({self.name!r}, {parts}, {counted(len(self.classes), 'class', 'classes')})"

    def _repr_html_(self) -> str:
        from lavaseg.data.notebook import html

        return html(self, self._parts)

    @property
    def _parts(self) -> dict[str, Samples]:
        """The parts that it has, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {part: samples for part, samples in parts.items() if samples is not None}

    @property
    def picture_shape(self) -> Shape:
        """(channels, height, width) of every picture, (2, height, width) of every recording."""
        return self.test[0][0].shape
