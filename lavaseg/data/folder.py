"""A folder of pictures and label maps of one's own.

    ROOT/pictures/a.jpg  ROOT/labels/a.png     one part, from which a test part is held out, or
    ROOT/train/pictures/...  ROOT/train/labels/...  ROOT/test/...  [ROOT/validation/...]

A picture and its label map have the same stem; label maps are PNG files of class ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavaseg.data.base import DataSet, Samples
from lavaseg.data.pairs import Files, Pairs, pairs_in, preparation
from lavaseg.data.pictures import SUFFIXES
from lavaseg.data.split import hold_out
from lavaseg.errors import LavasegError


def load(
    root: str,
    classes: int | Sequence[str],
    ignore: int | None = None,
    size: int | Sequence[int] | None = None,
    test: float = 0.2,
    seed: int = 0,
    labels: str = "nearest",
    cache: float = 1.0,
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
        labels: how label maps are resized: nearest or, wrongly, bilinear.
        cache: gigabytes of samples kept in memory; what does not fit is read when it is used.

    Raises:
        LavasegError: an option out of range, or files without a partner. A file that is damaged
            is found when it is used; `lavaseg data check` reads them all.
    """
    names, found = files_and_names(root, "pictures", SUFFIXES, classes, ignore)
    prepared = preparation(size, labels, cache, next(iter(found.values())))
    parts: dict[str, Samples] = {
        part: Pairs(files, len(names), ignore, prepared) for part, files in found.items()
    }
    return data_set("folder", root, parts, names, ignore, test, seed)


def files_and_names(
    root: str,
    kind: str,
    endings: Sequence[str],
    classes: int | Sequence[str],
    ignore: int | None,
) -> tuple[tuple[str, ...], dict[str, Files]]:
    """Class names, and the files of each part of a folder ("all" if it has no parts).

    Args:
        kind: name of the folder beside `labels`.
        endings: what the names of files in it end in.

    Raises:
        LavasegError: an option out of range, no such folder, or files without a partner.
    """
    names = _class_names(classes)
    if ignore is not None and not (isinstance(ignore, int) and 0 <= ignore <= 255):
        raise LavasegError(f"data option 'ignore' must be a label from 0 to 255, got {ignore!r}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise LavasegError(f"there is no folder {folder}")
    inner = {p: folder / p for p in ("train", "test", "validation") if (folder / p).is_dir()}
    if inner and not {"train", "test"} <= set(inner):
        raise LavasegError(
            f"{folder} has a part {next(iter(inner))!r} and needs 'train' and 'test'"
        )
    return names, {
        part: pairs_in(path / kind, path / "labels", endings=endings)
        for part, path in (inner or {"all": folder}).items()
    }


def data_set(
    name: str,
    root: str,
    parts: dict[str, Samples],
    names: tuple[str, ...],
    ignore: int | None,
    test: float,
    seed: int,
) -> DataSet:
    """The parts of a folder as a data set; of "all", a test part is held out."""
    if not isinstance(seed, int) or seed < 0:
        raise LavasegError(f"data option 'seed' must be a whole number, 0 or more, got {seed!r}")
    if "all" in parts:
        parts["train"], parts["test"] = hold_out(parts["all"], test, seed)
    return DataSet(
        name=name,
        train=parts["train"],
        test=parts["test"],
        validation=parts.get("validation"),
        classes=names,
        ignore_index=ignore,
        source=str(Path(root).expanduser()),
    )


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
