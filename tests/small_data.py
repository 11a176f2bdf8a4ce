"""Small data sets of random pictures in the layouts of those that the papers use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from lavaseg.data.pictures import write_label_map

RNG = np.random.default_rng
SIZE = (32, 32)
DEMO = (
    "data.options={train: 24, test: 4}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 4]",
    "encoder.steps=2",
    "training.epochs=3",
    "training.batch_size=8",
)
"""Fields with which the recipe demo trains for a second."""


def write_picture(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)


def write_labels(path: Path, ids: Iterable[int], seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_map(RNG(seed).choice([*ids], size).astype(np.uint8), path)


def write_noise(root: Path, count: int, size: tuple[int, int] = SIZE) -> None:
    """A data set `folder` of random pictures and labels of two classes."""
    for number in range(count):
        write_picture(root / "pictures" / f"{number}.png", number, size)
        write_labels(root / "labels" / f"{number}.png", [0, 1], count + number, size)


def write_voc(root: Path) -> None:
    """VOC 2012 with SBD beside it: three pictures of trainaug, two of val."""
    folder = root / "VOCdevkit" / "VOC2012"
    sbd = root / "benchmark_RELEASE" / "dataset"
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (sbd / "cls").mkdir(parents=True)
    own = {"train": ["a1"], "val": ["b1", "b2"]}
    for part, names in own.items():
        (lists / f"{part}.txt").write_text("\n".join(names) + "\n")
        for number, name in enumerate(names):
            write_labels(folder / "SegmentationClass" / f"{name}.png", [0, 3, 20, 255], number)
    for part, names in {"train": ["c1", "c2"], "val": ["c3"]}.items():
        (sbd / f"{part}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            ids = RNG(7).choice([0, 5, 20], SIZE).astype(np.uint8)
            savemat(sbd / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": ids}})
    for number, name in enumerate(["a1", "b1", "b2", "c1", "c2", "c3"]):
        write_picture(folder / "JPEGImages" / f"{name}.jpg", number)


def write_camvid(root: Path) -> None:
    """CamVid in SegNet's layout: two pictures to train on, one each to validate and test."""
    parts = {"train": range(2), "val": range(2, 3), "test": range(3, 4)}
    for part, numbers in parts.items():
        for k in numbers:
            write_picture(root / "CamVid" / part / f"0001TP_{k:06}.png", k)
            write_labels(root / "CamVid" / f"{part}annot" / f"0001TP_{k:06}.png", range(12), k)


def write_ade20k(root: Path) -> None:
    """ADE20K: three pictures to train on, two to test."""
    folder = root / "ADEChallengeData2016"
    for part, word, count in (("training", "train", 3), ("validation", "val", 2)):
        for k in range(count):
            name = f"ADE_{word}_{k + 1:08}"
            write_picture(folder / "images" / part / f"{name}.jpg", k)
            write_labels(folder / "annotations" / part / f"{name}.png", [0, 1, 150], k)
    rows = [f"{k}\t0.1\t1\t1\tname {k}, other name" for k in range(1, 151)]
    (folder / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tName\n" + "\n".join(rows))


def write_mnist_cifar10(root: Path) -> None:
    """Twenty digits, and thirty pictures."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits = RNG(0).integers(0, 256, (20, 28, 28), np.uint8)
    head = np.array([2051, *digits.shape], ">u4").tobytes()
    (raw / "train-images-idx3-ubyte").write_bytes(head + digits.tobytes())
    np.savez(root / "cifar10.npz", x_train=RNG(1).integers(0, 256, (30, 32, 32, 3), np.uint8))


DDD17 = {
    "train": {"rec1487339175": ((0, 2),), "rec1487593224": ((870, 871),)},
    "test": {"rec1487417411": ((100, 102),)},
}
"""Frames of the parts of `write_ddd17`: these are to stand for the official ones."""


def write_ddd17(root: Path) -> None:
    """DDD17 as Ev-SegNet exports it."""
    for part, recordings in DDD17.items():
        for kind in ("events", "labels"):
            (root / "DDD17" / kind / part).mkdir(parents=True)
        for recording, ((first, stop),) in recordings.items():
            for n in range(first, stop):
                events = RNG(n).uniform(-1, 1, (200, 346, 6))
                events[..., :2][RNG(n).random((200, 346, 2)) < 0.8] = -1  # mostly no events
                name = f"{recording}_export_{n}"
                np.save(root / "DDD17" / "events" / part / f"{name}.npy", events)
                labels = root / "DDD17" / "labels" / part / f"{name}.png"
                write_labels(labels, [*range(6), 255], n, (200, 346))


def write_ddd17_events(root: Path) -> None:
    """DDD17 as ESS cuts it: seven recordings of 1,000 events, with labels at 0.5 s and 0.9 s."""
    for k in range(7):
        folder = root / "ddd17_seg" / f"dir{k}"
        (folder / "index").mkdir(parents=True)
        t = np.arange(1_000, dtype="<i8") * 1_000_000
        t.tofile(folder / "events.dat.t")
        places = [RNG(k).integers(0, most, 1_000) for most in (346, 260, 2)]
        np.stack(places, 1).astype("<i2").tofile(folder / "events.dat.xyp")
        moments = np.array([100, 500, 700, 900])
        for window in (10, 50, 250):
            rows = np.stack([moments * 1_000_000, moments, moments - window], 1)
            np.save(folder / "index" / f"index_{window}ms.npy", rows)
        for number in (2, 4):
            path = folder / "segmentation_masks" / f"segmentation_{number:08d}.png"
            write_labels(path, [0, 3, 5, 255], number, (200, 346))


WRITERS: dict[str, Callable[[Path], None]] = {
    "voc": write_voc,
    "camvid": write_camvid,
    "ade20k": write_ade20k,
    "mnist-cifar10": write_mnist_cifar10,
    "ddd17": write_ddd17,
    "ddd17-events": write_ddd17_events,
}
"""By the data set's name; DSEC, whose pictures have one size, is too large for a test."""
