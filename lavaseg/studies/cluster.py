"""The jobs of a study as one array of Slurm's jobs, followed to their end.

No file says what was submitted: the name of the array follows from the study's folder, so the queue
itself is asked. Who was away, or killed, takes up the array that is still there.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import TypeVar

from lavaseg.deploy.slurm import jobs as queue
from lavaseg.deploy.slurm.cluster import choose, find_cluster
from lavaseg.deploy.slurm.commands import NoSlurm
from lavaseg.errors import LavasegError
from lavaseg.runs.run import make_folder
from lavaseg.studies.local import Report
from lavaseg.studies.plan import Job, Plan
from lavaseg.studies.pool import Pool
from lavaseg.system.files import last_line
from lavaseg.system.progress import line
from lavaseg.system.signals import deferred_signals, signals_interrupt
from lavaseg.system.words import counted

Answer = TypeVar("Answer")

LOGS = "slurm"
"""Folder in a study's folder: what each job of an array printed."""

_POLL = 1.0
"""Seconds between two looks at the queue, at first."""
_SLOWEST = 15.0
"""The same after some minutes: a busy controller is not to be asked for nothing."""
_LOST = 3600.0
"""Seconds of silence after which Slurm is given up; its jobs go on without its controller."""
_LEAVING = 300.0
"""Seconds that cancelled jobs may take to leave the queue."""
_ARRIVAL = 30.0
"""Seconds until results of an ended job are seen here at the latest: files may be remote."""
_NEVER = ("BadConstraints", "PartitionTimeLimit")
"""Reasons for which jobs would wait for ever; a partition that is down comes back."""
_OURS = {
    "--array": "--jobs", "-a": "--jobs", "--partition": "--partition", "-p": "--partition",
    "--time": "--time", "-t": "--time", "--gres": "--gres",
    **dict.fromkeys(
        ("--output", "-o", "--error", "-e", "--job-name", "-J", "--chdir", "-D", "--export",
         "--comment", "--parsable", "--wrap", "--wait", "-W", "--test-only"), ""
    ),
}  # fmt: skip
"""Options of `sbatch` that a study sets, and the option of ours that changes it, if any."""


@dataclass(frozen=True)
class Request:
    """What is asked of Slurm.

    Args:
        partition: where the jobs run; None: Slurm's default partition.
        at_once: most jobs at a time; None: as many as Slurm gives.
        minutes: that each job may take; None: as the partition says.
        gres: what each job needs, in Slurm's words, such as "gpu:1".
        sbatch: further options of `sbatch`, such as "--mem=16G".
        python: interpreter of the jobs.

    Raises:
        LavasegError: an option that is none, or that the study sets.
    """

    partition: str | None = None
    at_once: int | None = None
    minutes: int | None = None
    gres: str | None = None
    sbatch: tuple[str, ...] = ()
    python: str = field(default_factory=lambda: sys.executable)

    def __post_init__(self) -> None:
        for word in self.words:
            if not word.startswith("-") or word == "--":
                raise LavasegError(
                    f"--sbatch {word!r}: expected an option of sbatch with its value after =, such "
                    "as --mem=16G"
                )
            name = word.partition("=")[0] if word.startswith("--") else word[:2]
            if name in _OURS:
                instead = f"give {_OURS[name]}" if _OURS[name] else "leave it out"
                raise LavasegError(f"--sbatch {word!r}: a study sets {name} itself; {instead}")

    @property
    def words(self) -> list[str]:
        """The further options as single words."""
        try:
            return [word for text in self.sbatch for word in shlex.split(text)]
        except ValueError as error:
            raise LavasegError(f"--sbatch {' '.join(self.sbatch)!r}: {error}") from None


@dataclass(frozen=True)
class Array:
    """An array of jobs in Slurm's hands.

    Args:
        number: Slurm's.
        folder: of the study's results.
    """

    number: str
    folder: Path

    def states(self) -> dict[int, queue.State]:
        """States of its jobs by index, as far as Slurm remembers them."""
        return queue.states_of(self.number, _name(self.folder))

    def going(self) -> set[int]:
        """Indices of its jobs that have not ended."""
        return {index for index, state in self.states().items() if not state.ended}

    def log(self, index: int) -> Path:
        """What a job printed."""
        return self.folder / LOGS / f"{self.number}-{index}.log"


def run_array(
    folder: Path,
    planned: Plan,
    todo: Sequence[int],
    pool: Pool,
    report: Report,
    *,
    request: Request,
    note: Callable[[str], object] = line,
) -> dict[int, str]:
    """Have Slurm do jobs of the study in a folder of results, and wait for them.

    An array of the study that is still in the queue is followed first; what it leaves undone
    without having failed is submitted then.

    Args:
        folder: which the jobs must see, too, where they run.
        planned: the study's jobs.
        todo: indices of those to do, in this order.
        report: called as each ends.
        note: called with sentences about all of them.

    Returns:
        Why jobs failed, by index: Slurm's state, a sentence, and the log.

    Raises:
        LavasegError: Slurm refuses, does not answer for an hour, or has another version of the
            study in its queue.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; the array was cancelled.
    """
    folder, jobs = folder.resolve(), planned.jobs
    queued = find_array(folder, jobs)
    failed: dict[int, str] = {}
    if queued:
        note(f"array {queued.number} of this study is still in Slurm's queue: it is followed")
        following = _Following(queued, jobs, pool, request, report, note)
        with signals_interrupt():
            failed = following.to_the_end(queued.going() & {*todo})
    missing = [i for i in todo if i not in failed and (not queued or pool.is_open(jobs[i]))]
    if not missing:
        return failed
    where = places(request)
    with signals_interrupt(), deferred_signals() as resume:
        array = _submit(folder, _version(jobs), missing, request, where)

        def begin() -> None:
            resume()
            note(f"submitted: {counted(len(missing), 'job')} as array {array.number}")

        following = _Following(array, jobs, pool, request, report, note)
        return failed | following.to_the_end(missing, begin)


def find_array(folder: Path, jobs: Sequence[Job]) -> Array | None:
    """The array of a study that is in Slurm's queue.

    Raises:
        LavasegError: it is of another version of the study, or Slurm does not answer.
    """
    folder = folder.resolve()
    for number, comment in _on_slurm(lambda: queue.arrays_named(_name(folder))).items():
        if comment != _version(jobs):
            raise LavasegError(
                f"array {number} in Slurm's queue is of another version of study {folder.name}: "
                f"wait for its end, or end it with `scancel {number}`"
            )
        return Array(number, folder)
    return None


def _name(folder: Path) -> str:
    """Name of a study's jobs, the same for the same folder."""
    return f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def _version(jobs: Sequence[Job]) -> str:
    """Says what the job of each index does."""
    text = json.dumps([[job.key, *(m.model_dump_json() for m in job.measures)] for job in jobs])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def places(request: Request) -> list[str]:
    """Options of `sbatch` that say where the jobs run, and for how long.

    Raises:
        LavasegError: there is no Slurm here, no such partition, or it takes no such jobs.
    """
    return _on_slurm(lambda: choose(find_cluster(), request.partition, None, request.minutes))


def _on_slurm(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except NoSlurm as error:
        raise LavasegError(f"{error}: without --slurm, jobs run on this machine") from None


def _submit(
    folder: Path, version: str, missing: Sequence[int], request: Request, where: Sequence[str]
) -> Array:
    logs = folder / LOGS
    make_folder(logs)
    most = "" if request.at_once is None else f"%{request.at_once}"
    options = [
        *request.words,
        *where,
        *([f"--gres={request.gres}"] if request.gres else []),
        f"--array={','.join(map(str, missing))}{most}",
        f"--output={str(logs).replace('%', '%%')}/%A-%a.log",
        f"--chdir={Path.cwd()}",
        f"--comment={version}",
        "--export=ALL",  # whatever SBATCH_EXPORT says, the jobs are to find their interpreter
    ]
    with as_file(files("lavaseg.studies").joinpath("array.sbatch")) as script:
        number = queue.submit_script(
            options, script, [str(folder)], {"PYTHON": request.python}, _name(folder)
        )
    return Array(number, folder)


class _Following:
    """The jobs of an array until each has ended."""

    def __init__(
        self,
        array: Array,
        jobs: Sequence[Job],
        pool: Pool,
        request: Request,
        report: Report,
        note: Callable[[str], object],
    ) -> None:
        self._array, self._jobs, self._pool = array, jobs, pool
        self._request, self._report, self._note = request, report, note
        self._failed: dict[int, str] = {}
        self._open: set[int] = set()
        self._started: dict[int, float] = {}
        self._ended: dict[int, float] = {}
        self._said = {"", "None"}
        self._silent = False

    def to_the_end(
        self, indices: Collection[int], begin: Callable[[], object] = lambda: None
    ) -> dict[int, str]:
        """Wait for some jobs of the array; an interrupt cancels it.

        Args:
            begin: lets signals in that wait.

        Returns:
            Why jobs failed, by index.
        """
        self._open = {*indices}
        number = self._array.number
        try:
            begin()
            self._wait()
        except KeyboardInterrupt:
            self._drop()
            raise KeyboardInterrupt(f"interrupted; array {number} was cancelled") from None
        except LavasegError:
            raise
        except BaseException:  # nobody would follow it any more
            self._drop()
            raise
        return self._failed

    def _wait(self) -> None:
        begun = time.monotonic()
        while True:
            self._look(self._states())
            if not self._open:
                return
            time.sleep(min(_SLOWEST, _POLL + (time.monotonic() - begun) / 60))

    def _states(self) -> dict[int, queue.State]:
        try:
            found = queue.patiently(self._array.states, _LOST, _POLL, self._is_silent)
        except LavasegError as error:
            number = self._array.number
            raise LavasegError(
                f"{error}; array {number} may still run: the same command takes it up again, "
                f"`scancel {number}` ends it"
            ) from None
        if self._silent:
            self._note("Slurm answers again")
            self._silent = False
        return found

    def _is_silent(self, error: LavasegError) -> None:
        if not self._silent:
            self._note(f"{error}; its jobs go on, and it is asked again")
        self._silent = True

    def _look(self, states: Mapping[int, queue.State]) -> None:
        """Tell what has changed since the last look."""
        for index in sorted(self._open):
            state = states.get(index, queue.State(""))
            if state.ended:
                self._end(index, state)
            elif state.name != "PENDING":
                self._started.setdefault(index, time.monotonic())
        self._say_why_it_waits([states[index] for index in self._open & states.keys()])

    def _end(self, index: int, state: queue.State) -> None:
        """Report a job that has ended, once its results are there or will not come any more."""
        now = time.monotonic()
        self._ended.setdefault(index, now)
        why = ""
        try:
            done = self._pool.is_done(self._jobs[index])
        except LavasegError as error:
            done, why = False, f"{error}"
        if not done:
            if state.name in ("COMPLETED", "") and now < self._ended[index] + _ARRIVAL:
                return
            self._failed[index] = why = self._failure(index, state, why)
        self._open.remove(index)
        ended = self._ended[index]
        self._report(index, ended - self._started.get(index, ended), why)

    def _failure(self, index: int, state: queue.State, why: str) -> str:
        log = self._array.log(index)
        last = why or last_line(log).removeprefix("error: ") or "it printed nothing"
        verb = "failed" if state.name == "FAILED" else "left no results"
        said = queue.end_in_words(state.name, "node") or f"{verb}: {last}"
        name = state.name or "gone from the queue"
        return f"job {self._array.number}_{index} {said} ({name}; log: {log})"

    def _say_why_it_waits(self, states: Collection[queue.State]) -> None:
        """Where jobs wait and none runs, say why; cancel what would wait for ever."""
        waiting = [state.reason for state in states if state.name == "PENDING"]
        if len(waiting) < len(states) or not waiting:
            return
        number, reason = self._array.number, waiting[0]
        if reason.startswith(_NEVER):
            self._drop()
            raise LavasegError(f"array {number} cannot start ({reason}) and was cancelled")
        if reason not in self._said:
            why = queue.obstacle(reason, "node", self._request.partition)
            self._note(
                f"{counted(len(waiting), 'job')} of array {number} wait ({reason})"
                + (f": {why}" if why else "")
            )
            self._said.add(reason)

    def _drop(self) -> None:
        """Cancel the array, and wait until all of it has ended."""
        number = self._array.number
        try:
            queue.cancel(number)
            end = time.monotonic() + _LEAVING
            while queue.patiently(self._array.going, _LEAVING, _POLL):
                if time.monotonic() > end:
                    raise LavasegError(f"jobs of array {number} do not end")
                time.sleep(_POLL / 4)
        except LavasegError as error:
            raise LavasegError(
                f"{error}; array {number} may still be in the queue: `scancel {number}` ends it"
            ) from None
