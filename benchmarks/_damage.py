"""Damages files at random, and tells what their readers make of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.errors import LavasegError

LONGEST = 10
"""Seconds of computation that the reader of one small file may take."""
MOST_MEMORY = 2 * 2**30
"""Bytes by which the process may grow meanwhile."""
CANARY = "executed"
"""A file beside the damaged one that code in it would make, if a reader ran any."""

_HUGE = (0, 1, 127, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
_WORDS = (b"99999999999", b"-1", b"1e308", b"NaN", b"0", b"2147483648", b'"x"', b"null", b"[]")


@dataclass(frozen=True)
class Outcome:
    """What a reader did.

    Args:
        fault: why that was wrong, or "".
        refused: it raised a LavasegError.
        seconds: of computation.
        memory: bytes by which the process grew at most.
        fatal: its process crashed or hung.
    """

    fault: str = ""
    refused: bool = False
    seconds: float = 0.0
    memory: int = 0
    fatal: bool = False


def attempt(read: Callable[[Path], Any], path: Path) -> Outcome:
    """Read a file that may be damaged: a result, or one sentence that names it, is right."""
    before, fault, refused = _reset_peak(), "", False
    started = time.process_time()
    try:
        read(path)
    except LavasegError as error:
        refused, fault = True, _wrong_words(str(error), path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # panics of foreign libraries, and ends of the program, too
        fault = f"{type(error).__name__}: {error}"
    seconds, memory = time.process_time() - started, max(0, _status("VmHWM") - before)
    if not fault and seconds > LONGEST:
        fault = f"it took {seconds:.0f} s"
    if not fault and memory > MOST_MEMORY:
        fault = f"it took {memory / 2**30:.1f} GiB"
    if (path.parent / CANARY).exists():
        (path.parent / CANARY).unlink()
        fault = "code in the file was executed"
    return Outcome(fault, refused, seconds, memory)


def _wrong_words(sentence: str, path: Path) -> str:
    """Why a sentence does not help, or ""."""
    if path.name not in sentence and f"{path.parent} " not in sentence:
        return f"the file is not named: {sentence}"
    if "\n" in sentence or len(sentence) > 1_000:
        return f"it is no single sentence: {sentence[:2_000]}"
    if "more memory than there is" in sentence:
        return f"memory was asked for first, and on a larger machine given: {sentence}"
    return ""


def damaged(content: bytes, rng: np.random.Generator, others: Sequence[bytes] = ()) -> bytes:
    """`content` with one kind of damage, drawn from `rng`.

    It is cut off, has bits or bytes changed, a piece lost, doubled, replaced or zero, a number
    replaced by a huge one, something behind its end, or is the content of another file.
    """
    if not content:
        return b""
    found = bytearray(content)
    place, length = int(rng.integers(len(found))), int(rng.integers(1, 64))
    match int(rng.integers(10)):
        case 0:
            return bytes(found[:place])
        case 1:
            for at in rng.integers(len(found), size=int(rng.integers(1, 9))):
                found[at] ^= 1 << int(rng.integers(8))
        case 2:
            del found[place : place + length]
        case 3:
            found[place:place] = found[place : place + length]
        case 4:
            found[place : place + length] = rng.bytes(length)
        case 5:
            found[place : place + length] = bytes(len(found[place : place + length]))
        case 6 | 7:
            return _with_huge_number(found, rng)
        case 8:
            found += rng.bytes(length) if rng.integers(2) else content
        case _:
            if len(others):
                return others[int(rng.integers(len(others)))]
            return rng.bytes(len(found))
    return bytes(found)


def _with_huge_number(found: bytearray, rng: np.random.Generator) -> bytes:
    """A number in text, or a few bytes of a binary file, which is likely to be in its head."""
    words = list(re.finditer(rb"-?\d[\d.e+-]*", found))
    if words and rng.integers(2):
        chosen = words[int(rng.integers(len(words)))]
        found[slice(*chosen.span())] = _WORDS[int(rng.integers(len(_WORDS)))]
        return bytes(found)
    size = int(rng.choice([1, 2, 4, 8]))
    head = len(found) if rng.integers(2) else min(len(found), 256)
    place = int(rng.integers(head)) // size * size
    number = _HUGE[int(rng.integers(len(_HUGE)))] % 2 ** (8 * size)
    order = "little" if rng.integers(2) else "big"
    found[place : place + size] = number.to_bytes(size, order)
    return bytes(found)


def _reset_peak() -> int:
    """Begin to watch the process's peak memory anew, where the system can; bytes it has now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _status("VmHWM")
    return _status("VmRSS")


def _status(name: str) -> int:
    try:
        text = Path("/proc/self/status").read_text("utf-8")
    except OSError:  # only Linux says
        return 0
    return 1024 * int(text.partition(f"{name}:")[2].split()[0])
