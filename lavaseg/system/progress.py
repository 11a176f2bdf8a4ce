"""One progress bar for everything that takes over a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Report = Callable[[int, int], None]
"""Called with (done, total)."""


@contextmanager
def bar(title: str, *, show: bool = True) -> Iterator[Report]:
    """A progress bar on stderr, as a function to call with (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not show) as view:
        task = view.add_task(title, total=None)
        yield lambda done, total: view.update(task, completed=done, total=total)


def track(items: Iterable[Item], title: str, *, show: bool = True) -> Iterator[Item]:
    """Iterate over a sized iterable with a progress bar."""
    total = len(items)  # type: ignore[arg-type]
    with bar(title, show=show) as report:
        report(0, total)
        for done, item in enumerate(items, 1):
            yield item
            report(done, total)
