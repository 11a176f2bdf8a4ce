"""Files of two folders that belong together: a picture or recording, and its label map."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lavaseg.data.pictures import SUFFIXES
from lavaseg.errors import LavasegError
from lavaseg.system.words import meant_path

LABEL_ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".gif")
"""File names of label maps: formats without loss."""
_WORDS: tuple[str, ...] = (
    *("mask", "masks", "label", "labels", "gt", "seg", "segmentation", "annotation"),
    *("labelIds", "labelTrainIds", "gtFine_labelIds", "gtFine_labelTrainIds", "gtCoarse_labelIds"),
)
LABEL_SUFFIXES = tuple(
    mark + form
    for word in _WORDS
    for form in dict.fromkeys((word, word.capitalize(), word.upper()))
    for mark in ("_", "-", ".")
)
"""What label maps' stems have behind those of their pictures, as tools write them."""
PICTURE_SUFFIXES = ("", "_leftImg8bit", "_image", "_img", "_rgb", "_sat")
"""What pictures' stems have that those of their label maps lack."""
_SHOWN = 3
"""Files that a message names."""


@dataclass(frozen=True)
class Pairing:
    """Pairs of two folders.

    Args:
        files: (picture or recording, label map), sorted by stem.
        remarks: how they were paired if not by equal stems, and which files were left out.
    """

    files: list[tuple[Path, Path]]
    remarks: tuple[str, ...] = ()


def pairs_in(
    pictures: Path, labels: Path, *, suffix: str = "", endings: Sequence[str] = SUFFIXES
) -> list[tuple[Path, Path]]:
    """Files and label maps (PNG) of two folders with equal stems, sorted by stem.

    Args:
        suffix: follows the picture's stem in the label map's ("_L" in CamVid's raw release).
        endings: what pictures' names end in.

    Raises:
        LavasegError: a folder is missing or empty, or files have no partner or two.
    """
    found, maps = _by_stem(pictures, endings), _by_stem(labels, (".png",))
    return _matched(pictures, labels, found, _without(maps, suffix))


def paired(pictures: Path, labels: Path, *, suffix: str | None, endings: Sequence[str]) -> Pairing:
    """Files and label maps, in any lossless format, of two folders.

    Args:
        suffix: follows the picture's stem in the label map's; other label maps are left out.
            None: nothing, or the one of `LABEL_SUFFIXES` with which every file has a partner.
        endings: what names in `pictures` end in.

    Raises:
        LavasegError: a folder is missing or empty, or files have no partner or two.
    """
    found, maps = _by_stem(pictures, endings), _by_stem(labels, LABEL_ENDINGS)
    remarks = [_left_out(pictures, endings), _left_out(labels, LABEL_ENDINGS)]
    usual = (s for s in ("", *LABEL_SUFFIXES) if next(iter(maps)).endswith(s))
    behind = tuple(usual) if suffix is None else (suffix,)
    for before in PICTURE_SUFFIXES:
        shortened = _shortened(found, before)
        for after in behind:
            chosen = _without(maps, after)
            complete = shortened.keys() == chosen.keys()
            if complete and (suffix is not None or len(chosen) == len(maps)):
                if suffix is None and (before or after):
                    remarks.append(
                        f"label maps are those of the same stem, but for {after!r} behind it"
                        + (f" and {before!r} behind the picture's" if before else "")
                    )
                if suffix is not None and len(chosen) < len(maps):
                    remarks.append(
                        f"{len(maps) - len(chosen):,} label maps in {labels} were left out, "
                        f"their stems do not end in {suffix!r}"
                    )
                files = [(shortened[stem], chosen[stem]) for stem in sorted(chosen)]
                return Pairing(files, tuple(filter(None, remarks)))
    hint = _hint(found, maps) if suffix is None else ""
    return Pairing(_matched(pictures, labels, found, _without(maps, suffix or ""), hint))


def _without(maps: dict[str, Path], suffix: str) -> dict[str, Path]:
    """Files by their stems without a suffix, those that have it."""
    if not suffix:
        return maps
    return {s.removesuffix(suffix): path for s, path in maps.items() if s.endswith(suffix)}


def _shortened(found: dict[str, Path], suffix: str) -> dict[str, Path]:
    """Files by their stems without a suffix; nothing where two would become one."""
    short = {stem.removesuffix(suffix): path for stem, path in found.items()}
    return short if len(short) == len(found) else {}


def _matched(
    pictures: Path, labels: Path, found: dict[str, Path], maps: dict[str, Path], hint: str = ""
) -> list[tuple[Path, Path]]:
    """The pairs of equal stems; LavasegError, which ends with a hint, if a file has no partner."""
    without_map = sorted(found.keys() - maps.keys())
    without_picture = sorted(maps.keys() - found.keys())
    lonely = _few([f"{found[s]} has no label map in {labels}" for s in without_map])
    lonely += _few([f"label map {maps[s]} has no picture in {pictures}" for s in without_picture])
    if lonely:
        raise LavasegError("; ".join([*lonely, hint] if hint else lonely))
    return [(found[stem], maps[stem]) for stem in sorted(found)]


def _few(items: Sequence[str]) -> list[str]:
    """The first items, and how many more there are."""
    more = len(items) - _SHOWN
    return [*items[:_SHOWN], *([f"and {more:,} more such files"] if more > 0 else [])]


def _hint(found: Iterable[str], maps: Iterable[str]) -> str:
    """The suffix that label maps of most pictures have, as an option to give, or ''."""
    pictures, label_stems = set(found), sorted(maps)
    counts: Counter[str] = Counter()
    for stem in label_stems:
        for end in range(len(stem) - 1, 0, -1):
            if stem[:end] in pictures:
                counts[stem[end:]] += 1
                break
    return f"give the data option label_suffix={counts.most_common(1)[0][0]}" if counts else ""


def _left_out(folder: Path, endings: Sequence[str]) -> str:
    """A sentence on the files of a folder that are not read, or ''."""
    others = Counter(
        path.suffix.lower() or path.name
        for path in folder.iterdir()
        if path.suffix.lower() not in endings and not path.name.startswith(".")
    )
    if not others:
        return ""
    kinds = ", ".join(sorted(others)[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
    return f"{others.total():,} other files in {folder} were left out ({kinds})"


def _beside(folder: Path) -> str:
    """The folders beside one that is missing, the end of a sentence, or ''."""
    found = sorted(p.name for p in folder.parent.glob("[!.]*") if p.is_dir())
    if not found:
        return ""
    more = ", ..." if len(found) > _SHOWN else ""
    return f"; {folder.parent} holds {', '.join(found[:_SHOWN])}{more}"


def _by_stem(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Files by their stems, in composed Unicode: some systems write names decomposed."""
    if not folder.is_dir():
        raise LavasegError(f"there is no folder {folder}{meant_path(folder) or _beside(folder)}")
    found: dict[str, Path] = {}
    others = 0
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix.lower() not in endings:
            others += 1
            continue
        stem = unicodedata.normalize("NFC", path.stem)
        if stem in found:
            raise LavasegError(f"{found[stem]} and {path} have the same stem")
        found[stem] = path
    if not found:
        raise LavasegError(
            f"{folder} holds no files that end in {', '.join(endings)}"
            + (f", but {others:,} others" if others else "")
        )
    return found
