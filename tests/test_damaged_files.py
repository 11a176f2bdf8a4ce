"""Damaged, truncated and empty files of every kind give a right result or one sentence.

`benchmarks/damaged_files.py` does the same with thousands of files, in processes that may die.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import _damage
import _recordings as recordings
import numpy as np
import pytest
from _damage import LONGEST, attempt, damaged
from _file_kinds import KINDS, Kind, contents, sound_contents
from _list_kinds import LISTS

from lavaseg.data.event_files import read_recording
from lavaseg.data.mat5 import MatError, read_numbers
from lavaseg.errors import LavasegError
from lavaseg.system.faults import reading

FEW, MANY = 25, 300
BOMBS = {"cifar10.npz", "images-idx3-ubyte.gz", "packed.mat", "a.aedat4", "evaluation.json"}
BOMBS |= {"a.png", "label.png"}
"""Kinds whose hostile files unpack to so much that making them takes seconds."""


@contextmanager
def limited() -> Iterator[None]:
    """A reader that takes very long fails."""

    def late(*_: object) -> None:
        raise AssertionError("a damaged file took more than a minute")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(6 * LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Sound files of every kind."""
    return sound_contents(tmp_path_factory.mktemp("others"))


def faults(kind: Kind, files: Sequence[bytes], path: Path) -> list[str]:
    found = []
    for content in files:
        path.write_bytes(content)
        with limited():
            found.append(attempt(kind.read, path).fault)
    return [fault for fault in found if fault]


def missing(kind: Kind, folder: Path) -> Path:
    """The place of a file that is not there, while all that belongs to it is."""
    path = folder / "folder" / kind.name
    path.parent.mkdir(parents=True)
    kind.write(path)
    path.unlink()
    return path


@pytest.mark.parametrize("kind", [*KINDS, *LISTS], ids=lambda kind: kind.name)
def test_damaged_file_gives_a_result_or_a_sentence_that_names_it(
    kind: Kind, tmp_path: Path, others: list[bytes]
) -> None:
    path = tmp_path / "folder" / kind.name
    path.parent.mkdir(parents=True)
    files = contents(kind, path, others, FEW, 1, hostile=kind.name not in BOMBS)
    assert faults(kind, files, path) == []


@pytest.mark.full
@pytest.mark.parametrize("kind", [*KINDS, *LISTS], ids=lambda kind: kind.name)
def test_many_damaged_files_give_a_result_or_a_sentence_that_names_them(
    kind: Kind, tmp_path: Path, others: list[bytes]
) -> None:
    path = tmp_path / "folder" / kind.name
    path.parent.mkdir(parents=True)
    assert faults(kind, contents(kind, path, others, MANY, 2), path) == []


@pytest.mark.full
@pytest.mark.parametrize("name", ["evlib_sample.aedat4", "expelliarmus_evt3_sample.raw"])
def test_many_damaged_recordings_of_cameras_give_a_result_or_a_sentence(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    content = (shared_data / "events" / name).read_bytes()[:200_000]
    rng = np.random.default_rng(3)
    kind = Kind(name, recordings.text, read_recording)
    assert faults(kind, [damaged(content, rng) for _ in range(MANY)], tmp_path / name) == []


@pytest.mark.full
def test_script_tries_files_of_a_run_in_a_process_of_its_own(tmp_path: Path) -> None:
    script = Path(_damage.__file__).with_name("damaged_files.py")
    kinds = ["--kinds", "a.npy", "run/surroundings.json", "run/verify.json"]
    command = [sys.executable, str(script), "--count", "60", *kinds, "--keep", str(tmp_path)]
    result = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = {row["name"]: sum(row["outcomes"].values()) for row in json.loads(result.stdout)}
    assert counts == {"a.npy": 60, "run/surroundings.json": 60, "run/verify.json": 60 // 10}  # slow


def test_faults_of_readers_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, some = tmp_path / "a.xyz", 2**26
    monkeypatch.setattr(_damage, "MOST_MEMORY", some)

    def unnamed(_: Path) -> None:
        raise LavasegError("something is wrong")

    def large(_: Path) -> None:
        np.ones(2 * some, np.uint8)

    def harmful(path: Path) -> None:
        (path.parent / "executed").touch()

    assert "not named" in attempt(unnamed, path).fault
    assert "KeyError" in attempt(lambda path: {}[path], path).fault
    assert "was executed" in attempt(harmful, path).fault
    if Path("/proc/self/clear_refs").exists():
        assert "GiB" in attempt(large, path).fault
    assert attempt(lambda path: None, path).fault == ""


@pytest.mark.parametrize("packed", [False, True])
def test_numbers_of_a_mat_file_are_those_that_scipy_wrote(packed: bool, tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    for kind in ("u1", "i2", "u4", "i8", "f4", "f8"):
        wanted = rng.integers(0, 200, (7, 5)).astype(kind)
        cells = np.empty((2, 1), object)
        cells[:, 0] = [sparse.csc_matrix(np.eye(3)), sparse.csc_matrix(np.eye(4))]
        fields = {"Boundaries": cells, "Segmentation": wanted, "CategoriesPresent": [[15.0]]}
        content = {"first": "text", "GTcls": fields, "last": np.ones(3)}
        scipy_io.savemat(tmp_path / "a.mat", content, do_compression=packed)
        found = read_numbers(tmp_path / "a.mat", "GTcls", "Segmentation")
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


def test_complex_numbers_of_a_mat_file_do_not_lose_a_part(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(tmp_path / "a.mat", {"GTcls": {"Segmentation": np.eye(3) + 1j}})
    with pytest.raises(MatError, match="complex"):
        read_numbers(tmp_path / "a.mat", "GTcls", "Segmentation")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("kind", [*KINDS, *LISTS], ids=lambda kind: kind.name)
def test_pipe_in_place_of_a_file_is_refused_and_not_waited_for(kind: Kind, tmp_path: Path) -> None:
    path = missing(kind, tmp_path)
    os.mkfifo(path)
    with limited():
        outcome = attempt(kind.read, path)
    assert outcome.refused
    assert outcome.fault == ""


@pytest.mark.parametrize("kind", [*KINDS, *LISTS], ids=lambda kind: kind.name)
def test_folder_in_place_of_a_file_is_refused_by_its_name(kind: Kind, tmp_path: Path) -> None:
    path = missing(kind, tmp_path)
    path.mkdir()
    outcome = attempt(kind.read, path)
    assert outcome.refused
    assert outcome.fault == ""


def test_device_in_place_of_a_file_is_refused() -> None:
    device = Path("/dev/zero")
    if not device.exists():
        pytest.skip("this system has no /dev/zero")
    refused = "/dev/zero cannot be read: it is a pipe or a device"
    with pytest.raises(LavasegError, match=refused), reading(device):
        device.open("rb").read(1)
