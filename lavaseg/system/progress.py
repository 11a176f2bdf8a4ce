"""One progress bar for everything that takes over a second, at the terminal and in notebooks."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lavaseg.system.wrapping import flowing

Item = TypeVar("Item")


class Report(Protocol):
    """Called with what is done, how much there is, and, of a bar that is `noted`, what to note."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


_PERIOD = 0.2
"""Seconds between two pictures of a bar in a notebook."""


@contextmanager
def bar(title: str, *, show: bool = True, noted: bool = False) -> Iterator[Report]:
    """A progress bar on stderr, or in the output of a notebook's cell, which is gone at the end.

    Args:
        noted: notes stand in it, in place of the time that is left.

    Yields:
        A function to call with (done, total), and with a note.
    """
    console = Console(stderr=True)
    if show and console.is_jupyter:
        with _cell_bar(title, noted) as report:
            yield report
        return
    with _progress(console, noted, disable=not (show and console.is_terminal)) as view:
        task = view.add_task(title, total=None, note="")

        def report(done: int, total: int, note: str = "") -> None:
            view.update(task, completed=done, total=total, note=note)

        yield report


def track(items: Iterable[Item], title: str, *, show: bool = True) -> Iterator[Item]:
    """Iterate over a sized iterable with a progress bar."""
    total = len(items)  # type: ignore[arg-type]
    with bar(title, show=show) as report:
        report(0, total)
        for done, item in enumerate(items, 1):
            yield item
            report(done, total)


def line(text: str) -> None:
    """One line that stays, on stderr; in a notebook on stdout, where it looks like no error."""
    console = Console(stderr=True)
    if console.is_jupyter:
        print(text)
    else:
        if console.is_terminal:
            text = flowing(text, console.width)
        console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


_NOTE = 56
"""Columns that are left to the title of a bar and to all that stands behind it, with a note."""


def _progress(console: Console, noted: bool = False, *, disable: bool = False) -> Progress:
    room = console.width - _NOTE
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(min(40, max(8, room)) if noted else 40),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False) if noted else TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=disable)


@contextmanager
def _cell_bar(title: str, noted: bool) -> Iterator[Report]:
    """The progress bar as one output of a notebook's cell, which is drawn anew at each change.

    Rich draws into a widget, which needs a package and a front end that has it; a display with
    a number of its own is what every front end can draw anew.
    """
    from IPython.display import display

    console = Console(file=io.StringIO(), force_jupyter=False, no_color=True, width=80)
    view = _progress(console, noted)
    task = view.add_task(title, total=None, note="")

    def picture() -> dict[str, str]:
        with console.capture() as capture:
            console.print(view)
        return {"text/plain": capture.get().rstrip()}

    handle = display(picture(), raw=True, display_id=True)
    drawn = -math.inf

    def report(done: int, total: int, note: str = "") -> None:
        nonlocal drawn
        view.update(task, completed=done, total=total, note=note)
        if time.monotonic() - drawn > _PERIOD:
            handle.update(picture(), raw=True)
            drawn = time.monotonic()

    try:
        yield report
    finally:
        handle.update({"text/html": ""}, raw=True)
