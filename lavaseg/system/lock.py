"""A lock on a folder, so that two commands never write the same run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.system.files import remove_parts
from lavaseg.system.progress import line

NAME = ".lock"
"""The file that is locked; it stays in the folder. The system lets go when a process ends."""


class Held(LavasegError):
    """Another process holds the lock of a folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; on a file system that has no locks, say so and go on.

    Parts of files that killed processes have left there are removed.

    Raises:
        Held: another process holds it.
        LavasegError: the folder cannot be written.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows has no such locks
        yield
        return
    path = folder / NAME
    try:
        file = path.open("ab+", buffering=0)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EROFS):  # then nothing can be written there at all
            yield
            return
        raise LavasegError(f"{path} cannot be written: {error.strerror or error}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = (file.read(32) or b"").decode("ascii", "replace")
            who = f" (process {holder})" if holder.isdecimal() else ""
            raise Held(
                f"{folder} is being written by another command{who}: wait until it has ended, or "
                "give another folder"
            ) from None
        except OSError as error:
            line(
                f"{folder} cannot be locked ({error.strerror or error}): nothing keeps another "
                "command from writing there, too"
            )
        else:
            with suppress(OSError):  # it only names the process in messages
                file.truncate(0)
                file.write(str(os.getpid()).encode("ascii"))
            remove_parts(folder)
        yield
