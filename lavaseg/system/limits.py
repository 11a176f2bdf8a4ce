"""Limits that the system sets a process: raised where that is allowed, else named with a number."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from lavaseg.errors import LavasegError

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux keeps shared memory; elsewhere its size is not known."""


def check_disk(folder: Path, needed: int, what: str) -> None:
    """Check that the disk of a folder for temporary files has room.

    A process that writes into a mapped file without room is not told, but killed.

    Args:
        folder: the one that TMPDIR names, or the system's.
        needed: bytes.
        what: what needs them, the subject of the message.

    Raises:
        LavasegError: there is too little.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LavasegError(
            f"{what} needs {needed:,} bytes in {folder}, and that disk has {free:,} left: "
            "make room there, or let the variable TMPDIR name a folder on another disk"
        )


def allow_open_files(needed: int, what: str) -> None:
    """Let this process have `needed` files open at a time.

    Args:
        what: what needs them, the subject of the message.

    Raises:
        LavasegError: the system allows fewer.
    """
    check_open_files(needed, what)
    with suppress(ModuleNotFoundError):  # Windows has no such limits
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def check_open_files(needed: int, what: str) -> None:
    """Check that this system lets a process have `needed` files open, as `allow_open_files`."""
    try:
        import resource
    except ModuleNotFoundError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise LavasegError(
            f"{what} needs {needed} open files at a time, and this system allows {hard}: run it "
            f"where `ulimit -Hn` shows {needed} or more"
        )


def check_shared_memory(needed: int, what: str) -> None:
    """Check that shared memory has room, where the system says how much there is.

    Without room a process is not told, but killed when it writes.

    Args:
        needed: bytes.
        what: what needs them, the subject of the message.

    Raises:
        LavasegError: there is too little.
    """
    if not SHARED_MEMORY.is_dir():
        return
    state = os.statvfs(SHARED_MEMORY)
    free = state.f_bavail * state.f_frsize
    if free < needed:
        raise LavasegError(
            f"{what} needs {megabytes(needed)} of shared memory, and {SHARED_MEMORY} has "
            f"{megabytes(free)} left: make it larger (in a container with "
            f"--shm-size={-(-needed // 2**20)}m)"
        )


def allow_threads(needed: int, what: str) -> None:
    """Let this user start `needed` more processes and threads, where the system counts them.

    Args:
        what: what needs them, the subject of the message.

    Raises:
        LavasegError: the system allows fewer.
    """
    for allowed, running, remedy in (_of_user(), _of_group()):
        if allowed is not None and allowed - running < needed:
            raise LavasegError(
                f"{what} needs {needed} processes and threads besides the {running} that run, and "
                f"this system allows {allowed}: {remedy.format(needed + running)}"
            )


def _of_user() -> tuple[int | None, int, str]:
    """Allowed and running threads of this user, and what to do; None: no limit."""
    remedy = "run it where `ulimit -Hu` shows {} or more"
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        if hard == resource.RLIM_INFINITY or os.getuid() == 0:  # it does not bind root
            return None, 0, remedy
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
    except (ModuleNotFoundError, AttributeError):  # systems without such a limit
        return None, 0, remedy
    running = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if process.stat().st_uid == os.getuid():
                running += len(os.listdir(process / "task"))
    return hard, running, remedy


def _of_group() -> tuple[int | None, int, str]:
    """Allowed and running threads of this process's control group (cgroup v2), as `_of_user`."""
    remedy = "let its container or job have {} or more (pids.max)"
    try:
        group = Path("/proc/self/cgroup").read_text().rpartition("::/")[2].strip()
        folder = Path("/sys/fs/cgroup") / group
        most = (folder / "pids.max").read_text().strip()
        running = int((folder / "pids.current").read_text())
    except (OSError, ValueError):  # another kind of system
        return None, 0, remedy
    return (int(most) if most.isdecimal() else None), running, remedy


def megabytes(size: int) -> str:
    """A number of bytes in whole megabytes (2**20 bytes), rounded up."""
    return f"{-(-size // 2**20)} MB"


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Check that there is enough memory, where the system says how much there is.

    A process that takes more than there is may be killed without a word.

    Args:
        needed: bytes, at least.
        what: what needs them, the subject of the message.
        remedy: what would need fewer.

    Raises:
        LavasegError: there is too little.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise LavasegError(
            f"{what} needs at least {gigabytes(needed)} of memory, and there are "
            f"{gigabytes(free)}: {remedy}"
        )


def free_memory() -> int | None:
    """Bytes that this process may still take: of the machine, its container and its own limit."""
    found = []
    fields = _numbers(Path("/proc/meminfo"))
    if "MemAvailable" in fields:
        found.append(1024 * (fields["MemAvailable"] + fields.get("SwapFree", 0)))
    with suppress(OSError, ValueError):  # "max" where the container has no limit
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with suppress(ModuleNotFoundError, OSError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            taken = 1024 * _numbers(Path("/proc/self/status")).get("VmSize", 0)
            found.append(max(0, soft - taken))
    return min(found, default=None)


def resident_memory() -> int | None:
    """Bytes of memory that this process has at this moment, where the system says."""
    kilobytes = _numbers(Path("/proc/self/status")).get("VmRSS")
    return None if kilobytes is None else 1024 * kilobytes


def peak_memory() -> int | None:
    """The most bytes of memory that this process has had, where the system says."""
    kilobytes = _numbers(Path("/proc/self/status")).get("VmHWM")
    if kilobytes is not None:
        return 1024 * kilobytes
    try:
        import resource
    except ModuleNotFoundError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def gigabytes(size: int) -> str:
    """A number of bytes in gigabytes (2**30 bytes), '1.3 GB'."""
    return f"{size / 2**30:,.1f} GB" if size >= 2**30 else f"{size / 2**30:.2f} GB"


def _numbers(path: Path) -> dict[str, int]:
    """The whole numbers of a file whose lines are "name: number ..."; none if there is no file."""
    found = {}
    with suppress(OSError):
        for line in path.read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if (first := value.split()[:1]) and first[0].isdecimal():
                found[name] = int(first[0])
    return found
