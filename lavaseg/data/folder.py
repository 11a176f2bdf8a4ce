"""A folder of pictures and label maps of one's own.

    ROOT/pictures/a.jpg  ROOT/labels/a.png     one part, from which a test part is held out, or
    ROOT/train/pictures/...  ROOT/train/labels/...  ROOT/test/...  [ROOT/validation/...]

A picture and its label map have the same stem; label maps are PNG files of class ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lavaseg.data.base import DataSet, Samples
from lavaseg.data.pictures import (
    SUFFIXES,
    read_label_map,
    read_picture,
    resize_label_map,
    resize_picture,
)
from lavaseg.data.split import hold_out
from lavaseg.errors import LavasegError
from lavaseg.network import Size


def load(
    root: str,
    classes: int | Sequence[str],
    ignore: int | None = None,
    size: int | Sequence[int] | None = None,
    test: float = 0.2,
    seed: int = 0,
    in_memory: bool = True,
) -> DataSet:
    """A folder of pictures and label maps.

    Args:
        root: the folder, see above.
        classes: class names in the order of their ids, or how many there are.
        ignore: id of pixels that count neither in the loss nor in any metric.
        size: (height, width), or one number for both, that everything is resized to: pictures
            bilinearly, labels to the nearest. None: all pictures must have the same size.
        test: part held out for test, where the folder has no train and test parts.
        seed: of that split.
        in_memory: read all files now, which also checks them all; else each when it is used.

    Raises:
        LavasegError: an option out of range; a file missing, damaged, without a partner or of
            another size; a label that is no class.
    """
    names = _class_names(classes)
    if ignore is not None and not (isinstance(ignore, int) and 0 <= ignore <= 255):
        raise LavasegError(f"data option 'ignore' must be a label from 0 to 255, got {ignore!r}")
    if not isinstance(seed, int) or seed < 0:
        raise LavasegError(f"data option 'seed' must be a whole number, 0 or more, got {seed!r}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise LavasegError(f"there is no folder {folder}")
    wanted = _size(size)
    inner = {p: folder / p for p in ("train", "test", "validation") if (folder / p).is_dir()}
    if inner and not {"train", "test"} <= set(inner):
        raise LavasegError(
            f"{folder} has a part {next(iter(inner))!r} and needs 'train' and 'test'"
        )
    found = {part: find_pairs(path) for part, path in (inner or {"all": folder}).items()}
    first = next(iter(found.values()))[0][0]
    common = wanted or read_picture(first).shape[1:]
    parts: dict[str, Samples] = {}
    for part, pairs in found.items():
        files = Pairs(pairs, len(names), ignore, common, resize=wanted is not None)
        parts[part] = [files[i] for i in range(len(files))] if in_memory else files
    if "all" in parts:
        parts["train"], parts["test"] = hold_out(parts["all"], test, seed)
    return DataSet(
        name="folder",
        train=parts["train"],
        test=parts["test"],
        validation=parts.get("validation"),
        classes=names,
        ignore_index=ignore,
        source=str(folder),
    )


@dataclass(frozen=True)
class Pairs:
    """Pictures and label maps that are read when they are asked for.

    Args:
        files: (picture, label map) of each sample.
        classes: how many; labels must lie below, or be `ignore`.
        ignore: the ignore index, or None.
        size: (height, width) of every sample.
        resize: bring every file to that size, or demand that it has it.
    """

    files: Sequence[tuple[Path, Path]]
    classes: int
    ignore: int | None
    size: Size
    resize: bool

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        picture_file, label_file = self.files[index]
        picture, label = read_picture(picture_file), read_label_map(label_file)
        if picture.shape[1:] != label.shape:
            raise LavasegError(
                f"{picture_file} is {_text(picture.shape[1:])} and its label map {label_file} is "
                f"{_text(label.shape)} (height x width): they must be equal"
            )
        if not self.resize and label.shape != self.size:
            raise LavasegError(
                f"{picture_file} is {_text(label.shape)}, the first picture {_text(self.size)} "
                "(height x width): set the data option 'size' to resize them"
            )
        strange = np.setdiff1d(label[label >= self.classes], [self.ignore])
        if strange.size:
            known = f"0 to {self.classes - 1}"
            raise LavasegError(
                f"label map {label_file} has the label {strange[0]}: expected {known}"
                + ("" if self.ignore is None else f", or {self.ignore} (ignored)")
            )
        return resize_picture(picture, self.size), resize_label_map(label, self.size)


def find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Pictures and label maps below `folder` with equal stems, sorted by stem.

    Raises:
        LavasegError: a sub-folder is missing or empty, or a file has no partner or two.
    """
    pictures = _by_stem(folder / "pictures", SUFFIXES)
    labels = _by_stem(folder / "labels", (".png",))
    for stem in sorted(pictures.keys() ^ labels.keys()):
        if stem in pictures:
            raise LavasegError(f"{pictures[stem]} has no label map {folder / 'labels' / stem}.png")
        raise LavasegError(f"label map {labels[stem]} has no picture in {folder / 'pictures'}")
    return [(pictures[stem], labels[stem]) for stem in sorted(pictures)]


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise LavasegError(f"there is no folder {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise LavasegError(f"{found[path.stem]} and {path} have the same stem")
            found[path.stem] = path
    if not found:
        raise LavasegError(f"{folder} holds no files that end in {', '.join(suffixes)}")
    return found


def _class_names(classes: int | Sequence[str]) -> tuple[str, ...]:
    if isinstance(classes, int):
        names = [f"class {k}" for k in range(classes)]
    else:
        names = [] if isinstance(classes, str) else [str(name) for name in classes]
    if not 2 <= len(names) <= 255 or len(set(names)) != len(names):
        raise LavasegError(
            "data option 'classes' must be 2 to 255 different names, or their number, got "
            f"{classes!r}"
        )
    return tuple(names)


def _size(size: int | Sequence[int] | None) -> Size | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(n, int) and n >= 1 for n in pair):
        raise LavasegError(
            f"data option 'size' must be one or two positive numbers (height, width), got {size!r}"
        )
    return pair[0], pair[1]


def _text(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
