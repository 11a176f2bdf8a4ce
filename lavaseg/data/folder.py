"""A folder of pictures and label maps of one's own.

    ROOT/pictures/a.jpg  ROOT/labels/a.png     one part, from which a test part is held out, or
    ROOT/train/pictures/...  ROOT/train/labels/...  [ROOT/val/...]  [ROOT/test/...]

A picture and its label map have the same stem, or the label map's has a suffix such as `_mask`.
Label maps are files without loss (PNG, TIFF, BMP, GIF) of class ids, or of values or colours that
stand for classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lavaseg.data.base import DataSet, Samples
from lavaseg.data.label_classes import LabelClasses, label_classes
from lavaseg.data.pairing import paired
from lavaseg.data.pairs import Files, Pairs, preparation
from lavaseg.data.pictures import SUFFIXES, is_too_large
from lavaseg.data.split import hold_out
from lavaseg.errors import LavasegError
from lavaseg.system.words import counted, meant_path

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}
"""Folders that a part may have."""


def load(
    root: str,
    classes: int | Sequence[Any] | Mapping[Any, Any],
    ignore: int | Sequence[int] | str | None = None,
    size: int | Sequence[int] | None = None,
    test: float = 0.2,
    seed: int = 0,
    labels: str = "nearest",
    cache: float = 1.0,
    label_suffix: str | None = None,
    large: Literal["refuse", "skip"] = "refuse",
) -> DataSet:
    """A folder of pictures and label maps.

    Args:
        root: the folder, see above.
        classes: class names in the order of their ids, or how many there are; or a mapping of
            names to what stands for them in label maps, see `label_classes`.
        ignore: id of pixels that count neither in the loss nor in any metric; with a mapping,
            the value or colour that they have.
        size: (height, width), or one number for both, that everything is resized to: pictures
            bilinearly, labels to the nearest. None: all pictures must have the same size.
        test: part held out for test, where the folder has no test part.
        seed: of that split.
        labels: how label maps are resized: nearest or, wrongly, bilinear.
        cache: gigabytes of samples kept in memory; what does not fit is read when it is used.
        label_suffix: follows the picture's stem in the label map's, such as "_mask"; other label
            maps are left out. None: nothing, or a usual one with which every file has a partner.
        large: "skip" leaves out samples whose picture or label map has more pixels than can be
            read, and names them; "refuse" stops at the first one.

    Raises:
        LavasegError: an option out of range, files without a partner, or folders that are no
            part. A file that is damaged is found when it is used; `lavaseg data check` reads
            them all.
    """
    chosen = label_classes(classes, ignore)
    found = files_of(root, "pictures", SUFFIXES, label_suffix)
    if large == "skip":
        found = _without_large(found)
    prepared = preparation(size, labels, cache, next(iter(found.parts.values())))
    parts: dict[str, Samples] = {
        part: Pairs(files, len(chosen.names), chosen.ignore, prepared, chosen.read)
        for part, files in found.parts.items()
    }
    return data_set("folder", root, parts, chosen, test, seed, found.remarks)


@dataclass(frozen=True)
class FolderFiles:
    """The files of a folder.

    Args:
        parts: pairs of each part, or of "all" if there are no parts.
        remarks: which part is which folder, how files were paired, and what was left out.
    """

    parts: dict[str, Files]
    remarks: tuple[str, ...]


def _without_large(found: FolderFiles) -> FolderFiles:
    """The files whose pictures and label maps can be read, and a remark on the others.

    Raises:
        LavasegError: nothing is left of a part.
    """
    parts: dict[str, Files] = {}
    left_out: list[str] = []
    for part, files in found.parts.items():
        large = {pair for pair in files if any(is_too_large(file) for file in pair)}
        kept = [pair for pair in files if pair not in large]
        left_out += sorted(str(picture) for picture, _ in large)
        if not kept:
            raise LavasegError(f"every sample of the part {part!r} has too many pixels")
        parts[part] = kept
    if not left_out:
        return found
    names = ", ".join(left_out[:3]) + (", ..." if len(left_out) > 3 else "")
    remark = f"left out for too many pixels: {counted(len(left_out), 'sample')} ({names})"
    return FolderFiles(parts, (*found.remarks, remark))


def files_of(root: str, kind: str, endings: Sequence[str], label_suffix: str | None) -> FolderFiles:
    """The files of each part of a folder.

    Args:
        kind: name of the folder beside `labels`.
        endings: what the names of files in it end in.
        label_suffix: see `paired`.

    Raises:
        LavasegError: no such folder, a folder that is no part, or files without a partner.
    """
    if label_suffix is not None and not isinstance(label_suffix, str):
        raise LavasegError(f"data option 'label_suffix' must be text, got {label_suffix!r}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise LavasegError(f"there is no folder {folder}{meant_path(folder)}")
    inner, remarks = _part_folders(folder, kind)
    parts: dict[str, Files] = {}
    for part, path in (inner or {"all": folder}).items():
        pairing = paired(path / kind, path / "labels", suffix=label_suffix, endings=endings)
        parts[part] = pairing.files
        remarks += pairing.remarks
    return FolderFiles(parts, tuple(dict.fromkeys(remarks)))


def _part_folders(folder: Path, kind: str) -> tuple[dict[str, Path], list[str]]:
    """The folder of each part, none if there are no parts; and remarks.

    Raises:
        LavasegError: a folder that holds samples and is no part, two of one part, no train.
    """
    expected = f"expected {kind}/ and labels/, or these in train/, val/ and test/"
    part_of = {name: part for part, names in PARTS.items() for name in names}
    found: dict[str, Path] = {}
    others: list[Path] = []
    inside = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    for path in inside:
        part = part_of.get(path.name.lower())
        if part is None:
            others += [] if path.name in (kind, "labels") else [path]
        elif part in found:
            raise LavasegError(f"{found[part]} and {path} would both be the part {part!r}")
        else:
            found[part] = path
    for path in others:
        if (path / kind).is_dir() or (path / "labels").is_dir():
            raise LavasegError(f"{path} holds samples and is no part: {expected}")
    loose = [path for path in inside if path.name in (kind, "labels")]
    if found and loose:
        raise LavasegError(f"{loose[0]} lies beside {next(iter(found.values()))}: {expected}")
    if found and "train" not in found:
        raise LavasegError(
            f"{next(iter(found.values()))} is a part, and there is no train/ beside it"
        )
    remarks = [f"{', '.join(str(path) for path in others)} left out: {expected}"] if others else []
    if found:
        ordered = ", ".join(f"{part} from {found[part].name}/" for part in PARTS if part in found)
        remarks.insert(0, ordered)
    return {part: found[part] for part in PARTS if part in found}, remarks


def data_set(
    name: str,
    root: str,
    parts: dict[str, Samples],
    classes: LabelClasses,
    test: float,
    seed: int,
    remarks: Sequence[str],
) -> DataSet:
    """The parts of a folder as a data set; a test part that it lacks is held out of the rest."""
    if not isinstance(seed, int) or seed < 0:
        raise LavasegError(f"data option 'seed' must be a whole number, 0 or more, got {seed!r}")
    remarks = list(remarks)
    if "test" not in parts:
        whole = "all" if "all" in parts else "train"
        parts["train"], parts["test"] = hold_out(parts[whole], test, seed)
        of = "the samples" if whole == "all" else "train"
        remarks.append(f"test is held out of {of}: {len(parts['test'])} at random, seed {seed}")
    if classes.ignore is not None and classes.ignore < len(classes.names):
        remarks.append(
            f"pixels of {classes.names[classes.ignore]!r} do not count: its id is the option ignore"
        )
    if "validation" not in parts:
        remarks.append("validation is held out of train when a network is trained")
    return DataSet(
        name=name,
        train=parts["train"],
        test=parts["test"],
        validation=parts.get("validation"),
        classes=classes.names,
        ignore_index=classes.ignore,
        source=str(Path(root).expanduser()),
        remarks=tuple(remarks),
    )
