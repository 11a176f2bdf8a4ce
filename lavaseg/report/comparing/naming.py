"""Names of runs that are compared: as short as tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as no other path shares.

    Args:
        paths: all different; a name of `net.net` alone says nothing, so its folder is named, too.
    """
    known = [path.resolve().parts for path in paths]
    return [_shortest(own, known) for own in known]


def _shortest(own: tuple[str, ...], known: Sequence[tuple[str, ...]]) -> str:
    first = 2 if Path(own[-1]).suffix and len(own) > 1 else 1
    for count in range(first, len(own) + 1):
        if sum(other[-count:] == own[-count:] for other in known) < 2:
            return Path(*own[-count:]).as_posix()
    return Path(*own).as_posix()
