"""A folder of recordings and label maps of one's own.

    ROOT/recordings/a.aedat4  ROOT/labels/a.png     one part, or train/, test/ and validation/

A recording (`recordings.SUFFIXES`) and its label map have the same stem. The label map has the
sensor's size, and says what is where at the end of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.data.base import DataSet, Samples
from lavaseg.data.event_files import SUFFIXES, read_recording
from lavaseg.data.folder import data_set, files_and_names
from lavaseg.data.pairs import Files, check_classes
from lavaseg.data.pictures import read_label_map
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.network import Size


def load(
    root: str,
    classes: int | Sequence[str],
    sensor: Sequence[int],
    ignore: int | None = None,
    test: float = 0.2,
    seed: int = 0,
) -> DataSet:
    """A folder of recordings and label maps.

    Args:
        root: the folder, see above.
        classes: class names in the order of their ids, or how many there are.
        sensor: (height, width) of all recordings.
        ignore: id of pixels that count neither in the loss nor in any metric.
        test: part held out for test, where the folder has no train and test parts.
        seed: of that split.

    Raises:
        LavasegError: an option out of range, or files without a partner. A file that is damaged or
            of another size is found when it is used.
    """
    if (
        not isinstance(sensor, (list, tuple))
        or len(sensor) != 2
        or not all(type(n) is int and n >= 1 for n in sensor)
    ):
        raise LavasegError(f"data option 'sensor' must be (height, width), got {sensor!r}")
    names, found = files_and_names(root, "recordings", SUFFIXES, classes, ignore)
    size = (sensor[0], sensor[1])
    parts: dict[str, Samples] = {
        part: RecordingPairs(files, len(names), ignore, size) for part, files in found.items()
    }
    return data_set("event-folder", root, parts, names, ignore, test, seed)


@dataclass(frozen=True, eq=False)
class RecordingPairs:
    """Recordings and label maps that are read when they are asked for.

    Args:
        files: (recording, label map) of each sample.
        classes: number of classes; labels must lie below, or be `ignore`.
        ignore: the ignore index, or None.
        sensor: (height, width) of every sample.
    """

    files: Files
    classes: int
    ignore: int | None
    sensor: Size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Events, np.ndarray]:
        recording, file = self.files[index]
        label = read_label_map(file)
        if label.shape != self.sensor:
            raise LavasegError(
                f"label map {file} is {label.shape[0]} x {label.shape[1]}, the sensor "
                f"{self.sensor[0]} x {self.sensor[1]} (height x width)"
            )
        check_classes(label, file, self.classes, self.ignore)
        return read_recording(recording, self.sensor), label
