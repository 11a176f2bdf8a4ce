"""Looks at every sample of a data set and says what is there and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lavaseg.data.base import DataSet, LabelError, Mark, Samples, unknown_label
from lavaseg.errors import LavasegError
from lavaseg.system.words import or_like

PARTS = ("train", "validation", "test")


@dataclass
class Findings:
    """The contents of one part of a data set.

    Args:
        part: its name, of `PARTS`.
        samples: number of samples.
        problems: (sample number, sentence) of each sample that cannot be used.
        shapes: number of samples for each shape of picture.
        pixels: pixels of each class, int64 (K,).
        pictures: pictures that show each class, int64 (K,).
        ignored: pixels with the ignore index.
        mislabelled: numbers of the samples whose label map holds what is no class.
        held: values or colours of label maps that should hold ids, if some hold what is no id.
        missing: values or colours that no class was given.
    """

    part: str
    samples: int
    pixels: np.ndarray
    pictures: np.ndarray
    problems: list[tuple[int, str]] = field(default_factory=list)
    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    ignored: int = 0
    mislabelled: list[int] = field(default_factory=list)
    held: set[Mark] = field(default_factory=set)
    missing: set[Mark] = field(default_factory=set)


def part_of(data: DataSet, part: str) -> Samples:
    """The samples of a part; LavasegError if the data set has none of that name."""
    samples = getattr(data, part) if part in PARTS else None
    if samples is None:
        have = [name for name in PARTS if getattr(data, name) is not None]
        raise LavasegError(
            f"data set {data.name!r} has no part {part!r}{or_like(part, have, 'it has')}"
        )
    return samples


def check(data: DataSet, report: Callable[[int, int], None] = lambda *_: None) -> list[Findings]:
    """Reads every sample of every part; what is wrong is noted, and the next one is read.

    Args:
        report: called with (samples done, samples in all).
    """
    parts = {name: part_of(data, name) for name in PARTS if getattr(data, name) is not None}
    total, done = sum(map(len, parts.values())), 0
    classes = len(data.classes)
    found = []
    for name, samples in parts.items():
        nothing = np.zeros(classes, np.int64)
        findings = Findings(name, len(samples), nothing, nothing.copy())
        for index in range(len(samples)):
            try:
                picture, label = samples[index]
                _check_label(picture.shape, label, classes, data.ignore_index)
            except LavasegError as error:
                findings.problems.append((index, str(error)))
                if isinstance(error, LabelError):
                    findings.mislabelled.append(index)
                    findings.held |= error.held
                    findings.missing |= error.missing
            else:
                counted = label if data.ignore_index is None else label[label != data.ignore_index]
                pixels = np.bincount(counted.ravel(), minlength=classes)
                findings.shapes[tuple(picture.shape)] += 1
                findings.pixels += pixels
                findings.pictures += pixels > 0
                findings.ignored += label.size - counted.size
            done += 1
            report(done, total)
        found.append(findings)
    return found


def _check_label(
    shape: tuple[int, ...], label: np.ndarray, classes: int, ignore_index: int | None
) -> None:
    """LavasegError unless label and picture have one size and every label is known."""
    if tuple(shape[-2:]) != label.shape:
        raise LavasegError(
            f"its picture is {shape[-2:]} and its label {label.shape} (height, width)"
        )
    strange = unknown_label(label, classes, ignore_index)
    if strange is not None:
        held = np.unique(label).tolist()
        raise LabelError(f"it has the label {strange}: expected 0 to {classes - 1}", held)
