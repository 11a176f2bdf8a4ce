"""The jobs of a study as an array of a real Slurm: each done once, no job left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from study_jobs import Notes, Trial, arrays_of, in_place_of, make_trial, own_command, queued
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.deploy.slurm.cluster import find_cluster
from lavaseg.errors import LavasegError
from lavaseg.studies import cluster
from lavaseg.studies.cluster import Request, find_array


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    return make_trial(tmp_path, monkeypatch)


def test_an_array_does_every_job_with_no_more_at_a_time_than_asked_for(
    trial: Trial, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")  # the jobs would not find their interpreter
    for index in range(4):
        trial.does(index, "sleep 0.5")
    assert trial.run(Request("kp", 1, 5, sbatch=("--nice=3 --cpus-per-task=1",))) == {}
    assert trial.reports == dict.fromkeys(range(4), "")
    assert sorted(trial.began) == [0, 1, 2, 3]
    kinds = [words.split()[0] for words in trial.happened]
    assert kinds == ["begin", "end"] * 4
    (number,) = arrays_of(trial)
    logs = {path.name: path.read_text() for path in (trial.folder / cluster.LOGS).iterdir()}
    assert logs == {f"{number}-{i}.log": f"job {i} of 1 threads\n" for i in range(4)}
    assert trial.notes[0] == f"submitted: 4 jobs as array {number}"
    assert not queued()


def test_jobs_that_fail_or_are_cancelled_are_named_and_only_they_are_done_again(
    trial: Trial, slurm: Path
) -> None:
    trial.does(1, "echo 'error: the loss is not finite'; exit 2")
    trial.does(2, "scancel ${SLURM_ARRAY_JOB_ID}_2; sleep 600")
    failed = trial.run(Request(at_once=4))
    (number,) = arrays_of(trial)
    logs = trial.folder / cluster.LOGS
    assert failed == {
        1: f"job {number}_1 failed: the loss is not finite (FAILED; log: "
        f"{logs / f'{number}-1.log'})",
        2: f"job {number}_2 was cancelled (scancel) before it had ended (CANCELLED; log: "
        f"{logs / f'{number}-2.log'})",
    }
    assert trial.reports == {0: "", 3: "", **failed}
    before = len(trial.began)
    trial.does(1, "")
    trial.does(2, "")
    assert trial.run() == {}
    assert sorted(trial.began[before:]) == [1, 2]
    assert not queued()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_array_and_waits_until_it_has_ended(
    trial: Trial, slurm: Path, number: signal.Signals
) -> None:
    for index in (1, 2, 3):
        trial.does(index, "sleep 600")
    trial.upon = lambda: os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt) as caught:
        trial.run(Request(at_once=2))
    (array,) = arrays_of(trial)
    assert str(caught.value) == f"interrupted; array {array} was cancelled"
    assert not queued()


def test_an_interrupt_in_the_moment_after_sbatch_leaves_no_job(
    trial: Trial, slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of("sbatch", '$REAL "$@"\nkill -INT $PPID\n', tmp_path / "bin", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        trial.run()
    assert not queued()


def test_a_controller_that_is_away_for_a_while_loses_nothing(
    trial: Trial, slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers the first question, whether there is an array, and then not for three."""
    script = "echo >> asked\ncase $(wc -l < asked) in 2|3|4) echo gone >&2; exit 1;; esac\n"
    in_place_of("squeue", f'{script}exec $REAL "$@"\n', tmp_path / "bin", monkeypatch)
    assert trial.run() == {}
    assert sorted(trial.began) == [0, 1, 2, 3]
    silent = "Slurm's squeue failed: gone; its jobs go on, and it is asked again"
    assert trial.notes[1:3] == [silent, "Slurm answers again"]
    assert len(arrays_of(trial)) == 1


def test_an_array_that_nobody_follows_any_more_is_taken_up_not_submitted_again(
    trial: Trial, slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        trial.does(index, "while [ ! -e go ]; do sleep 0.1; done")
    script = 'if [ -e ../away ]; then echo gone >&2; exit 1; fi\nexec $REAL "$@"\n'
    in_place_of("squeue", script, tmp_path / "bin", monkeypatch)
    in_place_of("sbatch", 'touch ../away\nexec $REAL "$@"\n', tmp_path / "bin", monkeypatch)
    monkeypatch.setattr(cluster, "_LOST", 0.0)
    with pytest.raises(LavasegError, match=r"may still run: the same command takes it up again"):
        trial.run(Request(at_once=2))
    (tmp_path / "away").unlink()
    (number,) = arrays_of(trial)
    assert find_array(trial.folder, trial.jobs) == cluster.Array(number, trial.folder)
    with pytest.raises(LavasegError, match=f"array {number} .* is of another version of study"):
        find_array(trial.folder, trial.jobs[1:])
    (trial.folder / "go").touch()
    trial.notes.clear()
    assert trial.run() == {}
    assert trial.notes[0].startswith(f"array {number} of this study is still in Slurm's queue")
    assert sorted(trial.began) == [0, 1, 2, 3]
    assert arrays_of(trial) == {number}


def test_a_partition_that_goes_down_is_said_and_waited_for(
    trial: Trial, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = find_cluster()
    set_partition("down")
    try:
        with pytest.raises(LavasegError, match="partition 'kp' takes no job: it is not up"):
            trial.run()
        # and where it goes down in the moment after it was looked at
        monkeypatch.setattr(cluster, "find_cluster", lambda: before)
        note = trial.notes.append

        def noted(text: str) -> None:
            note(text)
            if "PartitionDown" in text:
                set_partition("up")

        trial.notes = Notes(noted)
        assert trial.run() == {}
        assert any("4 jobs of array" in text and "PartitionDown" in text for text in trial.notes)
    finally:
        set_partition("up")


def set_partition(state: str) -> None:
    subprocess.run(["scontrol", "update", "partitionname=kp", f"state={state}"], check=True)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Request("loihi"), "no partition 'loihi'; there are kp, vpx"),
        (Request("vpx"), "partition 'vpx' takes no job: board-2 is down"),
        (Request(minutes=61), "--time 61: partition 'kp' lets a job take 60 minutes at most"),
        (Request(gres="gpu:9"), "Slurm's sbatch failed: .*gres"),
        (Request(sbatch=("--nonsense",)), "Slurm's sbatch failed: .*--nonsense"),
    ],
)
def test_what_slurm_cannot_give_is_refused_and_leaves_no_job(
    trial: Trial, slurm: Path, request_: Request, sentence: str
) -> None:
    with pytest.raises(LavasegError, match=sentence):
        trial.run(request_)
    assert not trial.notes
    assert not queued()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return own_command(tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_study_on_slurm_gives_its_results_and_names_the_run_that_failed(
    own: list[str], slurm: Path, tmp_path: Path
) -> None:
    words = ["--partition", "kp", "--jobs", "2", "--time", "10", "--json"]
    called = CliRunner().invoke(app, [*own, *words])
    assert called.exit_code == 1, called.output
    found = json.loads(called.stdout)
    assert {value["data"] for value in found["values"]} == {"digits"}
    (title, why), *others = found["failed"].items()
    assert (title, others) == ("data gone, seed 0", [])
    log = next((tmp_path / "runs" / "studies" / "own" / cluster.LOGS).glob("*-1.log"))
    assert "not found in gone" in why
    assert why.endswith(f"(FAILED; log: {log})")
    assert f"failed: {title}: {why}" in called.stderr
    assert not queued()
