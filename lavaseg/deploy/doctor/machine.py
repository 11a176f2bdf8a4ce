"""Checks of the machine: shared memory, processes, threads, memory, disk, open files, data."""

from __future__ import annotations

import math
import multiprocessing
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from lavaseg.data.places import ENVIRONMENT, folders
from lavaseg.deploy.doctor.check import GOOD, MISSING, ON_LAVA, PURPOSES, WRONG, Check
from lavaseg.deploy.doctor.probes import Probes
from lavaseg.system.limits import SHARED_MEMORY, megabytes
from lavaseg.system.threads import cores

SHARED_NEEDED = 16 * 2**20
"""Bytes of shared memory: some hundred semaphores of a page each, with room to spare. A network
that needs more is told so before it runs (`lavaseg/system/limits.py`)."""
MEMORY_NEEDED = 2 * 2**30
"""Bytes of memory for the demo, with room for what else runs."""
DISK_NEEDED = 200 * 2**20
"""Bytes for a run folder, which has a few megabytes, caches of kernels and temporary files."""
FILES_NEEDED = 256
"""Files open at a time; Lava's runtime opens some 120 for the demo."""

_LEFT_OVER = ("psm_*", "lvs*", "sem.lvs*", "sem.mp-*")
"""Names of shared memory of Python's `multiprocessing`, and of this package's runs."""
_SETTLED = 60
"""Seconds after which a piece of shared memory that no process holds was left over."""
_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def shared_memory(_: Probes) -> list[Check]:
    """/dev/shm: its room, and what dead processes left there."""
    if not SHARED_MEMORY.is_dir():
        return [Check("/dev/shm", GOOD, "this system does not show it", needed_for=ON_LAVA)]
    state = os.statvfs(SHARED_MEMORY)
    free, size = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    found = f"{megabytes(free)} of {megabytes(size)} free"
    if not os.access(SHARED_MEMORY, os.W_OK):
        remedy = f"chmod 1777 {SHARED_MEMORY}"
        room = Check(str(SHARED_MEMORY), WRONG, "it cannot be written", remedy, ON_LAVA)
    elif free < SHARED_NEEDED:
        needed = megabytes(SHARED_NEEDED)
        remedy = f"mount -o remount,size=1G {SHARED_MEMORY} (of a container: --shm-size=1g)"
        found = f"{found}, {needed} are needed"
        room = Check(str(SHARED_MEMORY), WRONG, found, remedy, ON_LAVA)
    else:
        room = Check(str(SHARED_MEMORY), GOOD, found, needed_for=ON_LAVA)
    return [room, _left_over()]


def _left_over() -> Check:
    name = "shared memory left over"
    left = _unheld(SHARED_MEMORY)
    if not left:
        return Check(name, GOOD, "none")
    size = sum(path.stat().st_size for path in left if path.exists())
    remedy = f"rm -f {' '.join(shlex.quote(str(path)) for path in left)}"
    return Check(name, WRONG, f"{len(left)} pieces, {megabytes(size)}", remedy)


def _unheld(folder: Path) -> list[Path]:
    """This user's shared memory that no process has open or mapped, and that is not new."""
    now, ours = time.time(), os.getuid()
    pieces = []
    for path in (path for pattern in _LEFT_OVER for path in folder.glob(pattern)):
        try:
            state = path.stat()
        except FileNotFoundError:  # its process has just removed it
            continue
        if state.st_uid == ours and now - state.st_ctime > _SETTLED:
            pieces.append(path)
    return sorted(path for path in pieces if str(path) not in _held()) if pieces else []


def _held() -> set[str]:
    """Paths of the files that processes of this user have mapped or open."""
    held = set()
    for process in _PROC.glob("[0-9]*"):
        try:
            for line in (process / "maps").read_text("utf-8", "replace").splitlines():
                held.add(line.split(maxsplit=5)[-1])
            for handle in (process / "fd").iterdir():
                held.add(os.readlink(handle))
        except OSError:  # another user's, or it has ended
            continue
    return held


def start_method(_: Probes) -> list[Check]:
    """Whether processes can be forked, as Lava's runtime does in a process of its own."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    if "fork" in multiprocessing.get_all_start_methods():
        found = "fork is available" + (
            f"; this process starts others by {chosen}" if chosen else ""
        )
        return [Check("start method", GOOD, found, needed_for=ON_LAVA)]
    remedy = "use Linux, or on Windows its subsystem: wsl --install"
    return [Check("start method", MISSING, "no fork, which Lava needs", remedy, ON_LAVA)]


def threads(_: Probes) -> list[Check]:
    """Cores, what a container may use of them, and environment variables that set threads."""
    count, share = cores(), _share_of_cores()
    found = f"{count} cores"
    for variable in _THREAD_VARIABLES:
        value = os.environ.get(variable)
        # a list is one number for each level of nesting
        if value is not None and not all(n.strip().isdecimal() for n in value.split(",")):
            words = f"{found}; {variable}={value} is no number of threads"
            return [Check("threads", WRONG, words, f"unset {variable}")]
    numba = os.environ.get("NUMBA_NUM_THREADS", "1")
    if not numba.isdecimal() or int(numba) < 1:
        words = f"{found}; Numba refuses to start with NUMBA_NUM_THREADS={numba}"
        return [Check("threads", WRONG, words, "unset NUMBA_NUM_THREADS", tuple(PURPOSES))]
    if share is not None and math.ceil(share) < count:
        allowed = math.ceil(share)
        remedy = f"taskset -c 0-{allowed - 1} lavaseg ... keeps threads from waiting for each other"
        words = f"{found}, of which this container may use {share:.3g}"
        return [Check("threads", WRONG, words, remedy)]
    set_ = [f"{name}={os.environ[name]}" for name in _THREAD_VARIABLES if name in os.environ]
    return [Check("threads", GOOD, "; ".join([found, *set_]))]


def _share_of_cores() -> float | None:
    """Cores that the container's quota allows, of control groups 2 or 1; None if it sets none."""
    quota = _words(_CGROUP / "cpu.max") or [
        *_words(_CGROUP / "cpu/cpu.cfs_quota_us"),
        *_words(_CGROUP / "cpu/cpu.cfs_period_us"),
    ]
    if len(quota) != 2 or not all(word.isdecimal() for word in quota):
        return None  # "max", -1: no quota
    return int(quota[0]) / int(quota[1])


def memory(_: Probes) -> list[Check]:
    """Memory that is available, a container's limit included."""
    free = _available_memory()
    if free is None:
        return [Check("memory", GOOD, "this system does not say how much", needed_for=("demo",))]
    found = f"{megabytes(free)} available"
    if free >= MEMORY_NEEDED:
        return [Check("memory", GOOD, found, needed_for=("demo",))]
    found = f"{found}, the demo needs {megabytes(MEMORY_NEEDED)}"
    remedy = "close other programs (of a container: --memory=4g)"
    return [Check("memory", WRONG, found, remedy, ("demo",))]


def _available_memory() -> int | None:
    lines = (line.split() for line in _text(_PROC / "meminfo").splitlines())
    found = [int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:"]
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        numbers = [*_words(_CGROUP / limit), *_words(_CGROUP / used)]
        if len(numbers) == 2 and all(word.isdecimal() for word in numbers):
            found.append(max(0, int(numbers[0]) - int(numbers[1])))
    return min(found, default=None)


def disk(_: Probes) -> list[Check]:
    """Room to write: the folder that runs are written to, and the one for temporary files."""
    elsewhere = "cd to a folder of your own"
    try:
        checks = [_room("disk", Path.cwd(), elsewhere, ("demo",))]
    except FileNotFoundError:
        found = "the folder in which this runs was removed"
        checks = [Check("disk", WRONG, found, elsewhere, tuple(PURPOSES))]
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        remedy = "export TMPDIR=FOLDER"
        return [*checks, Check("temporary files", WRONG, str(error), remedy, ON_LAVA)]
    return [*checks, _room("temporary files", temporary, "export TMPDIR=FOLDER", ON_LAVA)]


def _room(name: str, folder: Path, elsewhere: str, needed_for: tuple[str, ...]) -> Check:
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(name, WRONG, f"{folder} cannot be written", elsewhere, needed_for)
    free = shutil.disk_usage(folder).free
    found = f"{megabytes(free)} free in {folder}"
    if free >= DISK_NEEDED:
        return Check(name, GOOD, found, needed_for=needed_for)
    found = f"{found}, {megabytes(DISK_NEEDED)} are needed"
    return Check(name, WRONG, found, f"make room, or {elsewhere}", needed_for)


def open_files(_: Probes) -> list[Check]:
    """How many files a process may have open, which is raised to the hard limit where needed."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limits
        return [Check("open files", GOOD, "no limit", needed_for=ON_LAVA)]
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= FILES_NEEDED:
        limit = "no limit" if hard == resource.RLIM_INFINITY else f"{hard} allowed"
        return [Check("open files", GOOD, limit, needed_for=ON_LAVA)]
    found = f"{hard} allowed, {FILES_NEEDED} are needed"
    remedy = "ulimit -Hn 65536 as root, or nofile in /etc/security/limits.conf"
    return [Check("open files", WRONG, found, remedy, ON_LAVA)]


def data(_: Probes) -> list[Check]:
    """The folders in which data sets are looked for."""
    named = os.environ.get(ENVIRONMENT)
    if named and not Path(named).expanduser().is_dir():
        found = f"{ENVIRONMENT}={named} is no folder"
        return [Check("data", WRONG, found, f"export {ENVIRONMENT}=FOLDER")]
    there = [folder for folder in folders(None) if folder.is_dir()]
    if not there:
        places = " or ".join(map(str, folders(None)))
        remedy = f"export {ENVIRONMENT}=FOLDER; `lavaseg data list` says what each data set needs"
        return [Check("data", MISSING, f"no folder {places}; the demo needs none", remedy)]
    return [Check("data", GOOD, "; ".join(f"{f}: {_names(f.iterdir())}" for f in there))]


def _names(paths: Iterable[Path], most: int = 8) -> str:
    names = sorted(path.name for path in paths if not path.name.startswith("."))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "empty"


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def _words(path: Path) -> list[str]:
    return _text(path).split()
