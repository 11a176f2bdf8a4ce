"""Events as text: a line for each event, in columns and a unit of time that are said or judged.

Whole numbers stay whole, however large. What is not said is judged by the first lines, stated
(`TextFormat.remark`), and held against the rest of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lavaseg.data.sensors import agreed
from lavaseg.data.sound_events import Maker, SoundEvents
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.network import Size
from lavaseg.system.faults import one_line

UNITS = {
    "seconds": Decimal(10**6),
    "milliseconds": Decimal(10**3),
    "microseconds": Decimal(1),
    "nanoseconds": Decimal("0.001"),
}
"""Units of time, and how many microseconds each is."""

_PIECE = 2**16
"""Events that are read at once."""
_EXACT = 2**53
"""Below this, float64 holds every whole number."""
_LONGEST = 3600 * 10**6
"""Microseconds that the first events may take where the unit was judged."""
_LATEST = 10**17
"""Microseconds that a judged time may be: the year 5138 on Unix' clock."""
_TIME = re.compile(
    r"(?:t|ts|time|times|timestamp|timestamps)"
    r"[ _.]*[\[(]?(s|ms|us|µs|μs|ns|(?:m|u|n)?secs?|(?:milli|micro|nano)?seconds?)?[\])]?"
)
_SHORT = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_SHORT |= {"µs": "microseconds", "μs": "microseconds"}
for _letter, _unit in zip(("", "m", "u", "n"), UNITS, strict=True):
    _SHORT |= {f"{_letter}sec": _unit, f"{_letter}secs": _unit, _unit.removesuffix("s"): _unit}
_NAMES = {"x": "x", "col": "x", "column": "x", "y": "y", "row": "y"}
_NAMES |= dict.fromkeys(("p", "pol", "polarity", "polarities", "on"), "p")


@dataclass(frozen=True)
class TextFormat:
    """The meaning of the numbers in a line.

    Args:
        unit: of `UNITS`, or None: as the header row says; without one, seconds where times have
            a fraction, else microseconds.
        columns: "t", "x", "y" and "p" in their order, "-" for columns to leave out; or None: as
            the header row says; without one, t x y p.
        judged: nobody said the unit: the first lines did.
    """

    unit: str | None = None
    columns: tuple[str, ...] | None = None
    judged: bool = False

    @property
    def remark(self) -> str:
        """A sentence on a unit that was judged, else ''."""
        if not self.judged:
            return ""
        numbers = "times with a fraction" if self.unit == "seconds" else "whole numbers"
        return (
            f"{numbers} in text recordings were taken for {self.unit}; option unit says otherwise"
        )


def text_format(unit: Any = None, columns: Any = None) -> TextFormat:
    """A format from the options `unit` (s, ms, us, ns for short) and `columns` ("x y p t").

    Raises:
        LavasegError: an unknown unit, or columns without one of t, x, y and p.
    """
    unit = _SHORT.get(unit, unit) if isinstance(unit, str) else unit
    if unit is not None and (not isinstance(unit, str) or unit not in UNITS):
        raise LavasegError(f"data option 'unit' must be one of {', '.join(UNITS)}, got {unit!r}")
    if columns is None:
        return TextFormat(unit)
    names = [*columns.replace(",", "").replace(" ", "")] if isinstance(columns, str) else columns
    if not isinstance(names, (list, tuple)) or sorted(n for n in names if n != "-") != [*"ptxy"]:
        raise LavasegError(
            "data option 'columns' must name t, x, y and p in their order, such as 'x y p t', "
            f"with - for columns to leave out, got {columns!r}"
        )
    return TextFormat(unit, tuple(names))


def judged_format(path: Path, given: TextFormat) -> TextFormat:
    """The format that the first lines of a file show; LavasegError if they contradict `given`."""
    with _naming(path), path.open(encoding="utf-8-sig") as file:
        return _Reader(path, file, None, given).judge()


def read_text(
    path: Path, sensor: Size | None, make: Maker, *, given: TextFormat
) -> Iterator[Events | None]:
    """The events of a text file, in pieces; see `lavaseg.data.event_files`.

    Args:
        sensor: (height, width), or None: as the file says.
        make: makes the events; if it drops bad ones, it is told of lines that hold none.
        given: what is known of the format.
    """
    with _naming(path), path.open(encoding="utf-8-sig") as file:
        yield from _Reader(path, file, sensor, given).events(make)


def read_lines(
    file: TextIO, name: Path, sensor: Size | None, make: Maker, *, given: TextFormat, at_once: int
) -> Iterator[Events | None]:
    """As `read_text`, of text that is open already and may still grow.

    Args:
        name: what to call it.
        at_once: lines that are waited for before events are made of them.
    """
    with _naming(name):
        yield from _Reader(name, file, sensor, given).events(make, at_once)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of reading name the file."""
    try:
        yield
    except UnicodeDecodeError:
        raise LavasegError(f"{path} is no text file") from None
    except ValueError as error:
        raise LavasegError(
            f"{path} must hold a line 't x y p' for each event, separated by blanks or "
            "commas, or another order in the option columns: "
            + one_line(str(error).partition(";")[0])
        ) from None


class _Reader:
    """A text file whose head is read: comments, size of the sensor, names of columns.

    Args:
        path: for messages.
        file: its text, from the start.
        sensor: (height, width) that is asked for, or None.
        given: what is known of the format.
    """

    def __init__(self, path: Path, file: TextIO, sensor: Size | None, given: TextFormat) -> None:
        self.path, self.sensor, self.format = path, sensor, given
        self.own: Size | None = None
        self.lines = self._content(file)
        first = next(self.lines, "")
        if len(first.split()) == 2:
            width, height = map(int, first.split())
            self.own, first = (height, width), next(self.lines, "")
        if first and not any(_is_number(field) for field in first.split()):
            self._header(first, must=True)
            first = next(self.lines, "")
        self.lines = chain([first] if first else [], self.lines)

    def events(self, make: Maker, at_once: int = _PIECE) -> Iterator[Events | None]:
        size = agreed(self.path, self.own, self.sensor)
        while piece := list(islice(self.lines, at_once)):
            if isinstance(make, SoundEvents):
                lines = [line for line in piece if self._is_event(line)]
                make.drop(len(piece) - len(lines))
                piece = lines
            if piece:
                t, x, y, p = self._columns(piece)
                yield make(t, x, y, p > 0, size)

    def _is_event(self, line: str) -> bool:
        """Whether a line holds four numbers that can be those of an event."""
        order = self.format.columns or ("t", "x", "y", "p")
        fields = line.split()
        try:
            t, x, y, p = (float(fields[order.index(name)]) for name in "txyp")
        except (ValueError, IndexError):
            return False
        return (
            len(fields) == len(order)
            and abs(t) < 2**62
            and max(abs(x), abs(y)) < 2**15
            and x == int(x)
            and y == int(y)
            and p in (-1, 0, 1)
        )

    def judge(self) -> TextFormat:
        piece = [line for line in islice(self.lines, _PIECE) if self._is_event(line)]
        if piece:  # lines that are none are refused, or dropped, when the file is read
            self._columns(piece)
        return self.format

    def _content(self, file: TextIO) -> Iterator[str]:
        """Lines that are neither empty nor comments; what comments say is kept."""
        for number, line in enumerate(file):
            text = line.strip().replace(";", ",").rstrip(",")
            # empty fields keep their column
            if text[:1] == "," or ",," in text or ", ," in text:
                text = ",".join(field.strip() or "?" for field in text.split(","))
            text = text.replace(",", " ").strip()
            if not text:
                continue
            if text[0] not in "#%":
                yield text
            elif number < 100:
                self._comment(text.lstrip("#% "))

    def _comment(self, text: str) -> None:
        """The size of the sensor ("geometry:W,H", OpenEB), or the names of all columns."""
        found = re.fullmatch(r"geometry *:? *(\d+) *x? *(\d+)", text)
        if found:
            self.own = (int(found[2]), int(found[1]))
        else:
            self._header(text, must=False)

    def _header(self, text: str, *, must: bool) -> None:
        """The order of columns and the unit that a header row names.

        Raises:
            ValueError: `must`, and it does not name t, x, y and p, each once; or it contradicts
                the options.
        """
        text = re.sub(r"([A-Za-z]) +([\[(])", r"\1\2", text.lower())  # "t [us]" is one name
        columns, unit = [], None
        for name in (field.strip("\"'") for field in text.split()):
            time = _TIME.fullmatch(name)
            if time and time[1]:
                unit = _SHORT.get(time[1], time[1])
            columns.append("t" if time else _NAMES.get(name, "-"))
        if sorted(c for c in columns if c != "-") != [*"ptxy"]:
            if must and self.format.columns is None:
                raise ValueError(f"its header row is {text!r}, which does not name t, x, y and p")
            return
        if not must and "-" in columns:
            return  # a sentence, not a header
        for option, said, given in (
            ("columns", tuple(columns), self.format.columns),
            ("unit", unit, self.format.unit),
        ):
            if said and given and not self.format.judged and said != given:
                raise ValueError(f"its header row says {option} {said}, the option {given}")
        self.format = replace(self.format, columns=tuple(columns))
        if unit:
            self.format = replace(self.format, unit=unit, judged=False)

    def _columns(self, lines: Sequence[str]) -> tuple[np.ndarray, ...]:
        """t in microseconds, x, y and p of some lines."""
        order = self.format.columns or ("t", "x", "y", "p")
        place = [order.index(name) for name in "txyp"]
        digits = not any(mark in line for line in lines for mark in ".eE")
        width = len(lines[0].split())
        if width != len(order):
            raise ValueError(f"{width} numbers in a line")
        # without usecols, lines of other lengths are refused; with it, other columns may be words
        chosen = place if "-" in order else None
        table = np.loadtxt(lines, np.int64 if digits else np.float64, usecols=chosen, ndmin=2)
        table = table if chosen else table[:, place]
        t, x, y, p = table.T
        if not np.isfinite(table).all():
            raise ValueError("a number that is not finite")
        for name, values in (("x", x), ("y", y)):
            if (values != np.rint(values)).any():
                raise ValueError(f"{name} = {values[values != np.rint(values)][0]}")
        if not np.isin(p, (-1, 0, 1)).all():
            hint = ", give columns='x y p t'" if np.isin(y, (-1, 0, 1)).all() else ""
            raise ValueError("a polarity that is not 0, 1 or -1" + hint)
        for name, values, most in (("x", x, 2.0**31), ("y", y, 2.0**31), ("a time", t, 2.0**63)):
            if (np.abs(values.astype(float)) >= most).any():
                raise ValueError(f"{name} that is too large")
        whole = bool((t == np.rint(t)).all())
        self._judge(whole, t)
        texts = None
        if not digits and np.abs(t).max() * float(UNITS[self._unit]) >= _EXACT:
            texts = [line.split()[place[0]] for line in lines]
        return _microseconds(t, self._unit, texts), x.astype(int), y.astype(int), p

    @property
    def _unit(self) -> str:
        assert self.format.unit is not None
        return self.format.unit

    def _judge(self, whole: bool, t: np.ndarray) -> None:
        """Chooses the unit if nobody said it, and holds a judged one against these times."""
        if self.format.unit is None:
            unit = "microseconds" if whole else "seconds"
            self.format = replace(self.format, unit=unit, judged=True)
        if not self.format.judged:
            return
        remedy = f"give the option unit ({', '.join(UNITS)})"
        if not whole and self._unit == "microseconds":
            raise LavasegError(
                f"{self.path} has times with a fraction after whole numbers that were taken for "
                f"microseconds: {remedy}"
            )
        if whole and self._unit == "seconds" and len(np.unique(t)) > 1:
            raise LavasegError(
                f"{self.path} has whole numbers as times after times with a fraction that were "
                f"taken for seconds: {remedy}"
            )
        factor = float(UNITS[self._unit])
        long = (float(t[-1]) - float(t[0])) * factor > _LONGEST
        if long or np.abs(t).max() * factor > _LATEST:
            seconds = (float(t[-1]) - float(t[0])) * factor / 1e6
            raise LavasegError(
                f"{self.path} does not say the unit of its times: were they {self._unit}, its "
                f"first {len(t)} events would start at {float(t[0]) * factor / 1e6:.6g} s and "
                f"take {seconds:.6g} s; {remedy}"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _microseconds(t: np.ndarray, unit: str, texts: Sequence[str] | None) -> np.ndarray:
    """Times in whole microseconds, rounded to the nearest.

    Args:
        t: int64, or float64 that hold the times exactly enough.
        texts: the times as written, where float64 would not.

    Raises:
        ValueError: a time that 64 bits do not hold.
    """
    factor = UNITS[unit]
    if texts is not None:
        try:
            found = [
                int((Decimal(text) * factor).quantize(Decimal(1), ROUND_HALF_UP)) for text in texts
            ]
            return np.array(found, np.int64)
        except (InvalidOperation, OverflowError):
            raise ValueError("a time that 64 bits do not hold") from None
    if t.dtype != np.int64:
        return np.rint(t * float(factor) if unit != "nanoseconds" else t / 1000).astype(np.int64)
    if unit == "nanoseconds":
        return t // 1000 + (t % 1000 >= 500)
    if np.abs(t.astype(float)).max() * float(factor) >= 2.0**62:
        raise ValueError("a time that 64 bits do not hold")
    return t * int(factor)
