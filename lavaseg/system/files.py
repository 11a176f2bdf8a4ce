"""Files and folders written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.system.faults import in_words, is_device, writing


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends without error.

    Raises:
        LavasegError: the folder does not exist or cannot be written, or a device is at `path`.
    """
    path = Path(path)
    if is_device(path):  # which a file must not replace
        raise LavasegError(f"{path} cannot be written: it is a pipe or a device, expected a file")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            yield part
            os.replace(part, path)
    except OSError as error:
        raise LavasegError(f"{path} cannot be written: {in_words(error)}") from None
    finally:
        with suppress(OSError):  # a folder that is a file has nothing to remove
            part.unlink()


def remove_parts(folder: Path) -> None:
    """Remove what writers of `replacing` that were killed have left in a folder and below it.

    No other host may be writing there: whether a writer lives is only known on this one.
    """
    for part in folder.rglob(".*.part"):
        pid = part.suffixes[-2][1:] if len(part.suffixes) > 1 else ""
        if pid.isdecimal() and part.is_file() and not _lives(int(pid)):
            with suppress(OSError):
                part.unlink()


def _lives(pid: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder beside `path`, which becomes `path` when the block ends without error.

    Raises:
        LavasegError: `path` exists and is no empty folder, or cannot be made.
    """
    target = Path(path).resolve()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    made = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        made = True
        yield part
        os.replace(part, target)  # takes the place of an empty folder, and of nothing else
    except OSError as error:
        raise LavasegError(f"folder {path} cannot be made: {in_words(error)}") from None
    finally:
        if made:
            shutil.rmtree(part, ignore_errors=True)


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a whole file: readers see the old content or the new, never a part."""
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def last_line(log: Path, begin: int = 0) -> str:
    """The last line of a log that says anything; "" if none does, or it cannot be read.

    Args:
        begin: bytes at its beginning that do not count.
    """
    try:
        lines = log.read_bytes()[begin:].decode("utf-8", "replace").splitlines()
    except OSError:  # it has not begun, or its file system is away
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
