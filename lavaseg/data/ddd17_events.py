"""DDD17 driving scenes as ESS cuts them: single events before each label, 6 classes.

    dirN/events.dat.t            int64, nanoseconds
    dirN/events.dat.xyp          int16 (events, 3): column, row, 1 for ON or 0 for OFF
    dirN/index/index_{10,50,250}ms.npy    rows (time, number of events before it, and before the
                                 window); row k belongs to the label map number k + 1
    dirN/segmentation_masks/segmentation_NNNNNNNN.png

The files are mapped: only the events of a sample are read. Source: Sun et al. 2022, ESS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lavaseg.data import places
from lavaseg.data.base import DataSet, samples_in_short
from lavaseg.data.ddd17 import CLASSES, IGNORE
from lavaseg.data.pairs import check_classes
from lavaseg.data.pictures import read_label_map, resize_label_map
from lavaseg.errors import LavasegError
from lavaseg.events import Events, naming
from lavaseg.network import Size
from lavaseg.system.faults import reading

CAMERA = (260, 346)
HEIGHT = 200
"""Rows that count: the lower 60 show the car's bonnet."""
PARTS = {"train": (0, 2, 3, 5, 6), "validation": (1,), "test": (4,)}
"""Place of each part's folders in their alphabetical order."""
WINDOWS = (10, 50, 250)


def load(
    root: str | None = None,
    events: int = 640_000,
    window: int = 0,
    width: int = 352,
    height: int = HEIGHT,
) -> DataSet:
    """DDD17 as ESS cuts it.

    Args:
        root: folder that holds ddd17_seg (or is it), else LAVASEG_DATA or ./data.
        events: number before each label (ESS: 20 slices of 32,000); with `window`, not used.
        window: milliseconds before each label, 10, 50 or 250, instead of a number of events.
        width: 346, or 352: columns are stretched as ESS does, each event and each label going to
            the nearest one (ESS interpolates voxel grids bilinearly).
        height: 200 as ESS cuts it, or 260, the whole sensor (Su et al. 2024 print 260 x 352). The
            lower 60 rows are then seen and count nowhere: their labels are ignored.

    Raises:
        LavasegError: files are missing or damaged, or an option is out of range.
    """
    if type(events) is not int or events < 1:
        raise LavasegError(f"data option 'events' must be a positive number, got {events!r}")
    if window not in (0, *WINDOWS):
        raise LavasegError(f"data option 'window' must be 0, 10, 50 or 250 (ms), got {window!r}")
    if width not in (346, 352):
        raise LavasegError(f"data option 'width' must be 346 or 352, got {width!r}")
    if height not in (HEIGHT, CAMERA[0]):
        raise LavasegError(f"data option 'height' must be 200 or 260, got {height!r}")
    found = places.find(root, ("ddd17_seg", "DDD17/ddd17_seg", "."))
    folders = sorted(p for p in found.glob("dir*") if p.is_dir()) if found else []
    if found is None or not folders:
        raise places.missing("DDD17 for ESS", root, "put ESS's ddd17_seg with its dir* there")
    if len(folders) != 7:
        raise LavasegError(f"{found} holds {len(folders)} folders dir*, expected 7")
    parts = {
        part: Sliced(
            tuple(item for k in places_ for item in _labels(folders[k], window)),
            events,
            window,
            (height, width),
        )
        for part, places_ in PARTS.items()
    }
    return DataSet(
        name="ddd17-events",
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        classes=CLASSES,
        ignore_index=IGNORE,
        source=f"DDD17 as ESS cuts it, in {found}",
    )


@dataclass(frozen=True, eq=False)
class Sliced:
    """Labelled moments of recordings.

    Args:
        items: (folder, label map, time in ns, events before it, events before its window).
        events, window: see `load`.
        size: (height, width) of the sheet and of the labels.
    """

    items: tuple[tuple[Path, Path, int, int, int], ...]
    events: int
    window: int
    size: Size

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Events, np.ndarray]:
        folder, file, time, last, first = self.items[index]
        if not self.window:
            first = max(last - self.events, 0)
        t_file, xyp_file = folder / "events.dat.t", folder / "events.dat.xyp"
        t = _mapped(t_file, "<i8", 8)
        xyp = _mapped(xyp_file, "<i2", 6).reshape(-1, 3)
        if len(t) != len(xyp):
            raise LavasegError(f"{t_file} has {len(t)} events, {xyp_file} {len(xyp)}")
        if not 0 <= first <= last <= len(t):
            raise LavasegError(f"the index of {folder} names event {last} of {len(t)}")
        times = np.asarray(t[first:last]) // 1000
        x, y, polarity = np.array(xyp[first:last]).T
        stop = time // 1000
        start = stop - 1000 * self.window if self.window else None
        with naming(xyp_file):
            found = Events(times, x, y, polarity == 1, CAMERA, _span(times, start, stop)).moved(
                _column(x.astype(np.int64), self.size[1]), y, self.size
            )
        return found, _label(file, self.size)


def _span(times: np.ndarray, start: int | None, stop: int) -> tuple[int, int]:
    """The span of a sample: up to its label, from the window's start or the first event."""
    first = int(times[0]) if len(times) else stop - 1
    last = int(times[-1]) if len(times) else stop - 1
    return min(first if start is None else start, first), max(stop, last + 1)


def _column(x: np.ndarray, width: int) -> np.ndarray:
    return (2 * x + 1) * width // (2 * CAMERA[1])


def _label(file: Path, size: Size) -> np.ndarray:
    """The label map at a size, without a label below the rows that count."""
    label = read_label_map(file)
    if label.shape not in (CAMERA, (HEIGHT, CAMERA[1])):
        raise LavasegError(
            f"label map {file} is {label.shape[0]} x {label.shape[1]}, expected 260 or 200 x 346"
        )
    check_classes(label, file, len(CLASSES), IGNORE)
    seen = resize_label_map(label[:HEIGHT], (HEIGHT, size[1]))
    return np.pad(seen, ((0, size[0] - HEIGHT), (0, 0)), constant_values=IGNORE)


def _mapped(path: Path, kind: str, item: int) -> np.ndarray:
    with reading(path):
        size = path.stat().st_size
        if size % item:
            raise LavasegError(f"{path} is truncated: it ends with {size % item} bytes of {item}")
        return np.memmap(path, kind, "r") if size else np.empty(0, kind)


def _labels(folder: Path, window: int) -> list[tuple[Path, Path, int, int, int]]:
    """The labelled moments of one recording, in order."""
    path = folder / "index" / f"index_{window or 50}ms.npy"
    with reading(path, "cannot be read, it is no .npy file or damaged"):
        # mapped, so that a false header cannot ask for memory
        index = np.load(path, allow_pickle=False, mmap_mode="r")
    if not isinstance(index, np.ndarray) or index.dtype.kind not in "iuf":
        raise LavasegError(f"{path} must hold rows of 3 numbers")
    if index.ndim != 2 or index.shape[1] != 3:
        raise LavasegError(f"{path} must hold rows of 3 numbers, it holds {index.shape}")
    found = []
    for file in sorted((folder / "segmentation_masks").glob("segmentation_*.png")):
        number = re.fullmatch(r"segmentation_(\d+)", file.stem)
        if number is None or not 1 <= int(number[1]) <= len(index):
            raise LavasegError(f"label map {file} has no row in {path} of {len(index)} rows")
        time, last, first = (int(value) for value in index[int(number[1]) - 1])
        found.append((folder, file, time, last, first))
    if not found:
        raise LavasegError(f"{folder / 'segmentation_masks'} holds no label maps")
    return found
