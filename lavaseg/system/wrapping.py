"""Lines broken between words where a terminal has no room for them."""

from __future__ import annotations

import re
import textwrap

_KEY = re.compile(r" *\S+(?: \S+)*? {2,}")
"""What a line begins with that has a column of values behind it."""


def flowing(text: str, columns: int) -> str:
    """Lines that a terminal would break anywhere, broken between words, below their beginnings."""
    return "\n".join(_flowing(line, columns) for line in text.split("\n"))


def _flowing(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    key = _KEY.match(line)
    indent = key.end() if key is not None and key.end() <= columns // 3 else 2
    return textwrap.fill(
        line,
        columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
