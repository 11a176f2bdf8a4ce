"""A folder of recordings and label maps of one's own.

    ROOT/recordings/a.aedat4  ROOT/labels/a.png     one part, or these in train/, val/ and test/

A recording (`lavaseg.data.event_files`) and its label map are paired, and label maps read, as in
`lavaseg.data.folder`. The label map has the sensor's size, and says what is where at the end of
the recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lavaseg.data.base import DataSet, Samples, samples_in_short
from lavaseg.data.event_files import SUFFIXES, TEXT_SUFFIXES, read_recording
from lavaseg.data.event_text import TextFormat, judged_format, text_format
from lavaseg.data.folder import data_set, files_of
from lavaseg.data.label_classes import LabelClasses, label_classes
from lavaseg.data.pairs import Files
from lavaseg.data.sound_events import SoundEvents, check_bad_events
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.network import Size
from lavaseg.system.progress import line


def load(
    root: str,
    classes: int | Sequence[Any] | Mapping[Any, Any],
    sensor: Sequence[int],
    ignore: int | Sequence[int] | str | None = None,
    test: float = 0.2,
    seed: int = 0,
    unit: str | None = None,
    columns: str | Sequence[str] | None = None,
    label_suffix: str | None = None,
    bad_events: Literal["refuse", "drop"] = "refuse",
) -> DataSet:
    """A folder of recordings and label maps.

    Args:
        root: the folder, see above.
        classes, ignore, label_suffix: as of `lavaseg.data.folder.load`.
        sensor: (height, width) of all recordings.
        test: part held out for test, where the folder has no test part.
        seed: of that split.
        unit: of the times in text recordings: seconds, milliseconds, microseconds or nanoseconds.
            None: as their header rows say, else as the first of them shows, which the data set's
            remarks state.
        columns: order of the columns in text recordings, such as "x y p t". None: as their header
            rows say, else t x y p.
        bad_events: "drop" goes on past single events that are beyond the sensor, back in time or
            no events at all, and says how many; "refuse" names the first.

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
    chosen = label_classes(classes, ignore)
    drops = check_bad_events(bad_events)
    found = files_of(root, "recordings", SUFFIXES, label_suffix)
    recordings = [file for pairs in found.parts.values() for file, _ in pairs]
    text, remark = _common_format(recordings, text_format(unit, columns))
    size = (sensor[0], sensor[1])
    parts: dict[str, Samples] = {
        part: RecordingPairs(files, chosen, size, text, drops)
        for part, files in found.parts.items()
    }
    remarks = (*found.remarks, remark) if remark else found.remarks
    return data_set("event-folder", root, parts, chosen, test, seed, remarks)


@dataclass(frozen=True, eq=False)
class RecordingPairs:
    """Recordings and label maps that are read when they are asked for.

    Args:
        files: (recording, label map) of each sample.
        classes: the classes, and how label maps say them.
        sensor: (height, width) of every sample.
        text: unit and columns of text recordings.
        drops: single bad events are dropped, and said when a recording is first read.
    """

    files: Files
    classes: LabelClasses
    sensor: Size
    text: TextFormat
    drops: bool = False
    said: set[Path] = field(default_factory=set)

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Events, np.ndarray]:
        recording, file = self.files[index]
        label = self.classes.read(file)
        if label.shape != self.sensor:
            raise LavasegError(
                f"label map {file} is {label.shape[0]} x {label.shape[1]}, the sensor "
                f"{self.sensor[0]} x {self.sensor[1]} (height x width)"
            )
        sound = SoundEvents(recording) if self.drops else None
        events = read_recording(recording, self.sensor, self.text, sound)
        if sound is not None and sound.remark and recording not in self.said:
            self.said.add(recording)
            line(sound.remark)
        return events, label


def _common_format(files: Sequence[Path], given: TextFormat) -> tuple[TextFormat, str]:
    """The unit that all text recordings share, and a remark if the first sound one showed it."""
    for file in (file for file in files if file.suffix.lower() in TEXT_SUFFIXES):
        if given.unit is not None:
            break
        try:
            found = judged_format(file, given)
        except LavasegError:
            continue  # it is named when it is read
        return replace(found, columns=given.columns, judged=True), found.remark
    return given, ""
