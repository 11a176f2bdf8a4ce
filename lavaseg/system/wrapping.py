"""Text in the columns of a terminal, where a sign may take two: broken between words alone."""

from __future__ import annotations

import re

from rich.cells import cell_len

_KEY = re.compile(r" *\S+(?: \S+)*? {2,}")
"""What a line begins with that has a column of values behind it."""
_PARTS = re.compile(r" +|[^ ]+")


def filled(text: str, columns: int, first: str = "", rest: str = "") -> str:
    """One line of text as lines of at most so many columns; a longer word is a line of its own.

    Args:
        first: what the first line begins with.
        rest: what the others begin with.
    """
    lines, line, gap, begun = [], first, "", False
    for part in _PARTS.findall(text):
        if part.isspace():
            gap = part
            continue
        if begun and cell_len(line) + cell_len(gap) + cell_len(part) > columns:
            lines.append(line)
            line, gap = rest, ""
        line, gap, begun = line + gap + part, "", True
    return "\n".join([*lines, line])


def flowing(text: str, columns: int) -> str:
    """Lines that a terminal would break anywhere, broken between words, below their beginnings."""
    return "\n".join(_flowing(line, columns) for line in text.split("\n"))


def _flowing(line: str, columns: int) -> str:
    if cell_len(line) <= columns:
        return line
    key = _KEY.match(line)
    start = 0 if key is None else cell_len(key.group())
    indent = start if 0 < start <= columns // 3 else 2
    return filled(line, columns, rest=" " * indent)
