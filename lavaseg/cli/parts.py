"""Tables at the terminal whose words, names and numbers are never broken.

A table that a terminal has no room for comes in parts, each with the labels of its rows, or, where
it holds sentences, as one paragraph a row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from lavaseg.system.styles import ACCENT, terminal
from lavaseg.system.wrapping import filled

NONE = "-"
"""A cell that has nothing."""
LABEL = 30
"""The widest that a label is without being broken between words."""
_EDGES = 2
"""Columns of a terminal at the edges of a table."""
_USUAL, _TIGHT = 3, 1
"""Blanks between two columns."""
Rows = Sequence[Sequence[str]]


def show_table(
    columns: Sequence[str],
    rows: Rows,
    width: int,
    *,
    labels: int = 1,
    whole: Collection[str] = (),
    tight: bool = False,
    say: Callable[[str], None],
) -> None:
    """A table on stdout.

    Args:
        columns: their headings; those of numbers begin with '>'.
        width: columns of the terminal.
        labels: how many columns, from the left, say what a row is.
        whole: columns whose cells are on one line, besides those of numbers.
        tight: one blank between columns.
        say: prints a line that is no table.
    """
    fixed = [c.startswith(">") or c in whole for c in columns]
    needs = [_least(c, [row[i] for row in rows], fixed[i]) for i, c in enumerate(columns)]
    between = _TIGHT if tight else _USUAL
    room = width - _EDGES + between
    if _taken(needs, range(len(needs)), between) > room and _has_sentences(rows, fixed, labels):
        for row in rows:
            _card(columns, row, width, say)
        return
    for part in _parts(needs, labels, room, between):
        left = room - _taken(needs, part, between)
        widths = _widths(columns, rows, part, needs, left)
        _print(columns, rows, part, widths, between, labels)


def _taken(needs: Sequence[int], part: Iterable[int], between: int) -> int:
    """Columns of a terminal that columns of a table take, blanks behind each included."""
    return sum(needs[i] + between for i in part)


def _least(heading: str, cells: Sequence[str], fixed: bool) -> int:
    """What a column needs: its longest word, or cell."""
    words = heading.removeprefix(">").split()
    for cell in cells:
        words += [cell] if fixed and cell_len(cell) <= LABEL else cell.split()
    return max(map(cell_len, words), default=0)


def _has_sentences(rows: Rows, fixed: Sequence[bool], labels: int) -> bool:
    return any(
        cell_len(cell) > LABEL and " " in cell
        for row in rows
        for i, cell in enumerate(row)
        if i >= labels and not fixed[i]
    )


def _card(
    columns: Sequence[str], row: Sequence[str], width: int, say: Callable[[str], None]
) -> None:
    """A row as lines of its own: its first cell, and below it what the others say."""
    if not any(row):
        return
    say(row[0])
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell in ("", NONE):
            continue
        heading = " ".join(column.removeprefix(">").split())
        say(
            filled(
                f"{heading}: {cell}" if heading else cell,
                width - 1,
                first="    ",
                rest="      ",
            )
        )


def _parts(needs: Sequence[int], labels: int, room: int, between: int) -> list[list[int]]:
    """Columns of each part, all of which begin with the labels."""
    head = list(range(labels))
    parts = [list(head)]
    for column in range(labels, len(needs)):
        taken = _taken(needs, [*parts[-1], column], between)
        if taken > room and len(parts[-1]) > labels:
            parts.append(list(head))
        parts[-1].append(column)
    return parts


def _widths(
    columns: Sequence[str], rows: Rows, part: Sequence[int], needs: Sequence[int], left: int
) -> dict[int, int]:
    """Width of each column: room that is left goes to those that would be broken most."""
    wanted = {
        i: max(map(cell_len, chain(columns[i].removeprefix(">").split("\n"), (r[i] for r in rows))))
        for i in part
    }
    widths = {i: needs[i] for i in part}
    while left > 0:
        most = max(part, key=lambda i: wanted[i] / max(1, widths[i]))
        if widths[most] >= wanted[most]:
            break
        widths[most] += 1
        left -= 1
    return widths


def _print(
    columns: Sequence[str],
    rows: Rows,
    part: Sequence[int],
    widths: dict[int, int],
    between: int,
    labels: int,
) -> None:
    """The columns of one part; of several parts, each leaves out rows that have nothing in it."""
    table = Table(
        header_style=ACCENT,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0 if between == _TIGHT else (0, 1),
    )
    for i in part:
        table.add_column(
            columns[i].removeprefix(">"),
            justify="right" if columns[i].startswith(">") else "left",
            width=widths[i],
            overflow="fold",
        )
    for row in rows:
        if len(part) == len(row) or any(row[i] != NONE for i in part[labels:]):
            table.add_row(*(Text(row[i]) for i in part))
    console = terminal()
    console.width = sum(widths.values()) + between * (len(part) - 1) + _EDGES
    console.print(table)
