"""Tables of many columns at the terminal: parts that fit, each with the labels of its rows."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lavaseg.cli.console import say
from lavaseg.cli.console import width as terminal_width

_BETWEEN = 3
"""Blanks that a column takes besides its width."""
NONE = "-"
"""A cell that has nothing."""
_LABEL = 30
"""The widest that a label is without being broken between words."""


def print_in_parts(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], labels: int
) -> None:
    """A table on stdout whose words and numbers are never broken, only its headings.

    Columns that a terminal has no room for follow in a further part, which leaves out the rows
    that have nothing in it.

    Args:
        columns: their headings; those of numbers begin with '>'.
        labels: how many columns, from the left, say what a row is.
    """
    console = Console(highlight=False)
    console.width = terminal_width()
    needs = [_least(columns[i], [row[i] for row in rows], i < labels) for i in range(len(columns))]
    say(title, "bold")
    for part in _parts(needs, labels, console.width - 1):
        console.print(_table(columns, rows, part, labels, needs, console.width - 1))


def _least(heading: str, cells: Sequence[str], label: bool) -> int:
    """What a column needs: the longest word of its heading, and cells, long labels by words."""
    words = heading.removeprefix(">").split()
    for cell in cells:
        words += cell.split() if label and len(cell) > _LABEL else [cell]
    long = label and any(len(cell) > _LABEL for cell in cells)
    return max([*map(len, words), _LABEL if long else 0])


def _parts(needs: Sequence[int], labels: int, width: int) -> list[list[int]]:
    """Columns of each part, all of which begin with the labels."""
    head = list(range(labels))
    parts = [list(head)]
    for column in range(labels, len(needs)):
        taken = sum(needs[i] + _BETWEEN for i in parts[-1])
        if taken + needs[column] + _BETWEEN > width and len(parts[-1]) > labels:
            parts.append(list(head))
        parts[-1].append(column)
    return parts


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    part: Sequence[int],
    labels: int,
    needs: Sequence[int],
    width: int,
) -> Table:
    """One part; what room is left goes to the headings, from the left."""
    left = max(width - sum(needs[i] + _BETWEEN for i in part), 0)
    table = Table(header_style="cyan", box=box.SIMPLE_HEAD, pad_edge=False)
    for i in part:
        heading = columns[i].removeprefix(">")
        more = min(left, max(len(heading) - needs[i], 0))
        left -= more
        table.add_column(
            heading,
            justify="right" if columns[i].startswith(">") else "left",
            width=needs[i] + more,
            overflow="fold",
        )
    for row in rows:
        if len(part) == len(row) or any(row[i] != NONE for i in part[labels:]):
            table.add_row(*(Text(row[i]) for i in part))
    return table
