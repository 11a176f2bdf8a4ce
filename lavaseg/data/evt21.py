"""Prophesee's EVT 2.1: words of 64 bits, each up to 32 neighbouring events of one polarity.

Source: docs.prophesee.ai, "EVT 2.1 Format", and OpenEB's `evt21_event_types.h`. The upper half of
a word has its type in bits 31 to 28. Of events (0 OFF, 1 ON), bits 27 to 22 are the lower 6 bits
of the time, 21 to 11 the column x and 10 to 0 the row; bit k of the lower half says that column
x + k has an event. Of the upper bits of the time (type 8), bits 27 to 0 are these. Cameras of the
generation of the IMX636 send the halves in the other order ("endianness=legacy" in the header).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lavaseg.data.sound_events import Maker
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.network import Size

_ON, _TIME = 1, 8
_KINDS = (0, _ON, _TIME, 0xA, 0xE, 0xF)
"""OFF, ON, upper bits of time, trigger, others, continued; the last three are no events."""
_CLOCK = 2**34
"""Microseconds after which the clock starts again at zero."""
_PIECE = 2**14
"""Words that are read at once."""


def read_words(
    path: Path, start: int, size: Size, legacy: bool | None, make: Maker = Events
) -> Iterator[Events | None]:
    """The events of a file, in pieces; those before the first time are dropped, as in OpenEB.

    Args:
        start: where the words begin, in bytes.
        size: (height, width) of the sensor.
        legacy: whether the halves of each word are swapped; None: as the words themselves say.
        make: makes the events.

    Raises:
        LavasegError: a word of a kind that the format does not have.
    """
    high, turns = -1, 0
    with path.open("rb") as file:
        file.seek(start)
        while content := file.read(8 * _PIECE):
            halves = np.frombuffer(content, "<u4").reshape(-1, 2)
            if legacy is None:
                legacy = _first_time(halves[:, 0]) < _first_time(halves[:, 1])
            head, valid = (halves if legacy else halves[:, ::-1]).T
            kind = head >> 28
            strange = ~np.isin(kind, _KINDS)
            if strange.any():
                raise LavasegError(
                    f"{path} is damaged: EVT 2.1 has no words of type {kind[strange.argmax()]}"
                )
            times = (head[kind == _TIME] & (2**28 - 1)).astype(np.int64)
            # the clock ran over where it falls by more than half of its range
            before = np.concatenate([[high if high >= 0 else 0], times])
            wraps = turns + np.cumsum(np.diff(before) < -(2**27))
            known = np.concatenate(
                [[high * 64 + turns * _CLOCK if high >= 0 else -1], times * 64 + wraps * _CLOCK]
            )
            current = known[np.cumsum(kind == _TIME)]
            if len(times):
                high, turns = int(times[-1]), int(wraps[-1])
            chosen = (kind <= _ON) & (current >= 0)
            if chosen.any():
                yield _unpacked(head[chosen], valid[chosen], current[chosen], size, make)


def _unpacked(
    head: np.ndarray, valid: np.ndarray, high: np.ndarray, size: Size, make: Maker
) -> Events | None:
    word, bit = np.nonzero(valid[:, None] >> np.arange(32, dtype=np.uint32) & 1)
    word_of = head[word].astype(np.int64)
    t = high[word] + (word_of >> 22 & 63)
    x, y = (word_of >> 11 & 2047) + bit, word_of & 2047
    span = (0, 0) if len(t) else (int(high[0]), int(high[-1]) + 64)  # words without any valid bit
    return make(t, x, y, word_of >> 28 == _ON, size, span)


def _first_time(head: np.ndarray) -> float:
    """Number of the first word that gives the time, if these halves have all the types."""
    kind = head >> 28
    found = np.flatnonzero(kind == _TIME)
    return float(found[0]) if len(found) and np.isin(kind, _KINDS).all() else np.inf
