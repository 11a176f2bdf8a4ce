"""Files of a folder and of all folders below it, links included, each once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lavaseg.data.pictures import is_own_output
from lavaseg.errors import LavasegError
from lavaseg.system.words import counted


@dataclass(frozen=True)
class Found:
    """The files of a folder.

    Args:
        files: in the order of their paths.
        remark: what was left out, or ''.
    """

    files: tuple[Path, ...]
    remark: str = ""


def files_below(folder: Path, suffixes: Sequence[str], what: str) -> Found:
    """The files of a folder, and of those below it, that are inputs.

    Names that begin with a dot are passed over; a folder that is reached twice, as through a link
    that leads back, is walked once. Label maps and overlays that lavaseg wrote are left out.

    Args:
        suffixes: of their names, in lower case.
        what: what they are, in the plural.

    Raises:
        LavasegError: there are none, or the folder cannot be read.
    """
    files = [path for path in walked(folder) if path.suffix.lower() in suffixes]
    if not files:
        raise LavasegError(f"folder {folder} has no {what} ({', '.join(suffixes)})")
    taken = tuple(file for file in files if not is_own_output(file))
    if not taken:
        raise LavasegError(
            f"folder {folder} has no {what} but label maps and overlays that lavaseg wrote"
        )
    left = len(files) - len(taken)
    if not left:
        return Found(taken)
    return Found(taken, f"left out: {counted(left, 'picture')} that lavaseg wrote into {folder}")


def walked(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order of their paths."""
    seen: set[tuple[int, int]] = set()
    for at, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        state = os.stat(at)
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(at, name) for name in sorted(names) if not name.startswith("."))


def _refuse(error: OSError) -> None:
    raise LavasegError(f"folder {error.filename} cannot be read: {error.strerror}") from None


def name_below(file: Path, folder: Path) -> str:
    """The name of a file's outputs: its path below the folder, without the ending."""
    return file.relative_to(folder).with_suffix("").as_posix()
