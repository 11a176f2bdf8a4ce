"""Temporary folders of killed processes are removed, and nothing else is."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from lavaseg.system import session

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

HOLDER = """
import time
from lavaseg.system.session import temporary_folder
with temporary_folder() as folder:
    (folder / "network.net").write_bytes(b"content")
    print(folder, flush=True)
    time.sleep(600)
"""

OWNER = """
import subprocess, sys, time
child = [sys.executable, "-c", sys.argv[1]]
with subprocess.Popen(child, stdin=subprocess.PIPE, start_new_session=True):
    time.sleep(600)
"""

CHILD = """
import os, time
from lavaseg.system.session import end_forks_with_this, end_with_owner
end_with_owner(lambda: print("left", flush=True))
end_forks_with_this()
os.fork()
os.write(1, f"{os.getpid()}\\n".encode())  # at once, the two lines do not mix
time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(
    temporary: Path,
) -> None:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert folder.parent == temporary
        with session.temporary_folder() as own:
            session.clear_up()
            assert (folder / "network.net").read_bytes() == b"content"
            assert own.is_dir()
        assert not own.exists()
        holder.kill()
    session.clear_up()
    assert list(temporary.iterdir()) == []


def test_shared_memory_of_a_killed_session_goes_with_its_folder(temporary: Path) -> None:
    folder = temporary / "lavaseg-job-killed12"
    folder.mkdir()
    (folder / ".owner").touch()
    with session.temporary_folder() as living:
        mine, other = map(session.shared_memory_prefix, (folder, living))
        left = [Path("/dev/shm") / name for name in (f"{mine}1", f"sem.{mine}2", f"{other}1")]
        try:
            for path in left:
                path.touch()
            session.clear_up()
            assert [path.exists() for path in left] == [False, False, True]
        finally:
            for path in left:
                path.unlink(missing_ok=True)
    assert list(temporary.iterdir()) == []


def test_a_folder_is_never_seen_with_an_unlocked_owner(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = session._lock

    def swept_before(file: IO[bytes]) -> bool:
        if "w" in file.mode:
            session.clear_up()
        return lock(file)

    monkeypatch.setattr(session, "_lock", swept_before)
    with session.temporary_folder() as folder:
        session.clear_up()
        assert folder.is_dir()


def test_what_is_no_folder_of_ours_is_left_alone(temporary: Path) -> None:
    (temporary / "lavaseg-job-file1234").write_bytes(b"content")
    (temporary / "lavaseg-job-fresh123").mkdir()
    (temporary / "lavaseg-job-somebody").mkdir()
    (temporary / "lavaseg-job-somebody" / "precious.txt").write_bytes(b"content")
    (temporary / "lavaseg-trained-gone").mkdir()  # of somebody, too
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / ".owner").touch()
    (temporary / "lavaseg-job-link1234").symlink_to(temporary / "elsewhere")
    (temporary / "lavaseg-job-half1234-gone").mkdir()
    (temporary / "lavaseg-job-half1234-gone" / "network.net").write_bytes(b"content")
    (temporary / "lavaseg-job-old12345").mkdir()
    os.utime(temporary / "lavaseg-job-old12345", (time.time() - 3600,) * 2)
    session.clear_up()
    left = {path.name for path in temporary.iterdir()}
    assert left == {
        "elsewhere", "lavaseg-job-file1234", "lavaseg-job-fresh123", "lavaseg-job-link1234",
        "lavaseg-job-somebody", "lavaseg-trained-gone",
    }  # fmt: skip
    assert (temporary / "elsewhere" / ".owner").exists()
    assert (temporary / "lavaseg-job-somebody" / "precious.txt").exists()


def test_a_folder_that_is_written_all_the_time_is_removed(temporary: Path) -> None:
    folder, stop = temporary / "lavaseg-job-written1", threading.Event()
    folder.mkdir()

    def write() -> None:
        for number in itertools.count():
            with contextlib.suppress(FileNotFoundError):
                (folder / f"{number}.npy").write_bytes(b"content")
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not any(folder.iterdir()):
            time.sleep(0.001)
        session.remove(folder)
        time.sleep(0.05)
    finally:
        stop.set()
        writer.join()
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of another user")
def test_folders_of_other_users_are_left_alone(temporary: Path) -> None:
    folder = temporary / "lavaseg-job-other123"
    folder.mkdir()
    (folder / ".owner").touch()
    os.chown(folder, 12345, 12345)
    session.clear_up()
    assert folder.is_dir()


@pytest.mark.parametrize("victim", ["owner", "child"])
def test_whichever_process_is_killed_all_that_it_started_end(victim: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, CHILD], stdout=subprocess.PIPE, text=True
    ) as owner:
        try:
            assert owner.stdout is not None
            numbers = {int(owner.stdout.readline()) for _ in range(2)}
            child = next(n for n in numbers if os.getpgid(n) == n)
            os.kill(owner.pid if victim == "owner" else child, signal.SIGKILL)
            patience = time.monotonic() + 20
            while any(map(lives, numbers)) and time.monotonic() < patience:
                time.sleep(0.02)
            assert not any(map(lives, numbers))
            owner.kill()
            assert ("left" in owner.stdout.read()) == (victim == "owner")
        finally:
            owner.kill()


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
