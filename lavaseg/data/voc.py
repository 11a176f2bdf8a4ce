"""PASCAL VOC 2012 segmentation, 21 classes, with the further labels of SBD if they are there.

    VOCdevkit/VOC2012/{JPEGImages, SegmentationClass, ImageSets/Segmentation}/   the official layout
    VOCdevkit/VOC2012/SegmentationClassAug/X.png    VOC and SBD merged, as often passed on, or
    benchmark_RELEASE/dataset/{img, cls}/           SBD as released (cls/X.mat)

Source: Everingham et al. 2010; Hariharan et al. 2011 (SBD, "Semantic contours").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lavaseg.data import places
from lavaseg.data.base import DataSet
from lavaseg.data.fetch import Archive, fetch
from lavaseg.data.mat5 import read_numbers
from lavaseg.data.pairs import Files, Pairs, preparation
from lavaseg.data.pictures import read_label_map
from lavaseg.errors import LavasegError
from lavaseg.system.faults import reading

CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv monitor",
)
VOID = 255

VOC = Archive(
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    md5="6cd6e144f989b92b3379bac3b3de84fd",
    holds="VOCdevkit/VOC2012",
)
SBD = Archive(
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/"
    "benchmark.tgz",
    md5="82b4d87ceb2ed10f6038a1cba92111cb",
    holds="benchmark_RELEASE",
)

_LISTS = "ImageSets/Segmentation"


def load(
    root: str | None = None,
    train: str = "train",
    size: int | tuple[int, int] | None = None,
    void: str = "ignore",
    labels: str = "nearest",
    cache: float = 1.0,
    download: bool = False,
) -> DataSet:
    """PASCAL VOC 2012, 21 classes of objects.

    Labels of the official test part are not public: the validation part (1,449 pictures) is the
    test part here, as in the papers, and a part of the training pictures selects the model.

    Args:
        root: folder that holds VOCdevkit, or VOC2012 itself; else LAVASEG_DATA or ./data.
        train: "train" (1,464 pictures) or "trainaug" (10,582, with SBD's).
        size: (height, width) that everything is resized to. The files differ in size; without it
            they can be looked at and checked, but not put into one batch.
        void: ignore the seam around objects (255), or, as Kim et al. 2022 train, call it
            "background"; in the test part it is always ignored.
        labels: how label maps are resized: nearest or, wrongly, bilinear.
        cache: gigabytes of samples kept in memory.
        download: fetch from the owners what is missing (2 GB, SBD another 1.4 GB).

    Raises:
        LavasegError: files that are missing, or an option out of range.
    """
    if train not in ("train", "trainaug"):
        raise LavasegError(f"data option 'train' must be train or trainaug, got {train!r}")
    if void not in ("ignore", "background"):
        raise LavasegError(f"data option 'void' must be ignore or background, got {void!r}")
    lists = places.find(root, (f"{VOC.holds}/{_LISTS}", f"VOC2012/{_LISTS}", _LISTS))
    if lists is not None:
        folder = lists.parents[1].resolve()
    elif download:
        folder = fetch(VOC, places.folders(root)[0]).resolve()
    else:
        raise places.missing(
            "PASCAL VOC 2012",
            root,
            f"unpack {VOC.url} there, or set the data option download=true",
        )
    beside = folder.parents[1] / SBD.holds / "dataset"
    sbd = beside if beside.is_dir() else places.find(root, (f"{SBD.holds}/dataset",))
    merged = (folder / "SegmentationClassAug").is_dir()
    if train == "trainaug" and sbd is None and not merged and download:
        sbd = fetch(SBD, folder.parents[1]) / "dataset"
    if train == "trainaug" and sbd is None and not merged:
        raise LavasegError(
            f"VOC's train=trainaug needs SBD's labels: unpack {SBD.url} beside VOCdevkit, put a "
            f"folder SegmentationClassAug into {folder}, or set the data option download=true"
        )
    names = {"test": _read_list(folder, "val")}
    names["train"] = _train_names(folder, sbd, train, names["test"])
    parts = {part: _files(folder, sbd, stems) for part, stems in names.items()}
    prepared = preparation(size, labels, cache, parts["train"], mixed=True)
    read = read_label if void == "ignore" else _void_as_background
    return DataSet(
        name="voc",
        train=Pairs(parts["train"], len(CLASSES), VOID, prepared, read),
        test=Pairs(parts["test"], len(CLASSES), VOID, prepared, read_label),
        classes=CLASSES,
        ignore_index=VOID,
        source=f"VOC 2012 in {folder}; its {train} for training, its val is the test part",
    )


def _train_names(folder: Path, sbd: Path | None, train: str, val: Sequence[str]) -> list[str]:
    if train == "train":
        return _read_list(folder, "train")
    for name in ("trainaug", "train_aug"):
        if (folder / _LISTS / f"{name}.txt").is_file():
            return _read_list(folder, name)
    if sbd is None:
        raise LavasegError(
            f"{folder / _LISTS} holds no trainaug.txt, and SBD's lists are not there"
        )
    found = {stem for part in ("train", "val") for stem in _stems(sbd / f"{part}.txt")}
    return sorted((found | set(_read_list(folder, "train"))) - set(val))


def _read_list(folder: Path, part: str) -> list[str]:
    return _stems(folder / _LISTS / f"{part}.txt")


def _stems(path: Path) -> list[str]:
    """Names of pictures in a list: one a line, or 'JPEGImages/NAME.jpg LABELS/NAME.png'."""
    with reading(path, "is no list of pictures"):
        lines = path.read_text("utf-8-sig").split("\n")
    stems = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not stems:
        raise LavasegError(f"list {path} is empty")
    return stems


def _files(folder: Path, sbd: Path | None, stems: Sequence[str]) -> Files:
    """Each picture with the best label map there is: VOC's own, the merged one, SBD's."""
    homes = [
        (folder / "SegmentationClass", ".png"),
        (folder / "SegmentationClassAug", ".png"),
        *([(sbd / "cls", ".mat")] if sbd else []),
    ]
    have = [{path.name for path in home.iterdir()} if home.is_dir() else () for home, _ in homes]
    files = []
    for stem in stems:
        label = homes[0][0] / f"{stem}.png"  # named as missing when it is read
        for (home, end), names in zip(homes, have, strict=True):
            if f"{stem}{end}" in names:
                label = home / f"{stem}{end}"
                break
        files.append((folder / "JPEGImages" / f"{stem}.jpg", label))
    return files


def read_label(path: Path) -> np.ndarray:
    """Class ids of a VOC label map (.png: indices) or an SBD one (.mat), uint8 (height, width)."""
    return read_mat(path) if path.suffix == ".mat" else read_label_map(path)


def _void_as_background(path: Path) -> np.ndarray:
    label = read_label(path).copy()
    label[label == VOID] = 0
    return label


def read_mat(path: Path) -> np.ndarray:
    """Class ids of SBD's cls/X.mat, GTcls.Segmentation: uint8 (height, width).

    Raises:
        LavasegError: no such file, a damaged one, or another content.
    """
    if not path.is_file():
        raise LavasegError(f"there is no label map {path}")
    with reading(path, "holds no label map of SBD that can be read"):
        ids = read_numbers(path, "GTcls", "Segmentation")
    if ids.dtype != np.uint8 or ids.ndim != 2:
        raise LavasegError(
            f"{path}: GTcls.Segmentation must be uint8 (height, width), got {ids.dtype} {ids.shape}"
        )
    return ids
