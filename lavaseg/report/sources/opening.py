"""Opens what a user gives as sources of figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.report.sources.base import Source
from lavaseg.report.sources.networks import NetSource, RunSource
from lavaseg.report.sources.recorded import RecordedSource
from lavaseg.results.recording import Recording
from lavaseg.runs import Run
from lavaseg.system.words import meant_path

Given: TypeAlias = "Run | IntegerNetwork | Recording | str | Path"
"""What a figure can be made of."""


def open_sources(given: object, titles: Sequence[str] = ()) -> list[Source]:
    """Sources of what a user gives: one or several runs, networks, recordings, or their paths.

    Args:
        titles: how legends call them; by default by their paths.

    Raises:
        LavasegError: none, nothing of that name, or a file of another kind; as many titles as
            there are not sources.
    """
    single = isinstance(given, (str, Path, Run, IntegerNetwork, Recording))
    items: list[Any] = [given] if single else list(given)  # type: ignore[call-overload]
    if not items:
        raise LavasegError("there is nothing to plot: give a run, a .net file or a recording")
    if titles and len(titles) != len(items):
        raise LavasegError(f"{len(titles)} titles were given for {len(items)} sources")
    found = [_open(item, number) for number, item in enumerate(items)]
    for source, title in zip(found, titles, strict=False):
        source.title = title
    return found


def _open(item: Any, number: int) -> Source:
    if isinstance(item, Run):
        return RunSource(item)
    if isinstance(item, IntegerNetwork):
        return NetSource(item, f"network {number + 1}")
    if isinstance(item, Recording):
        return RecordedSource(item, f"recording {number + 1}")
    path = Path(item)
    if not path.exists():
        made = ": `lavaseg train`, `export` and `record` make them"
        raise LavasegError(
            f"there is no run folder, .net file or recording {path}{meant_path(path) or made}"
        )
    if path.is_dir():
        return RunSource(Run.open(path))
    if path.suffix.lower() == ".npz":
        return RecordedSource(Recording.load(path), str(path))
    from lavaseg.netx import read

    return NetSource(read(path), str(path), Run.of_net(path))
