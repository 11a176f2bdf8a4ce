"""Fills the disk at many points of train, export, run, record and report, and makes room again.

Linux alone, as root: the run lies on a small file system in memory that the script mounts. At each
point a command finds a certain number of free bytes. It must do its work, or end with code 2 and
one sentence that names a file and the remedy, leave no part of a file, keep every old file whole,
and succeed once there is room; a resumed training must end with an uninterrupted one's weights.
"""

from __future__ import annotations

import argparse
import atexit
import ctypes
import gc
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import lightning.pytorch  # noqa: F401, so that children have it
import tensorboard  # noqa: F401
from _run_files import FIELDS

import lavaseg.deploy.lava
import lavaseg.report  # noqa: F401
from lavaseg.cli import main as main_of_lavaseg
from lavaseg.errors import LavasegError
from lavaseg.runs import Run, RunFolder
from lavaseg.training.checkpoints import newest

SIZE = 2**24
"""Bytes of the file system."""
_CLONE_NEWNS = 0x20000
"""Linux's flag for a process that sees file systems of its own (mount_namespaces(7))."""
PAGE = 2**12
"""Bytes by which a file in memory grows."""


@dataclass
class Case:
    """A command and what it finds.

    Args:
        name: of the command.
        words: its arguments; "{disk}" is the mounted folder.
        share: of the points.
        stages: of a run that are there before.
        again: further arguments where it is repeated with room.
        replaces: files, one after the other: each is whole, of before or of now.
        scratch: bytes that it needs in the temporary folder meanwhile, or for parts of files.
    """

    name: str
    words: Sequence[str]
    share: float
    stages: Sequence[str] = ()
    again: Sequence[str] = ()
    replaces: Sequence[str] = ()
    scratch: int = 16 * PAGE


TRAIN = ["train", "demo", *(word for item in FIELDS for word in ("--set", item))]
CASES = (
    Case("train", [*TRAIN, "-o", "{disk}/run"], 0.36, again=("--resume",)),
    Case(
        "export",
        ["export", "{disk}/run"],
        0.24,
        ("train",),
        replaces=(
            "run/calibration.json",
            "run/finetune.csv",
            "run/finetuned.json",
            "run/finetuned.safetensors",
            "run/checkpoints/finetune.ckpt",
            "run/net.net",
        ),
    ),
    Case(
        "run",
        ["run", "{disk}/run/net.net", "digits-photos:0-2", "-o", "{disk}/labels"],
        0.16,
        ("train", "export"),
        scratch=130 * PAGE,
    ),
    Case(
        "record",
        ["record", "{disk}/run", "-n", "2", "-o", "{disk}/record.npz"],
        0.12,
        ("train", "export"),
    ),
    Case("report", ["report", "{disk}/run"], 0.12, ("train", "export")),
)


@dataclass
class Row:
    """What happened at one point."""

    command: str
    free: int
    code: int
    said: str
    faults: list[str] = field(default_factory=list)


@contextmanager
def mounted() -> Iterator[Path]:
    """A small file system in memory, which goes with this process and its children."""
    disk = Path(tempfile.mkdtemp(prefix="full-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    try:
        own = ctypes.CDLL(None).unshare(_CLONE_NEWNS) == 0
        # what is mounted from now on is seen here alone
        own = own and subprocess.run(["mount", "--make-rprivate", "/"]).returncode == 0
        if not own or subprocess.run(mount).returncode:
            raise SystemExit("full_disk.py needs the right to mount a file system: run it as root")
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=False)
        disk.rmdir()


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder, which children that end do not take with them."""
    path = Path(tempfile.mkdtemp(prefix="full-disk-ready-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@dataclass
class Result:
    """How a command ended, and what it said."""

    code: int
    stderr: str


def call(words: Sequence[str], disk: Path) -> Result:
    """Run a command whose temporary files lie on the disk, too.

    In a copy of this process, which has imported everything: the rest takes seconds.
    """
    temporary = disk / "tmp"
    temporary.mkdir(exist_ok=True)
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _command([word.replace("{disk}", str(disk)) for word in words], temporary, out.fileno())
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:  # this process is to end
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        out.seek(0)
        return Result(os.waitstatus_to_exitcode(status), out.read().decode("utf-8", "replace"))


def _command(words: Sequence[str], temporary: Path, out: int) -> NoReturn:
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
    sys.argv = ["lavaseg", *words]
    code = 70
    try:
        main_of_lavaseg()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
    except BaseException:
        traceback.print_exc()
    finally:  # what an interpreter does when it ends, which may fail, too
        gc.collect()
        atexit._run_exitfuncs()
        sys.stderr.flush()
        os._exit(code)


def free(disk: Path) -> int:
    return shutil.disk_usage(disk).free


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes."""
    path = disk / "filler"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(disk) - left)
    return path


def clear(disk: Path) -> None:
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def hashes(folder: Path) -> dict[str, str]:
    """Of every file, by its place; what lightning appends to and the lock are left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and "tensorboard" not in path.parts
        and path.name not in (".lock", "filler")
    }


def damage(run: Path) -> str:
    """What is not whole in the folder of a run, or ""."""
    folder = RunFolder(run)
    try:
        if folder.recipe.exists() and folder.description.exists():
            Run.open(run)
        for kind in folder.kinds():
            artefact = getattr(folder, kind.name)
            if artefact.exists() and not kind.file.endswith("/"):
                artefact.load()
        for checkpoint in folder.checkpoints.path.glob("*.ckpt"):
            if newest(checkpoint) != checkpoint:
                return f"{checkpoint} is damaged"
    except LavasegError as error:
        return str(error)
    return ""


def try_point(case: Case, left: int, disk: Path, ready: Path, weights: str) -> Row:
    """One command that finds `left` bytes free.

    Args:
        ready: holds a folder for each stage of a run.
        weights: hash of the weights of an uninterrupted training.
    """
    clear(disk)
    if case.stages:
        shutil.copytree(ready / case.stages[-1], disk / "run")
    (disk / "tmp").mkdir()
    before = hashes(disk)
    filler = fill(disk, left)
    result = call(case.words, disk)
    said = result.stderr.strip().splitlines()
    row = Row(case.name, left, result.code, said[-1] if said else "")
    if result.code not in (0, 2) or "Traceback" in result.stderr:
        row.faults.append("\n".join(said[-15:]))
    if result.code == 2:
        _check_words(row, disk)
    after = hashes(disk)
    for name, value in before.items():
        if result.code and name not in case.replaces and after.get(name) != value:
            row.faults.append(f"{name} was changed or lost")
    row.faults += [f"{name} is left over" for name in after if ".part" in name]
    row.faults += [f"{name} is left over" for name in after if name.startswith("tmp/")]
    filler.unlink()
    if found := damage(disk / "run"):
        row.faults.append(f"a file is not whole: {found}")
    if result.code == 2:
        begun = (disk / "run" / "recipe.yaml").exists() or not case.again
        repeated = call([*case.words, *(case.again if begun else ())], disk)
        if repeated.code:
            row.faults.append(f"with room: {repeated.stderr.strip()[-600:]}")
    if case.name == "train" and hashes(disk)["run/model.safetensors"] != weights:
        row.faults.append("other weights than those of an uninterrupted run")
    return row


def _check_words(row: Row, disk: Path) -> None:
    if not row.said.startswith("error: "):
        row.faults.append("its last words are no sentence")
    if str(disk) not in row.said:
        row.faults.append("no file is named")
    if not any(words in row.said for words in ("make room", "TMPDIR")):
        row.faults.append("no remedy is named")


def prepare(disk: Path, ready: Path) -> dict[str, int]:
    """Make the stages of a run, and tell how many bytes each command writes."""
    needs = {}
    for case in CASES:
        clear(disk)
        if case.stages:
            shutil.copytree(ready / case.stages[-1], disk / "run")
        before = free(disk)
        result = call(case.words, disk)
        if result.code:
            raise SystemExit(f"{case.name} failed on an empty disk: {result.stderr}")
        needs[case.name] = before - free(disk) + case.scratch
        shutil.copytree(disk / "run", ready / case.name)
    return needs


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--json", action="store_true", help="print JSON instead of lines")
    options.add_argument("--points", type=int, default=50)
    names = [case.name for case in CASES]
    options.add_argument("--commands", nargs="*", default=names, choices=names)
    chosen = options.parse_args(arguments)
    rows = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays mounted
    with mounted() as disk, folder() as ready:
        needs = prepare(disk, ready)
        weights = hashes(ready / "train")["model.safetensors"]
        for case in CASES:
            count = max(2, round(case.share * chosen.points))
            for k in range(count if case.name in chosen.commands else 0):
                left = round(k / (count - 1) * needs[case.name] / PAGE) * PAGE
                rows.append(try_point(case, left, disk, ready, weights))
                if not chosen.json:
                    _print(rows[-1])
    if chosen.json:
        print(json.dumps([vars(row) for row in rows], indent=1))
    wrong = sum(bool(row.faults) for row in rows)
    full = sum(row.code != 0 for row in rows)
    print(f"{len(rows)} points, the disk was full at {full}, {wrong} wrong", file=sys.stderr)
    raise SystemExit(bool(wrong))


def _print(row: Row) -> None:
    print(f"{row.command:7} {row.free:8,} bytes free: {row.code}  {row.said[:300]}", flush=True)
    for fault in row.faults:
        print("    wrong: " + fault.replace("\n", "\n    "), flush=True)


if __name__ == "__main__":
    main()
