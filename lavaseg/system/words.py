"""Words in sentences: "1 sample", "95.30%", and the name that was probably meant."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things: '1 sample', '2,000 samples'.

    Args:
        noun: in the singular.
        plural: by default with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def percent(fraction: float, digits: int = 2) -> str:
    """A fraction in percent, '95.30%'; '-' where there is no number, such as of nothing."""
    return f"{fraction:.{digits}%}" if math.isfinite(fraction) else "-"


def call(*words: object) -> str:
    """A call of lavaseg as a shell takes it: "lavaseg export 'my run'"."""
    return shlex.join(["lavaseg", *map(str, words)])


def command(*words: object) -> str:
    """The same in a sentence: "`lavaseg export 'my run'`"."""
    return f"`{call(*words)}`"


def several(names: Sequence[str], most: int) -> str:
    """The first few names, and how many more there are: 'a, b and 3 more'."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shortened(name: str, most: int) -> str:
    """A name, its middle left out where it has more than `most` letters."""
    if len(name) <= most:
        return name
    return f"{name[: most // 2 - 1]}…{name[-(most - most // 2) :]}"


def duration(seconds: float) -> str:
    """A time in two units at most: '0.031 s', '3.2 s', '47 s', '2 min 10 s', '1 h 5 min'."""
    if seconds < 99.5:
        return f"{seconds:.2g} s" if 0.0005 < seconds < 9.95 else f"{seconds:.0f} s"
    for size, unit, part, lesser in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        large, rest = divmod(round(seconds / part), size // part)
        if large:
            return f"{large} {unit}" + (f" {rest} {lesser}" if rest else "")
    raise AssertionError("a minute is the smallest of these units")


_MOST = 3
"""Names that one question offers."""
_MOST_FILES = 2000
"""Files of a folder that a name is compared with."""
_ALIKE, _ALIKE_SHORT = 0.7, 0.6
"""Ratio of difflib that names reach which are close; of three letters, two are enough."""
_BEGUN = 3
"""Letters of a word that may be the beginning of a longer one."""


def meant(word: str, known: Iterable[str]) -> str:
    """What follows a sentence on a word that is not known: a question, if some word is close.

    Args:
        known: the words that there are.
    """
    words = [repr(name) for name in _close(word, known)]
    return f": did you mean {' or '.join(words)}?" if words else ""


def _close(word: str, known: Iterable[str]) -> list[str]:
    """The names, of those that are known, that a word may stand for."""
    by_case = {str(name).lower(): str(name) for name in known}
    alike = _ALIKE if len(word) > _BEGUN else _ALIKE_SHORT
    close = get_close_matches(word.lower(), [*by_case], _MOST, alike)
    if len(word) >= _BEGUN:
        close += [name for name in by_case if name.startswith(word.lower()) and name not in close]
    return [by_case[name] for name in close[:_MOST]]


def meant_path(path: Path) -> str:
    """As `meant`, of a path where nothing is: something beside it, or a folder above, is close."""
    missing = [part for part in (path, *path.parents) if not part.exists()]
    if not missing or missing[-1].is_symlink():  # a link that leads nowhere is what was meant
        return ""
    first = missing[-1]
    below = path.relative_to(first)
    try:
        entries = islice(first.parent.iterdir(), _MOST_FILES)
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return ""
    close = [first.with_name(name) / below for name in _close(first.name, names)]
    words = [repr(str(there)) for there in close if there.exists()]
    return f": did you mean {' or '.join(words)}?" if words else ""


def or_like(word: str, known: Iterable[str], lead: str = "there are") -> str:
    """As `meant`; where no word is close, all of them behind `lead`."""
    choices = [str(name) for name in known]
    return meant(word, choices) or f"; {lead} {', '.join(choices)}"
