"""A study of small jobs for tests of what runs them, and programs in the place of Slurm's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lavaseg import recipes
from lavaseg.studies import cluster
from lavaseg.studies.cluster import Request, run_array
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


def make_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """A study of four jobs, in a folder whose name is no help."""
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


class Notes(list[str]):
    """Notes that something is done upon."""

    def __init__(self, upon: Callable[[str], object]) -> None:
        super().__init__()
        self._upon = upon

    def append(self, text: str) -> None:
        super().append(text)
        self._upon(text)


OWN = """
name: own
title: A run, and one whose data are not there
recipe: demo
set: {training.epochs: 1, encoder.steps: 2, data.options: {train: 16, test: 8}}
seeds: [0]
axes: {data: {digits: {}, gone: {data.name: mnist-cifar10, data.options: {root: gone}}}}
measure: [test]
"""


def own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that runs a study of one's own on Slurm."""
    (tmp_path / "own.yaml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return ["study", "run", "own.yaml", "--slurm"]
