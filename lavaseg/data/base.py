"""What a data set is: pictures with a label for each pixel, in training and test parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lavaseg.network import Shape


class Samples(Protocol):
    """A sequence of (picture, label) pairs.

    The picture is uint8 (channels, height, width); the label uint8 (height, width), a class id
    or the data set's ignore index.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


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
    """

    name: str
    train: Samples
    test: Samples
    classes: tuple[str, ...]
    ignore_index: int | None = None
    validation: Samples | None = None
    source: str = ""

    @property
    def picture_shape(self) -> Shape:
        """(channels, height, width) of every picture."""
        return self.test[0][0].shape
