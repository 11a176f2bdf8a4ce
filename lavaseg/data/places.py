"""Where the files of data sets lie."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lavaseg.errors import LavasegError

ENVIRONMENT = "LAVASEG_DATA"
"""Environment variable that names the folder of data sets."""


def folders(root: str | None) -> list[Path]:
    """Where to look: `root` alone if given; else the folder LAVASEG_DATA names, and ./data."""
    if root is not None:
        return [Path(root).expanduser()]
    named = os.environ.get(ENVIRONMENT)
    return [*([Path(named).expanduser()] if named else []), Path("data")]


def find(root: str | None, names: Iterable[str]) -> Path | None:
    """The first of `names` that exists in one of `folders(root)`; '' is the folder itself."""
    names = list(names)
    return next((f / name for f in folders(root) for name in names if (f / name).exists()), None)


def missing(what: str, root: str | None, put: str) -> LavasegError:
    """The error for files that are not there: `put` says what to fetch and where to put it."""
    places = " or ".join(str(folder) for folder in folders(root))
    return LavasegError(
        f"{what} not found in {places}: {put} (the data option 'root' or {ENVIRONMENT} names the "
        "folder)"
    )
