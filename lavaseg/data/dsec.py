"""DSEC-Semantic driving scenes: events of 640x480 pixels with labels of 11 classes.

    {train,test}/SEQUENCE/semantic/[left/]timestamps.txt         microseconds, a line a label
    {train,test}/SEQUENCE/semantic/[left/]11classes/data/NNNNNN.png
    {train,test}/SEQUENCE/events/left/{events.h5,rectify_map.h5}

Labels are predictions on the frame camera, warped to the rectified event camera, without the
lower 40 rows. As ESS does, the first 6 labels of a sequence and then every other one are left
out. Source: Gehrig et al. 2021 (DSEC); Sun et al. 2022 (ESS, the labels).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lavaseg.data import places
from lavaseg.data.base import DataSet, samples_in_short
from lavaseg.data.pairs import check_classes
from lavaseg.data.pictures import read_label_map
from lavaseg.data.split import check_part
from lavaseg.errors import LavasegError
from lavaseg.events import Events, naming
from lavaseg.system.extras import optional
from lavaseg.system.faults import reading

CLASSES = (
    "background",
    "building",
    "fence",
    "person",
    "pole",
    "road",
    "sidewalk",
    "vegetation",
    "car",
    "wall",
    "traffic sign",
)
IGNORE = 255
CAMERA = (480, 640)
HEIGHT = 440
TRAIN = (
    "zurich_city_00_a",
    "zurich_city_01_a",
    "zurich_city_02_a",
    "zurich_city_04_a",
    "zurich_city_05_a",
    "zurich_city_06_a",
    "zurich_city_07_a",
    "zurich_city_08_a",
)
TEST = ("zurich_city_13_a", "zurich_city_14_c", "zurich_city_15_a")
_FIRST, _EVERY = 6, 2


def load(
    root: str | None = None,
    events: int = 2_000_000,
    window: int = 0,
    rectify: bool = True,
    validation: str | None = "zurich_city_08_a",
) -> DataSet:
    """DSEC-Semantic, 11 classes, 440 x 640.

    Args:
        root: folder that holds DSEC_Semantic (or is it), else LAVASEG_DATA or ./data.
        events: number before each label (ESS: 20 slices of 100,000); with `window`, not used.
        window: microseconds before each label, instead of a number of events.
        rectify: move events to where the rectified camera, and the labels, have them: to the
            nearest pixel (ESS divides them between four).
        validation: training sequence that selects the model, since neighbouring labels are nearly
            the same; None: single labels are held out, as of any data set.

    Raises:
        LavasegError: files are missing, or an option is out of range. A file that is damaged is
            found when it is used.
    """
    for name, value, least in (("events", events, 1), ("window", window, 0)):
        if type(value) is not int or value < least:
            raise LavasegError(f"data option {name!r} must be {least} or more, got {value!r}")
    check_part(validation, TRAIN)
    found = places.find(root, (f"{n}train" for n in ("DSEC_Semantic/", "DSEC/", "")))
    if found is None:
        raise places.missing("DSEC-Semantic", root, "put its train and test into DSEC_Semantic/")
    folder = found.parent

    def part(name: str, sequences: tuple[str, ...]) -> Labelled:
        items = (item for s in sequences for item in _labels(folder / name / s))
        return Labelled(tuple(items), events, window, rectify)

    return DataSet(
        name="dsec",
        train=part("train", tuple(s for s in TRAIN if s != validation)),
        validation=None if validation is None else part("train", (validation,)),
        test=part("test", TEST),
        classes=CLASSES,
        ignore_index=IGNORE,
        source=f"DSEC-Semantic in {folder}",
    )


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled moments of sequences.

    Args:
        items: (folder of the events, label map, time in us) of each sample.
        events, window, rectify: see `load`.
    """

    items: tuple[tuple[Path, Path, int], ...]
    events: int
    window: int
    rectify: bool

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Events, np.ndarray]:
        folder, file, time = self.items[index]
        seen = read_before(
            folder / "events.h5", time, events=0 if self.window else self.events, window=self.window
        )
        x, y = seen.x.astype(np.int64), seen.y.astype(np.int64)
        if self.rectify:
            place = rectified_places(folder / "rectify_map.h5")[y, x]
            x, y = place[:, 0].astype(np.int64), place[:, 1].astype(np.int64)
        label = read_label_map(file)
        if label.shape != (HEIGHT, CAMERA[1]):
            raise LavasegError(
                f"label map {file} is {label.shape[0]} x {label.shape[1]}, expected 440 x 640 "
                "(height x width)"
            )
        check_classes(label, file, len(CLASSES), IGNORE)
        return seen.moved(x, y, (HEIGHT, CAMERA[1])), label


def read_before(path: Path, time: int, *, events: int = 0, window: int = 0) -> Events:
    """Events of an events.h5 before a moment; only they are read.

    Args:
        path: HDF5 with events/{t,x,y,p}, ms_to_idx and t_offset; t is relative to t_offset, and
            ms_to_idx[k] the first event that is not before millisecond k.
        time: microseconds, as in timestamps.txt; its own events are not included.
        events: the number of last events, or
        window: the length of a window in microseconds.

    Raises:
        LavasegError: the file is missing, damaged, of another layout, or begins after `time`.
    """
    with reading(path, "is no events.h5 of DSEC, or damaged"), naming(path):
        with _opened(path) as file:
            offset = int(file["t_offset"][()])
            stop = _number(file, time - offset)
            first = _number(file, time - offset - window) if window else max(stop - events, 0)
            t, x, y, p = (np.asarray(file[f"events/{name}"][first:stop]) for name in "txyp")
        t = t.astype(np.int64) + offset
        start = time - window if window else (int(t[0]) if len(t) else time - 1)
        return Events(t, x.astype(np.int64), y.astype(np.int64), p == 1, CAMERA, (start, time))


def _opened(path: Path) -> h5py.File:
    with optional():
        import hdf5plugin  # noqa: F401, registers Blosc, which DSEC's files are packed with
    return h5py.File(path, "r")


def _number(file: h5py.File, time: int) -> int:
    """Number of the first event that is not before `time`, microseconds after t_offset."""
    index, t = file["ms_to_idx"], file["events/t"]
    millisecond = time // 1000
    if millisecond < 0:
        return 0
    if millisecond >= len(index):
        return len(t)
    first = int(index[millisecond])
    stop = int(index[millisecond + 1]) if millisecond + 1 < len(index) else len(t)
    return first + int(np.searchsorted(np.asarray(t[first:stop]), time))


def rectified_places(path: Path) -> np.ndarray:
    """Column and row of each pixel in the rectified camera, to the nearest: int32 (480, 640, 2).

    Places outside of the camera are far outside.

    Raises:
        LavasegError: the file is missing, damaged, or holds no rectify_map (480, 640, 2).
    """
    with reading(path, "is no rectify_map.h5 of DSEC, or damaged"), _opened(path) as file:
        stored = file["rectify_map"]
        if stored.shape != (*CAMERA, 2) or stored.dtype.kind not in "fiu":
            raise LavasegError(
                f"{path}: rectify_map is {stored.dtype} {stored.shape}, expected numbers "
                f"{(*CAMERA, 2)}"
            )
        places_ = np.asarray(stored[()], np.float64)
    return np.rint(np.nan_to_num(places_, nan=-9).clip(-9, 9999)).astype(np.int32)


def _labels(sequence: Path) -> list[tuple[Path, Path, int]]:
    """(folder of the events, label map, time) of the labels of a sequence that are used."""
    for folder in (sequence / "semantic" / "left", sequence / "semantic"):
        if (folder / "11classes" / "data").is_dir():
            break
    else:
        raise LavasegError(f"there is no folder {sequence}/semantic/[left/]11classes/data")
    stamps = next(
        (
            f / "timestamps.txt"
            for f in (folder, folder.parent, sequence / "semantic")
            if (f / "timestamps.txt").is_file()
        ),
        None,
    )
    if stamps is None:
        raise LavasegError(f"there is no file {folder}/timestamps.txt")
    with reading(stamps):
        words = [line.strip() for line in stamps.read_text("utf-8", "replace").splitlines()]
    words = [word for word in words if word and not word.startswith("#")]
    if not all(word.isdecimal() and len(word) < 19 for word in words):  # of 64 bits
        raise LavasegError(f"{stamps} must hold microseconds, one label a line")
    files = sorted((folder / "11classes" / "data").glob("*.png"))
    if len(files) != len(words):
        raise LavasegError(f"{stamps} has {len(words)} times for {len(files)} label maps")
    return [
        (sequence / "events" / "left", file, int(word))
        for file, word in list(zip(files, words, strict=True))[_FIRST::_EVERY]
    ]
