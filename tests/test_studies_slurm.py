"""The jobs of a study as one Slurm array: each done once, failures named, no job left behind.

Slurm is a real one where it is installed. What it does in minutes or when machines break (limits,
nodes that fail) is played by programs in the place of its commands.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lavaseg import recipes
from lavaseg.deploy.slurm.cluster import find_cluster
from lavaseg.errors import LavasegError
from lavaseg.studies import cluster
from lavaseg.studies.cluster import Request, find_array, run_array
from lavaseg.studies.plan import Job, Plan
from lavaseg.studies.pool import Pool
from lavaseg.studies.study import Study

STUDY = Study(name="tiny", title="Nothing", measure=("test",))
WORK = """#!/bin/sh
# in the place of: python -u -m lavaseg study task FOLDER INDEX
cd "$6" && echo "begin $7" >> happened && echo "job $7 of $OMP_NUM_THREADS threads"
if [ -e "do-$7" ]; then . "./do-$7"; fi
touch "done-$7" && echo "end $7" >> happened
"""


class Marked(Pool):
    """A pool in which a job is done as soon as there is a file that says so."""

    def is_done(self, job: Job) -> bool:
        return (self.folder / f"done-{job.key}").exists()


@dataclass
class Trial:
    """A study of some jobs, each of which runs `WORK` and what a test adds to it."""

    folder: Path
    python: str
    jobs: list[Job] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reports: dict[int, str] = field(default_factory=dict)
    upon: Callable[[], object] = lambda: None
    """What is done when the first job has ended."""

    def run(self, request: Request | None = None) -> dict[int, str]:
        """Run what is missing."""
        pool = Marked(self.folder)

        def report(index: int, seconds: float, why: str) -> None:
            assert seconds >= 0
            self.reports[index] = why
            if len(self.reports) == 1:
                self.upon()

        todo = [i for i, job in enumerate(self.jobs) if not pool.is_done(job)]
        return run_array(
            self.folder,
            Plan(STUDY, tuple(self.jobs), ()),
            todo,
            pool,
            report,
            request=replace(request or Request(), python=self.python),
            note=self.notes.append,
        )

    def does(self, index: int, script: str) -> None:
        """Let a job do something before it is done."""
        (self.folder / f"do-{index}").write_text(script)

    @property
    def happened(self) -> list[str]:
        """When each job began and ended."""
        return (self.folder / "happened").read_text().splitlines()

    @property
    def began(self) -> list[int]:
        return [int(words.split()[1]) for words in self.happened if words.startswith("begin")]


def job(key: str) -> Job:
    return Job(f"seed {key}", recipes.load("quick-deeplab"), key, ())


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    python = tmp_path / "python"
    python.write_text(WORK)
    python.chmod(0o755)
    folder = tmp_path / "100%j of 'them' %x" / "tiny"
    folder.mkdir(parents=True)
    monkeypatch.setattr(cluster, "_POLL", 0.1)
    return Trial(folder, str(python), [job(str(index)) for index in range(4)])


def queued(*options: str) -> list[str]:
    """Numbers of the jobs in the queue."""
    command = ["squeue", "-h", "-r", "-o", "%i", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def arrays_of(trial: Trial) -> set[str]:
    """The arrays that were ever submitted for a study, as far as Slurm remembers."""
    name = ("-n", cluster._name(trial.folder))
    return {number.partition("_")[0] for number in queued("-t", "all", *name)}


def in_place_of(command: str, script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the place of one of Slurm's, which is $REAL to it."""
    folder.mkdir(exist_ok=True)
    program = folder / command
    program.write_text(f"#!/bin/sh\nREAL={shutil.which(command)}\ncd {folder}\n{script}")
    program.chmod(0o755)
    if not os.environ["PATH"].startswith(f"{folder}:"):
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


# On a real Slurm.


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
        1: f"job {number}_1 left no results: the loss is not finite (FAILED; log: "
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


class Notes(list[str]):
    """Notes that something is done upon."""

    def __init__(self, upon: Callable[[str], object]) -> None:
        super().__init__()
        self._upon = upon

    def append(self, text: str) -> None:
        super().append(text)
        self._upon(text)


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


# With programs in the place of Slurm's.


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
