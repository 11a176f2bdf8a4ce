"""Hands a bundle to Slurm, follows its job, and brings its results back; no job is forgotten."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lavaseg.deploy.backends import BACKENDS, check_backend
from lavaseg.deploy.cloud.bundle import Bundle
from lavaseg.deploy.cloud.collect import Judgement, judge
from lavaseg.deploy.cloud.results import LOG, RESULT, RESULTS, read_results
from lavaseg.deploy.loihi2.job import check_power, profile_kinds
from lavaseg.deploy.loihi2.system import System
from lavaseg.deploy.slurm import jobs
from lavaseg.deploy.slurm.cluster import choose, find_cluster
from lavaseg.deploy.slurm.commands import NoSlurm
from lavaseg.errors import LavasegError
from lavaseg.system.files import last_line, new_folder
from lavaseg.system.signals import deferred_signals, signals_interrupt
from lavaseg.system.words import command

UNPACKED = "bundle"
"""The bundle in the folder of a job, beside `RESULTS` and `LOG`."""

_POLL = 1.0
"""Seconds between two looks at the queue."""
_LOST = 300.0
"""Seconds of silence after which Slurm is given up."""
_ARRIVAL = 30.0
"""Seconds that a file of an ended job may take to be seen here: its file system may be remote."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A bundle in Slurm's hands.

    Args:
        number: Slurm's.
        folder: its folder.
        bundle: what it runs.
        partition, board: where, at most one of them; None: Slurm's default partition.
    """

    number: str
    folder: Path
    bundle: Bundle
    partition: str | None = None
    board: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A bundle unpacked into the folder of a job that is not submitted yet.

    Args:
        bundle, folder: what it runs, and its folder.
        options, script, words, python: for `jobs.submit_script`.
        partition, board: as of `Job`.
    """

    bundle: Bundle
    folder: Path
    options: list[str]
    script: Path
    words: list[str]
    python: str
    partition: str | None
    board: str | None


def prepare(
    bundle: str | Path,
    folder: str | Path,
    *,
    backend: str | None = None,
    partition: str | None = None,
    board: str | None = None,
    generation: str | None = None,
    minutes: int | None = None,
    profile: str | None = None,
    python: str = sys.executable,
) -> Prepared:
    """Unpack a bundle into a new folder, from which it can be submitted to Slurm.

    The folder must be one that the boards' hosts see, too, such as one in a home on a cloud.

    Args:
        bundle: its file.
        folder: for bundle, log and results; must be new.
        backend: what it runs on; by default what the bundle says.
        partition, board: where, at most one of them; by default Slurm's default partition.
        generation: of the chip; by default the most common.
        minutes: that the job may take; by default what the partition says.
        profile: what the board measures: "all", or kinds with commas.
        python: interpreter of the job.

    Raises:
        LavasegError: a damaged bundle, no such partition or board, one that takes no jobs, a
            folder that exists, or Slurm refuses. Nothing is left behind then.
    """
    opened = Bundle.open(bundle)
    if backend is not None:
        check_backend(backend, tuple(BACKENDS))
    System(board, partition, generation=generation)
    kinds = profile_kinds(profile, backend or opened.manifest["backend"])
    check_power(kinds, None if board else partition)
    try:
        options = choose(find_cluster(), partition, board, minutes)
    except NoSlurm as error:
        raise LavasegError(
            f"{error}: unpack a bundle where it is to run, and see its README.txt"
        ) from None
    folder = Path(folder).resolve()
    if folder.exists():
        raise LavasegError(f"--out {folder} exists already: choose a new folder")
    with new_folder(folder) as part:
        (part / UNPACKED).mkdir()
        opened.archive.unpack(part / UNPACKED)
    script = folder / UNPACKED / "job.sbatch"
    words = [f"--out={folder / RESULTS}"]
    given = {"backend": backend, "partition": partition, "board": board, "profile": profile}
    given["loihi-gen"] = generation
    words += [f"--{name}={value}" for name, value in given.items() if value]
    log = str(folder / LOG).replace("%", "%%")  # which sbatch would take for a pattern
    # whatever SBATCH_EXPORT says, the job is to find its interpreter
    options += [f"--chdir={script.parent}", f"--output={log}", "--export=ALL"]
    return Prepared(opened, folder, options, script, words, python, partition, board)


def submit(prepared: Prepared) -> Job:
    """Submit to Slurm, without following it; an interrupt leaves no job in the queue.

    Raises:
        LavasegError: Slurm refuses it. Nothing is left behind then.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; nothing is left behind, either.
    """
    job: Job | None = None
    try:
        with signals_interrupt(), deferred_signals():
            job = _hand_over(prepared)
    except KeyboardInterrupt:
        if job is not None:
            _drop(job)
        raise
    return job


def submit_and_follow(prepared: Prepared, say: Say, *, leave: bool = False) -> Judgement:
    """`submit` and `follow`, with no instruction between them at which an interrupt loses the job.

    Raises:
        LavasegError, KeyboardInterrupt: as both.
    """
    with signals_interrupt(), deferred_signals() as resume:
        job = _hand_over(prepared)
        return follow(job, say, leave=leave, resume=resume)


def _hand_over(prepared: Prepared) -> Job:
    try:
        number = jobs.submit_script(
            prepared.options, prepared.script, prepared.words, {"PYTHON": prepared.python}
        )
    except BaseException:
        shutil.rmtree(prepared.folder, ignore_errors=True)
        raise
    return Job(number, prepared.folder, prepared.bundle, prepared.partition, prepared.board)


def follow(
    job: Job, say: Say, *, leave: bool = False, resume: Callable[[], object] | None = None
) -> Judgement:
    """Wait for a job, saying its states and what it prints, and judge its results.

    Args:
        say: called with each line.
        leave: an interrupt leaves the job in the queue; else it is cancelled, and its folder
            removed.
        resume: lets signals in that wait, once they are provided for.

    Raises:
        LavasegError: the job failed, was cancelled, reached its limit, cannot start, or Slurm does
            not answer. But for the last, nothing is left behind.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; says what became of the job.
    """
    try:
        with signals_interrupt():
            if resume is not None:
                resume()
            state = _wait(job, say)
    except KeyboardInterrupt:
        if leave:
            raise KeyboardInterrupt(
                f"interrupted; job {job.number} goes on: {command('collect', job.folder)} when it "
                f"has ended, `scancel {job.number}` ends it"
            ) from None
        _drop(job)
        raise KeyboardInterrupt(f"interrupted; job {job.number} was cancelled") from None
    except LavasegError:
        raise
    except BaseException:  # nobody would follow it any more
        _drop(job)
        raise
    if not _arrived(job, state):
        sentence = _end(job, state)
        shutil.rmtree(job.folder, ignore_errors=True)
        raise LavasegError(sentence)
    return judge(read_results(job.folder / RESULTS, job.bundle))


def _wait(job: Job, say: Say) -> jobs.State:
    """Follow the job to its end."""
    before = None
    log = _LogTail(job.folder / LOG)
    while True:
        try:
            state = jobs.patiently(lambda: jobs.state_of(job.number), _LOST, _POLL)
        except LavasegError as error:
            raise LavasegError(f"{error}; {_perhaps_left(job)}") from None
        if state != before:
            say(_in_words(job, state))
            before = state
        for line in log.lines():
            say(line)
        if state.ended:
            return state
        if state.name == "PENDING" and (
            why := jobs.obstacle(state.reason, "board", job.partition, job.board)
        ):
            _drop(job)
            raise LavasegError(
                f"job {job.number} cannot start ({state.reason}) and was cancelled; {why}"
            )
        time.sleep(_POLL)


def _perhaps_left(job: Job) -> str:
    return (
        f"job {job.number} may still be in the queue (`scancel {job.number}` ends it), its folder "
        f"is {job.folder}"
    )


def _in_words(job: Job, state: jobs.State) -> str:
    text = f"job {job.number} {(state.name or 'gone from the queue').lower()}"
    if state.name == "PENDING" and state.reason != "None":
        return f"{text} ({state.reason})"
    return f"{text} on {state.nodes}" if state.nodes and not state.ended else text


def _drop(job: Job) -> None:
    """Cancel a job, wait until it has ended, and remove its folder."""
    try:
        jobs.cancel(job.number)
    except LavasegError as error:
        raise LavasegError(f"{error}; {_perhaps_left(job)}") from None
    patience = time.monotonic() + _LOST
    while not jobs.state_of(job.number).ended and time.monotonic() < patience:
        time.sleep(_POLL / 4)
    shutil.rmtree(job.folder, ignore_errors=True)


def _arrived(job: Job, state: jobs.State) -> bool:
    """Whether the job's results are there; those of one that ended well may take their time."""
    patience = time.monotonic() + (_ARRIVAL if state.name in ("COMPLETED", "") else 0)
    while not (found := (job.folder / RESULTS / RESULT).exists()):
        if time.monotonic() > patience:
            break
        time.sleep(_POLL)
    return found


def _end(job: Job, state: jobs.State) -> str:
    """Why a job left no results."""
    if said := jobs.end_in_words(state.name, "board"):
        return f"job {job.number} {said}"
    last = last_line(job.folder / LOG) or "it printed nothing"
    return f"job {job.number} failed: {last.removeprefix('error: ')}"


class _LogTail:
    """The lines of a growing file, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0

    def lines(self) -> list[str]:
        """Lines that were finished since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._seen)
                content = file.read()
        except OSError:  # not there yet
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._seen += len(whole)
        return whole.decode("utf-8", "replace").splitlines()
