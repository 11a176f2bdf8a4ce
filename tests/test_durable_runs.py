"""Runs that outlive what interrupts them: checkpoints, locks, longer runs, refused calls."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lavaseg import recipes
from lavaseg.errors import LavasegError
from lavaseg.export import export
from lavaseg.recipes import Recipe
from lavaseg.runs import Run
from lavaseg.system.lock import locked
from lavaseg.training import train
from lavaseg.training.checkpoints import WholeCheckpoints, previous
from lavaseg.training.segmenter import Segmenter

FIELDS = (
    "data.options={train: 40, test: 10}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
    "encoder={kind: direct, steps: 2}",
    "training.batch_size=10",
    "training.schedule=constant",
    "rmp.weight=0",
    "finetune.epochs=1",
)


def small(*changes: str, epochs: int = 3) -> Recipe:
    """The demo at toy size, by a schedule that does not depend on the number of epochs."""
    return recipes.load("demo", [*FIELDS, f"training.epochs={epochs}", *changes])


def assert_equal_runs(found: Run, expected: Run) -> None:
    """Assert that two runs have the same rows, but for time, and the same bits as weights."""
    rows, wanted = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in run.history()]
        for run in (found, expected)
    )
    assert rows == wanted
    weights, right = (load_file(run.weights) for run in (found, expected))
    assert weights.keys() == right.keys()
    assert all(torch.equal(weights[name], value) for name, value in right.items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three epochs that nothing interrupted."""
    return train(small(), tmp_path_factory.mktemp("whole") / "run", progress=False)


def test_a_finished_run_is_extended_to_what_a_longer_one_would_be(
    tmp_path: Path, whole: Run
) -> None:
    train(small(epochs=2), tmp_path / "run", progress=False)
    extended = train(small(), tmp_path / "run", resume=True, progress=False)
    assert extended.recipe.training.epochs == 3
    assert Run.open(tmp_path / "run").recipe == whole.recipe
    assert_equal_runs(extended, whole)
    with pytest.raises(LavasegError, match=r"has finished 3 epochs, fewer training.epochs \(2\)"):
        train(small(epochs=2), tmp_path / "run", resume=True, progress=False)


@pytest.mark.parametrize(
    "changes",
    [
        ("training.schedule=one_cycle",),
        ("training.schedule=cosine",),
        ("rmp.weight=0.1", "rmp.schedule=ramp"),
    ],
)
def test_what_follows_the_whole_training_is_not_extended(
    tmp_path: Path, changes: tuple[str, ...]
) -> None:
    train(small(*changes, epochs=1), tmp_path / "run", progress=False)
    before = (tmp_path / "run" / "recipe.yaml").read_bytes()
    with pytest.raises(LavasegError, match=r"schedule '\w+' follows the whole training"):
        train(small(*changes, epochs=2), tmp_path / "run", resume=True, progress=False)
    assert (tmp_path / "run" / "recipe.yaml").read_bytes() == before


def test_a_disk_that_is_full_at_the_first_checkpoint_loses_one_epoch_and_says_so(
    tmp_path: Path,
    whole: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(LavasegError, match=r"metrics\.ckpt cannot be written: No space left"):
            train(small(), tmp_path / "run", progress=False)
    resumed = train(small(), tmp_path / "run", resume=True, progress=False)
    assert_equal_runs(resumed, whole)
    said = " ".join(capsys.readouterr().err.split())
    assert "metrics.ckpt is missing: the only finished epoch is trained again" in said


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no checkpoint", "half", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, whole: Run, damage: bytes | str, capsys: pytest.CaptureFixture[str]
) -> None:
    train(small(epochs=2), tmp_path / "run", progress=False)
    newest = tmp_path / "run" / "checkpoints" / "metrics.ckpt"
    content = newest.read_bytes()
    if damage == "missing":
        newest.unlink()
    else:
        newest.write_bytes(content[: len(content) // 2] if damage == "half" else damage)  # type: ignore[arg-type]
    resumed = train(small(), tmp_path / "run", resume=True, progress=False)
    assert_equal_runs(resumed, whole)
    said = " ".join(capsys.readouterr().err.split())
    assert ("metrics.ckpt is damaged: going on from the one before" in said) == (
        damage != "missing"
    )


def test_a_run_never_starts_over_in_silence(tmp_path: Path) -> None:
    train(small(epochs=2), tmp_path / "run", progress=False)
    newest = tmp_path / "run" / "checkpoints" / "metrics.ckpt"
    before = {f: f.read_bytes() for f in (tmp_path / "run").iterdir() if f.is_file()}
    for file in (newest, previous(newest)):
        file.write_bytes(b"")
    with pytest.raises(LavasegError, match="and the checkpoint before it are damaged"):
        train(small(), tmp_path / "run", resume=True, progress=False)
    for file in (newest, previous(newest)):
        file.unlink()
    with pytest.raises(LavasegError, match=r"metrics\.ckpt is missing, though metrics\.csv shows"):
        train(small(), tmp_path / "run", resume=True, progress=False)
    assert {f: f.read_bytes() for f in before} == before


def test_checkpoints_never_pass_through_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "gone"
    monkeypatch.setattr(tempfile, "tempdir", str(nowhere))
    io, path = WholeCheckpoints(), tmp_path / "new" / "a.ckpt"
    io.save_checkpoint({"epoch": 1}, path)
    io.save_checkpoint({"epoch": 2}, path)

    def full(_: Any, file: Any) -> None:
        file.write(b"part of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(LavasegError, match=r"a\.ckpt cannot be written: No space left"):
        io.save_checkpoint({"epoch": 3}, path)
    assert sorted(f.name for f in path.parent.iterdir()) == ["a.ckpt", "a.previous.ckpt"]
    assert torch.load(path) == {"epoch": 2}
    assert torch.load(previous(path)) == {"epoch": 1}


def test_two_commands_never_write_one_run(tmp_path: Path, whole: Run) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from lavaseg.system.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", holder, str(whole.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        refused = rf"written by another command \(process {other.pid}\)"
        with pytest.raises(LavasegError, match=refused):
            train(small(epochs=4), whole.path, resume=True, progress=False)
        with pytest.raises(LavasegError, match=refused):
            export(whole, tmp_path / "a.net", progress=False)
        other.kill()
    with locked(whole.path):  # the system let go
        pass
    assert whole.recipe == Run.open(whole.path).recipe


def test_parts_of_killed_writers_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    (tmp_path / "checkpoints").mkdir()
    dead = [tmp_path / f".metrics.csv.{ended.pid}.part"]
    dead.append(tmp_path / "checkpoints" / f".metrics.ckpt.{ended.pid}.part")
    others = [tmp_path / name for name in (f".verify.json.{os.getpid()}.part", ".x.part", "9.part")]
    for file in (*dead, *others):
        file.write_bytes(b"half")
    with locked(tmp_path):
        assert not any(file.exists() for file in dead)
        assert all(file.exists() for file in others)


def test_a_file_system_without_locks_is_said_and_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with locked(tmp_path):
        pass
    assert "cannot be locked (No locks available)" in " ".join(capsys.readouterr().err.split())


def test_a_call_that_failed_can_be_repeated_as_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analog = ("model={name: ann_fcn, options: {width: 4}}", "rmp.weight=0.1")
    with pytest.raises(LavasegError, match="membranes"):
        train(small(*analog, epochs=1), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()

    def broken(*_: Any) -> None:
        raise LavasegError("picture 7 is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "training_step", broken)
        with pytest.raises(LavasegError, match="picture 7"):
            train(small(epochs=1), tmp_path / "run", progress=False)
    run = train(small("seed=5", epochs=1), tmp_path / "run", progress=False)
    assert run.recipe.seed == 5
    assert len(run.history()) == 1


def test_other_threads_and_versions_are_said_on_resuming(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(small(epochs=1), tmp_path / "run", progress=False)
    found = run.files.surroundings.load()
    assert found["threads"] == torch.get_num_threads()
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0] or found["versions"]
    train(small(epochs=1), tmp_path / "run", resume=True, progress=False)
    assert "other surroundings" not in capsys.readouterr().err
    run.files.surroundings.save({**found, "threads": 77})
    train(small(epochs=2), tmp_path / "run", resume=True, progress=False)
    assert f"threads 77 -> {found['threads']}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(
    tmp_path: Path, whole: Run
) -> None:
    command = [sys.executable, "-m", "lavaseg", "train", "demo", "-o", str(tmp_path / "run")]
    for field in (*FIELDS, "training.epochs=3"):
        command += ["--set", field]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    for moment in (0.0, 0.4):
        known = tmp_path / "run" / "recipe.yaml"
        resume = ["--resume"] * known.exists()
        with subprocess.Popen([*command, *resume], env=environment) as training:
            limit = time.monotonic() + 60
            while not known.exists() and time.monotonic() < limit:
                time.sleep(0.02)
            time.sleep(moment + (4 if resume else 0))
            training.send_signal(signal.SIGKILL)
    subprocess.run([*command, "--resume"], env=environment, check=True)
    assert_equal_runs(Run.open(tmp_path / "run"), whole)
