"""Disks that fill, folders that may not be written: one sentence, old files whole, then on.

`benchmarks/full_disk.py` fills a real file system at fifty points of five commands.
"""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.report import write_report
from lavaseg.runs import Run
from lavaseg.system.faults import writing_in_threads
from lavaseg.system.files import write_atomically
from lavaseg.training import train

FIELDS = (
    "data.options={train: 20, test: 4}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
    "encoder={kind: direct, steps: 2}",
    "training={epochs: 1, batch_size: 10}",
)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """While open, the system refuses to let a file of this process grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tensorboard" not in path.parts
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(recipes.load("demo", FIELDS), tmp_path_factory.mktemp("run") / "run")


@pytest.mark.parametrize("size", [200, 600, 2_000, 8_000, 20_000])
def test_training_goes_on_from_wherever_a_file_could_not_be_written(
    size: int, tmp_path: Path, whole: Run
) -> None:
    recipe, folder = recipes.load("demo", FIELDS), tmp_path / "run"
    with largest_file(size), pytest.raises(LavasegError) as caught:
        train(recipe, folder, progress=False)
    sentence = str(caught.value)
    assert str(folder) in sentence
    assert "cannot be written" in sentence
    assert "\n" not in sentence
    assert not list(folder.rglob("*.part"))
    begun = (folder / "recipe.yaml").exists()
    run = train(recipe, folder, resume=begun, progress=False)
    assert run.weights.read_bytes() == whole.weights.read_bytes()


def test_report_that_cannot_be_written_leaves_the_old_one(whole: Run) -> None:
    whole.files.report.path.write_text("old")
    before = hashes(whole.path)
    with largest_file(10_000), pytest.raises(LavasegError, match=r"report\.html cannot be written"):
        write_report(whole)
    assert hashes(whole.path) == before


def test_threads_of_a_library_on_a_full_disk_end_in_one_sentence(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def work() -> None:
        with writing_in_threads("curves"):
            thread = threading.Thread(target=full)
            thread.start()
            thread.join()

    with pytest.raises(LavasegError, match=r"^curves cannot be written: No space .* make room"):
        work()
    assert capfd.readouterr().err == ""


def test_other_faults_of_threads_keep_their_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)  # pytest has its own
    with writing_in_threads("curves"):
        thread = threading.Thread(target=lambda: {}["nothing"])
        thread.start()
        thread.join()
    assert threading.excepthook is threading.__excepthook__
    assert "KeyError" in capfd.readouterr().err


def _closed(folder: Path) -> None:
    folder.chmod(0o500)


def _a_file(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("a file")


@pytest.mark.parametrize("close", [_closed, _a_file])
@pytest.mark.parametrize(
    "words",
    [
        ["train", "demo", "-o", "{}/run"],
        ["report", "{run}", "-o", "{}/a.html"],
        ["export", "{run}", "-o", "{}/a.net"],
        ["record", "{run}", "-o", "{}/a.npz"],
    ],
    ids=lambda words: words[0],
)
def test_folder_that_cannot_be_written_is_named(
    close: Callable[[Path], None], words: list[str], tmp_path: Path, whole: Run
) -> None:
    if close is _closed and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = tmp_path / "closed"
    folder.mkdir()
    close(folder)
    given = [w.replace("{run}", str(whole.path)).replace("{}", str(folder)) for w in words]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert str(folder) in result.stderr


def test_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(LavasegError, match=r"a\.yaml cannot be read: Permission denied"):
        recipes.load(path)


def test_pipe_or_device_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with names")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LavasegError, match=r"pipe cannot be written: it is a pipe or a device"):
        write_atomically(tmp_path / "pipe", "content")
    assert (tmp_path / "pipe").is_fifo()


def test_folder_in_place_of_a_file_that_is_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(LavasegError, match=r"a\.json cannot be written: Is a directory"):
        write_atomically(tmp_path / "a.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.full
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a file system"
)
def test_commands_on_a_disk_that_is_full_say_so_and_go_on() -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "benchmarks" / "full_disk.py")]
    result = subprocess.run([*command, "--points", "16"], capture_output=True, text=True)
    if "right to mount" in result.stderr:
        pytest.skip("this process may not mount a file system")
    assert result.returncode == 0, result.stdout + result.stderr
