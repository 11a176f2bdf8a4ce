"""One progress bar for everything that takes over a second, at the terminal and in notebooks."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from lavaseg.system.styles import terminal
from lavaseg.system.verbosity import is_quiet
from lavaseg.system.wrapping import flowing

Item = TypeVar("Item")


class Report(Protocol):
    """Called with what is done, how much there is, and, of a bar that is `noted`, what to note."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


_DRAWN: ContextVar[Console | None] = ContextVar("drawn", default=None)
"""Where a bar is drawn at the moment: lines go above it."""
_PERIOD = 0.2
"""Seconds between two pictures of a bar in a notebook."""
_SHORTEST, _LONGEST = 8, 40
"""Columns of the bar itself."""
_NUMBERS = 24
"""Columns that are left to what stands behind it: 1234/5678 and 0:12:34."""
_NOTE = 44
"""The same with a note: 1234/5678 and loss 10.1234  59 min 59 s to go."""


@contextmanager
def bar(
    title: str, *, show: bool = True, keep: bool = True, noted: bool = False
) -> Iterator[Report]:
    """A progress bar on stderr, or in the output of a notebook's cell.

    At a terminal it is gone at the end. A file or a pipe gets none.

    Args:
        keep: whether a notebook keeps it as it was at the end, with the time that it took.
        noted: notes stand in it, in place of the time that is left.

    Yields:
        A function to call with (done, total), and with a note.
    """
    console = terminal(stderr=True)
    show = show and not is_quiet()
    if show and console.is_jupyter:
        with _cell_bar(title, keep, noted) as report:
            yield report
        return
    shown = show and _redraws(console)
    before = _DRAWN.get()
    _DRAWN.set(console if shown else before)
    try:
        with _progress(console, title, noted, disable=not shown) as view:
            task = view.add_task(title, total=None, note="")
            yield lambda done, total, note="": view.update(
                task, completed=done, total=total, note=note
            )
    finally:
        _DRAWN.set(before)


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
    if is_quiet():
        return
    console = _DRAWN.get() or terminal(stderr=True)
    if console.is_jupyter:
        print(text)
    else:
        text = flowing(text, console.width) if console.is_terminal else text
        console.print(text, markup=False, emoji=False, soft_wrap=True)


def _redraws(console: Console) -> bool:
    """Whether lines can be drawn anew; a log cannot, even where it is to be in colours."""
    return console.file.isatty() and not console.is_dumb_terminal


def _progress(
    console: Console, title: str, noted: bool = False, *, disable: bool = False
) -> Progress:
    room = console.width - cell_len(title) - (_NOTE if noted else _NUMBERS)
    whole = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(min(_LONGEST, max(_SHORTEST, room))),
        MofNCompleteColumn(table_column=whole),
        TextColumn("{task.fields[note]}", markup=False, table_column=whole)
        if noted
        else TimeRemainingColumn(elapsed_when_finished=True, table_column=whole),
    )
    return Progress(*columns, console=console, transient=True, disable=disable)


@contextmanager
def _cell_bar(title: str, keep: bool, noted: bool) -> Iterator[Report]:
    """The progress bar as one output of a notebook's cell, which is drawn anew at each change.

    Rich draws into a widget, which needs a package and a front end that has it; a display with
    a number of its own is what every front end can draw anew.
    """
    from IPython.display import display

    console = Console(file=io.StringIO(), force_jupyter=False, no_color=True, width=80)
    view = _progress(console, title, noted)
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
        counted = view.tasks[0].total is not None  # of what has no parts there is nothing to keep
        handle.update(picture() if keep and counted else {"text/html": ""}, raw=True)
