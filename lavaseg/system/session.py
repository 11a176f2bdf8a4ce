"""Work in a process of its own that may be killed at any moment: nothing of it stays behind.

Who starts such a process gives it a temporary folder that is locked while its owner lives, and a
pipe as standard input, which closes when the owner dies.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_PREFIX = "lavaseg-job-"
"""How the names of temporary folders begin."""
_OWNED = ".owner"
"""The file in each that its owner keeps locked. The system lets go when a process ends."""
_NEW = ".owner-new"
"""That file's name until it is locked."""
_GONE = "-gone"
"""How the name of a folder ends that is being removed."""
_NAME = re.compile(f"{_PREFIX}([a-z0-9_]{{8}})({_GONE})?")
"""Names of temporary folders: 8 characters of `tempfile.mkdtemp`."""
_YOUNG = 600
"""Seconds for which a folder without that file is left alone: it may just be being made."""
_PR_SET_PDEATHSIG = 1


def shared_memory_prefix(folder: Path) -> str:
    """How the names of shared memory begin that belongs to a temporary folder.

    It follows from the folder's name, so that it can be removed when all that knew it are killed.
    """
    name = _NAME.fullmatch(folder.name)
    if name is None:
        raise ValueError(f"{folder} is no temporary folder of a session")
    return f"lvs{name[1]}_"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new temporary folder, gone when the block ends; if it is killed, `clear_up` removes it."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / _NEW).open("wb") as file:
            _lock(file)
            # under this name others may judge it, so it is locked before
            (folder / _NEW).rename(folder / _OWNED)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a temporary folder in which this process may still be writing."""
    gone = folder.with_name(folder.name + _GONE)
    with suppress(OSError):
        folder.rename(gone)  # from now on nothing new comes in
    shutil.rmtree(gone, ignore_errors=True)


def clear_up() -> None:
    """Remove what processes of this user that were killed have left in the temporary folder."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if _NAME.fullmatch(folder.name) and _abandoned(folder):
                sweep_shared_memory(shared_memory_prefix(folder))
                shutil.rmtree(folder, ignore_errors=True)


def sweep_shared_memory(prefix: str) -> None:
    """Remove shared memory (and semaphores) whose names begin with `prefix`."""
    folder = Path("/dev/shm")
    if folder.is_dir():  # elsewhere the system does not list it
        for kind in ("", "sem."):
            for path in folder.glob(f"{kind}{prefix}*"):
                path.unlink(missing_ok=True)


def _abandoned(folder: Path) -> bool:
    """Whether a temporary folder is this user's, and its owner does not live any more."""
    try:
        state = folder.lstat()
        if folder.is_symlink() or not folder.is_dir() or state.st_uid != os.getuid():
            return False
        if folder.name.endswith(_GONE):
            return True
        if not (folder / _OWNED).exists():
            others = any(path.name != _NEW for path in folder.iterdir())
            return not others and time.time() - state.st_mtime > _YOUNG
        with (folder / _OWNED).open("rb") as file:
            return _lock(file)
    except (AttributeError, OSError):  # no users on this system; or it is gone meanwhile
        return False


def _lock(file: IO[bytes]) -> bool:
    """Lock a file, if no other process holds it and the file system can do that."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ModuleNotFoundError, OSError):
        return False
    return True


def end_with_owner(leave: Callable[[], object]) -> None:
    """From now on, end this process's session when its standard input closes.

    Args:
        leave: called before that, in a thread of its own.
    """

    def watch() -> None:
        while os.read(0, 1):  # nothing is sent
            pass
        try:
            leave()
        finally:
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def end_forks_with_this() -> None:
    """Let the system kill each process that is forked from this one when this one dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    prctl, owner = ctypes.CDLL(None).prctl, os.getpid()

    def follow() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:  # it died meanwhile
            os.kill(os.getpid(), signal.SIGKILL)

    os.register_at_fork(after_in_child=follow)
