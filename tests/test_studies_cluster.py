"""What Slurm does to a study in minutes, or when machines break, by doubles of its commands."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from study_jobs import Notes, Trial, in_place_of, make_trial, own_command
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.studies import cluster
from lavaseg.studies.cluster import Request, find_array
from lavaseg.system.signals import signals_interrupt


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    return make_trial(tmp_path, monkeypatch)


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose file `queue` is what `squeue` says of array 7, and `called` what was asked."""
    folder = tmp_path / "double"
    nodes = "case \"$*\" in *--Node*) echo 'n1|gpu|up|idle';; *) echo 'gpu*|up|infinite';; esac\n"
    in_place_of("sinfo", nodes, folder, monkeypatch)
    in_place_of("sbatch", 'echo "$@" >> called\necho 7\n', folder, monkeypatch)
    squeue = 'case "$*" in *-j*) cat queue;; esac\n'
    in_place_of("squeue", squeue, folder, monkeypatch)
    in_place_of("scancel", 'echo "scancel $@" >> called; : > queue\n', folder, monkeypatch)
    return folder


def test_each_end_is_named_in_slurms_words_with_the_log(trial: Trial, double: Path) -> None:
    states = ["TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"]
    lines = [f"{index}|{state}|None|n1\n" for index, state in enumerate(states)]
    (double / "queue").write_text("".join(lines))
    failed = trial.run(Request("gpu", at_once=3, minutes=90, gres="gpu:1", sbatch=("--mem=16G",)))
    assert [failed[index].partition(" (")[0] for index in range(4)] == [
        "job 7_0 reached its time limit and was ended by Slurm; --time gives it more minutes",
        "job 7_1 was lost: its node failed while it ran",
        "job 7_2 was ended by Slurm: it took more memory than it may",
        "job 7_3 was ended by Slurm for a job that goes first",
    ]
    for index, state in enumerate(states):
        log = trial.folder / cluster.LOGS / f"7-{index}.log"
        assert failed[index].endswith(f"({state}; log: {log})")
    called = (double / "called").read_text().split()
    assert {"--array=0,1,2,3%3", "--partition=gpu", "--time=90"} <= {*called}
    assert {"--gres=gpu:1", "--mem=16G"} <= {*called}


def test_jobs_that_slurm_has_forgotten_are_judged_by_their_results(
    trial: Trial, double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_ARRIVAL", 0.3)
    (double / "queue").write_text("2|COMPLETED|None|n1\n")
    trial.notes = Notes(lambda _: [(trial.folder / f"done-{i}").touch() for i in (0, 1)])
    trial.upon = lambda: (trial.folder / "done-2").touch()  # its file system is slower than Slurm
    failed = trial.run()
    assert failed.keys() == {3}
    assert failed[3].startswith("job 7_3 left no results: it printed nothing (gone from the queue")


def test_an_array_that_is_held_back_is_in_the_queue_and_one_that_has_ended_is_not(
    trial: Trial, double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = cluster._version(trial.jobs)
    for state, there in (("SUSPENDED", True), ("REQUEUE_HOLD", True), ("CANCELLED", False)):
        in_place_of("squeue", f"echo '7|{state}|{version}'\n", double, monkeypatch)
        found = find_array(trial.folder, trial.jobs)
        assert found == (cluster.Array("7", trial.folder) if there else None)


def test_an_array_that_can_never_start_is_cancelled(trial: Trial, double: Path) -> None:
    (double / "queue").write_text("".join(f"{i}|PENDING|BadConstraints|\n" for i in range(4)))
    with pytest.raises(LavasegError) as caught:
        trial.run()
    assert str(caught.value) == "array 7 cannot start (BadConstraints) and was cancelled"
    assert "scancel 7" in (double / "called").read_text().splitlines()


def test_a_fault_in_following_cancels_the_array(trial: Trial, double: Path) -> None:
    (double / "queue").write_text("0|TIMEOUT|None|n1\n1|RUNNING|None|n1\n")

    def fail() -> None:
        raise RuntimeError

    trial.upon = fail
    with pytest.raises(RuntimeError):
        trial.run()
    assert "scancel 7" in (double / "called").read_text().splitlines()


def test_an_array_that_cannot_be_cancelled_is_named(
    trial: Trial, double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (double / "queue").write_text("0|TIMEOUT|None|n1\n1|RUNNING|None|n1\n")
    in_place_of("scancel", "echo gone >&2; exit 1\n", double, monkeypatch)
    trial.upon = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(LavasegError) as caught:
        trial.run()
    assert str(caught.value) == (
        "Slurm's scancel failed: gone; array 7 may still be in the queue: `scancel 7` ends it"
    )


def test_without_slurm_one_sentence_says_what_to_do(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(trial.folder))
    with pytest.raises(LavasegError) as caught:
        trial.run()
    assert str(caught.value) == (
        "Slurm is not installed here (squeue is not found): without --slurm, jobs run on this "
        "machine"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("mem=16G", "expected an option of sbatch with its value after =, such as --mem=16G"),
        ("--mem 16G", "'16G': expected an option of sbatch with its value after ="),
        ("--array=1-4", "a study sets --array itself; give --jobs"),
        ("-pgpu", "a study sets -p itself; give --partition"),
        ("--job-name=x", "a study sets --job-name itself; leave it out"),
        ("--comment='x", "No closing quotation"),
    ],
)
def test_options_of_sbatch_that_a_study_cannot_take_are_refused(words: str, sentence: str) -> None:
    with pytest.raises(LavasegError, match=sentence):
        Request(sbatch=(words,))


# Through the command.


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return own_command(tmp_path, monkeypatch)


def test_ctrl_c_says_what_became_of_the_array_and_how_to_go_on(
    own: list[str], double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = 'case "$*" in *-j*) cat queue; if [ -e called ]; then kill -INT $PPID; fi;; esac\n'
    in_place_of("squeue", script, double, monkeypatch)
    in_place_of("scancel", "rm called\n: > queue\n", double, monkeypatch)
    (double / "queue").write_text("0|RUNNING|None|n1\n1|PENDING|Resources|\n")
    monkeypatch.setattr(sys, "argv", ["lavaseg", *own])
    called = CliRunner().invoke(app, own)
    assert called.exit_code == 130, called.output
    assert called.stderr.splitlines()[-1] == (
        "interrupted; array 7 was cancelled: finished runs and epochs are kept, "
        "`lavaseg study run own.yaml --slurm` goes on from there"
    )


def test_a_place_that_is_not_there_is_refused_before_anything_is_written(
    own: list[str], double: Path, tmp_path: Path
) -> None:
    for words, sentence in (
        ([*own, "--partition", "moon"], "no partition 'moon'; there are gpu"),
        ([*own, "--sbatch", "--array=1"], "--sbatch '--array=1': a study sets --array itself"),
        (
            [*own[:-1], "--gres", "gpu:1"],
            "--partition, --time, --gres and --sbatch are for --slurm: add it",
        ),
    ):
        called = CliRunner().invoke(app, words)
        assert called.exit_code == 2, called.output
        assert called.output.startswith(f"error: {sentence}")
        assert not (tmp_path / "runs").exists()


def test_a_lost_terminal_stays_ignored_where_nohup_has_it_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
