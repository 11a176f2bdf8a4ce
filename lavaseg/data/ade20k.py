"""ADE20K SceneParsing: 150 classes of stuff and things.

    ADEChallengeData2016/{images,annotations}/{training,validation}/  and objectInfo150.txt

Source: Zhou et al. 2017, the benchmark of the Scene Parsing Challenge 2016.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lavaseg.data import places
from lavaseg.data.base import DataSet
from lavaseg.data.fetch import Archive, fetch
from lavaseg.data.pairing import pairs_in
from lavaseg.data.pairs import Pairs, preparation
from lavaseg.data.pictures import read_label_map
from lavaseg.errors import LavasegError
from lavaseg.system.faults import reading

COUNT = 150
IGNORE = 255

ARCHIVE = Archive(
    "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    md5="7328b3957e407ddae1d3cbf487f149ef",
    holds="ADEChallengeData2016",
)


def load(
    root: str | None = None,
    size: int | tuple[int, int] | None = None,
    labels: str = "nearest",
    cache: float = 1.0,
    download: bool = False,
) -> DataSet:
    """ADE20K SceneParsing, 150 classes of stuff and things.

    Labels of the official test part are not public: the validation part (2,000 pictures) is the
    test part here, as in the papers, and a part of the training pictures (20,210) selects the
    model.

    Args:
        root: folder that holds ADEChallengeData2016, or that folder itself; else LAVASEG_DATA or
            ./data.
        size: (height, width) that everything is resized to. The files differ in size; without it
            they can be looked at and checked, but not put into one batch.
        labels: how label maps are resized: nearest or, wrongly, bilinear.
        cache: gigabytes of samples kept in memory.
        download: fetch it from its owner if it is missing (0.9 GB).

    Raises:
        LavasegError: files that are missing or have no partner, or an option out of range.
    """
    info = places.find(root, (f"{ARCHIVE.holds}/objectInfo150.txt", "objectInfo150.txt"))
    if info is None and download:
        info = fetch(ARCHIVE, places.folders(root)[0]) / "objectInfo150.txt"
    if info is None:
        raise places.missing(
            "ADE20K", root, f"unpack {ARCHIVE.url} there, or set the data option download=true"
        )
    folder, classes = info.parent, read_classes(info)
    train, test = (
        pairs_in(folder / "images" / part, folder / "annotations" / part)
        for part in ("training", "validation")
    )
    prepared = preparation(size, labels, cache, train, mixed=True)
    return DataSet(
        name="ade20k",
        train=Pairs(train, COUNT, IGNORE, prepared, read_label),
        test=Pairs(test, COUNT, IGNORE, prepared, read_label),
        classes=classes,
        ignore_index=IGNORE,
        source=f"ADE20K in {folder}; its validation part is the test part",
    )


def read_label(path: Path) -> np.ndarray:
    """Class ids 0 .. 149 of a label map whose files say 1 .. 150; 0, other, becomes 255.

    Raises:
        LavasegError: it cannot be read, or has a larger label.
    """
    raw = read_label_map(path)
    if raw.size and raw.max() > COUNT:
        raise LavasegError(f"label map {path} has the label {raw.max()}: expected 0 to {COUNT}")
    return raw - np.uint8(1)


def read_classes(info: Path) -> tuple[str, ...]:
    """The first name of each class in objectInfo150.txt.

    Raises:
        LavasegError: it does not list 150 names.
    """
    with reading(info):
        rows = [line.split("\t") for line in info.read_text("utf-8").splitlines()[1:] if line]
    names = tuple(row[-1].split(",")[0].strip() for row in rows)
    if len(names) != COUNT or len(set(names)) != COUNT or not all(names):
        raise LavasegError(f"{info} must list {COUNT} classes with different names")
    return names
