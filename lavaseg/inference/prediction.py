"""What a network says of one picture or recording, at the size that it has itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.data.colours import is_background
from lavaseg.data.pictures import write_label_map, write_overlay
from lavaseg.errors import LavasegError
from lavaseg.inference.fitting import Placement
from lavaseg.system.files import replacing
from lavaseg.system.limits import check_memory
from lavaseg.system.shown import html_picture, html_table
from lavaseg.system.words import or_like, percent

OUTPUTS = {
    "labels": ("-labels.png", "class numbers as a palette PNG"),
    "overlay": ("-overlay.png", "the picture with the colours laid over it"),
    "probabilities": ("-probabilities.npz", "softmax of the logits, float16"),
    "margins": ("-margins.npz", "largest logit less the second largest, float32"),
}
"""What can be written of a prediction: what is put behind the name, and what it is."""
USUAL = ("labels", "overlay")
OPACITY = 0.5
"""Share of the class colour in an overlay."""


def check_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """The outputs in the order of `OUTPUTS`; LavasegError if there is no such one, or none."""
    for name in names:
        if name not in OUTPUTS:
            raise LavasegError(f"no output {name!r}{or_like(name, OUTPUTS)}")
    if not names:
        raise LavasegError(f"nothing to write: name one of {', '.join(OUTPUTS)}")
    return tuple(name for name in OUTPUTS if name in names)


def output_files(stem: Path, names: Sequence[str]) -> list[Path]:
    """The files of outputs; `stem` may end in anything."""
    return [stem.with_name(stem.name + OUTPUTS[name][0]) for name in names]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Label map and scores of one picture or recording.

    Args:
        shown: what it looks like, uint8 (3, height, width); of events a preview.
        placement: how it came to the network.
        readouts: logits of each view, float32 (K, h, w), in trained units, over T.
        classes: names, in the order of their ids.
        colours: of each class, uint8 (K, 3).
        seconds: that the network took, all views together, start-up left out.
    """

    shown: np.ndarray
    placement: Placement
    readouts: Sequence[np.ndarray] = field(repr=False)
    classes: tuple[str, ...]
    colours: np.ndarray = field(repr=False)
    seconds: float = 0.0

    def __repr__(self) -> str:
        height, width = self.placement.size
        views = len(self.readouts)
        return f"<Prediction {height} x {width}, {len(self.classes)} classes, views: {views}>"

    def _repr_html_(self) -> str:
        counts = {name: count for name, count in self.pixels().items() if count}
        rows = ((name, percent(count / self.labels.size)) for name, count in counts.items())
        picture = np.ascontiguousarray(self.overlay().transpose(1, 2, 0))
        table = html_table("Pixels of each class", ["class", ">share"], rows)
        return f"{html_picture(picture, repr(self))}{table}"

    @cached_property
    def labels(self) -> np.ndarray:
        """The class of each pixel, uint8 (height, width): the largest score, the first on a tie."""
        found = np.empty(self.placement.size, np.uint8)
        for rows, scores in self._bands():
            found[rows] = scores.argmax(0)
        return found

    def probabilities(self, dtype: type = np.float32) -> np.ndarray:
        """Softmax of the logits, (K, height, width).

        Raises:
            LavasegError: there is not enough memory for so many numbers.
        """
        shape = (len(self.classes), *self.placement.size)
        needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
        check_memory(needed, f"probabilities of shape {shape}", "write margins, which are one map")
        found: np.ndarray = np.empty(shape, dtype)
        for rows, scores in self._bands():
            powers = np.exp(scores - scores.max(0))
            found[:, rows] = powers / powers.sum(0)
        return found

    def margins(self) -> np.ndarray:
        """Largest logit less the second largest, float32 (height, width), in trained units.

        0 where two classes tie; infinite where there is one class alone.
        """
        found = np.full(self.placement.size, np.inf, np.float32)
        for rows, scores in self._bands():
            if len(scores) > 1:
                second, first = np.partition(scores, len(scores) - 2, axis=0)[-2:]
                found[rows] = first - second
        return found

    def overlay(self, opacity: float = OPACITY) -> np.ndarray:
        """The picture with class colours laid over it, uint8 (3, height, width).

        Where the class is background the picture is as it was.

        Args:
            opacity: share of the colour, 0 to 1.
        """
        if not 0 <= opacity <= 1:
            raise LavasegError(f"opacity must be a share from 0 to 1, got {opacity!r}")
        share = np.full(256, round(256 * opacity), np.uint16)
        share[[k for k, name in enumerate(self.classes) if is_background(name)]] = 0
        table = np.zeros((256, 3), np.uint16)
        table[: len(self.colours)] = self.colours
        found = np.empty((3, *self.placement.size), np.uint8)
        for row, labels in enumerate(self.labels):
            part = share[labels]
            ink = table[labels].T * part
            found[:, row] = (self.shown[:, row] * (256 - part) + ink + 128) >> 8
        return found

    def save(
        self, stem: str | Path, write: Sequence[str] = USUAL, opacity: float = OPACITY
    ) -> list[Path]:
        """Write outputs beside each other: STEM-labels.png and so on.

        Args:
            stem: folder, which must exist, and what their names begin with.
            write: which of `OUTPUTS`.
            opacity: of the overlay.

        Returns:
            The files.

        Raises:
            LavasegError: no such output, or a file that cannot be written.
        """
        names = check_outputs(write)
        files = output_files(Path(stem), names)
        for name, path in zip(names, files, strict=True):
            self.write(name, path, opacity)
        return files

    def write(self, name: str, path: Path, opacity: float = OPACITY) -> None:
        """Write one of `OUTPUTS` to a file, whole or not at all."""
        if name == "labels":
            write_label_map(self.labels, path, self.colours)
        elif name == "overlay":
            write_overlay(self.overlay(opacity), path)
        else:
            scores = self.probabilities(np.float16) if name == "probabilities" else self.margins()
            with replacing(path) as part, part.open("wb") as file:
                arrays: dict[str, Any] = {name: scores, "classes": np.array(self.classes)}
                np.savez_compressed(file, **arrays)

    def pixels(self) -> dict[str, int]:
        """How many pixels each class has."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return dict(zip(self.classes, counts.tolist(), strict=True))

    def _bands(self) -> Iterator[tuple[slice, np.ndarray]]:
        return self.placement.bands(self.readouts)
