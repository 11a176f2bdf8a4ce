"""Run a study: what is missing is trained and measured, and results are written from all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.runs.run import make_folder
from lavaseg.studies import local
from lavaseg.studies.files import dump, load, load_kept
from lavaseg.studies.local import Report
from lavaseg.studies.plan import Plan, plan
from lavaseg.studies.pool import Pool
from lavaseg.studies.results import Results, gather
from lavaseg.studies.showing import write_outputs
from lavaseg.studies.study import Study
from lavaseg.studies.table import tables
from lavaseg.studies.verdicts import verdicts
from lavaseg.studies.work import STUDY, pool_of
from lavaseg.system.files import write_atomically
from lavaseg.system.lock import locked
from lavaseg.system.progress import line
from lavaseg.system.words import counted

Runner = Callable[[Path, Plan, Sequence[int], Pool, Report], dict[int, str]]
"""Does jobs of the study in a folder of results: (folder, plan, indices, pool, report called as
each ends) to why jobs failed, by index."""


@dataclass(frozen=True)
class StudyResult:
    """A study that was run, or is shown.

    Args:
        folder: where its outputs lie, or None.
        failed: why runs failed, by their titles.
    """

    study: Study
    results: Results
    folder: Path | None = None
    failed: dict[str, str] | None = None

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} runs failed" if self.failed else ""
        values = f"{len(self.results.values):,} values"
        return f"StudyResult({self.study.name!r}, {self.results.settings}, {values}{failed})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.study.name,
            "settings": self.results.settings,
            "folder": self.folder,
            "failed": self.failed or {},
            "tables": [
                {
                    "title": table.title,
                    "columns": [column.removeprefix(">") for column in table.columns],
                    "rows": table.rows,
                }
                for table in tables(self.study, self.results)
            ],
            "verdicts": [verdict.to_dict() for verdict in verdicts(self.study, self.results)],
            "values": [
                {**v.labels, "seed": v.seed, "quantity": v.quantity, "value": v.value}
                for v in self.results.values
            ],
        }


def run_study(
    study: str | Path | Study,
    *,
    quick: bool = False,
    full: bool = False,
    seeds: Iterable[int] | None = None,
    overrides: Iterable[str] = (),
    out: str | Path | None = None,
    jobs: int = 1,
    runner: Runner | None = None,
    progress: bool = True,
) -> StudyResult:
    """Run a study, or what is missing of it, and write its results.

    Args:
        study: name of one that ships, the path of a YAML file, or a study that was loaded.
        quick, full: the version of that name.
        seeds: instead of the study's own.
        overrides: "field=value" with dotted fields of the recipe, for all runs.
        out: folder of the results; runs/studies/NAME, with -quick or -full behind it, by default.
            The runs lie in the folder `runs` beside it, which studies share.
        jobs: runs at a time, each in a process of its own.
        runner: does the jobs elsewhere.
        progress: a line for each run that ends.

    Raises:
        LavasegError: a study that is wrong, before anything runs; or `out` cannot be written, is
            in use, or holds results that this study would not give again.
        KeyboardInterrupt: what has finished is kept; the same call goes on from there.
    """
    if quick and full:
        raise LavasegError("quick and full are two versions of a study: choose one")
    size = "quick" if quick else "full" if full else "standard"
    if isinstance(study, Study):
        if quick or full or seeds is not None or tuple(overrides):
            raise LavasegError("a loaded study is run as it is: give its version to load_study")
        found = study
    else:
        found = load(study, size, seeds=seeds, overrides=overrides)  # type: ignore[arg-type]
    if jobs < 1:
        raise LavasegError(f"jobs must be 1 or more, got {jobs}")
    planned = plan(found)
    folder = place_of(found) if out is None else Path(out)
    if folder.resolve().name == "runs":
        raise LavasegError(f"--out {folder}: runs is the folder of the runs, give another name")
    _check_kept(folder, planned)
    pool = pool_of(folder)
    make_folder(folder)
    make_folder(pool.folder)
    with locked(folder):
        write_atomically(folder / STUDY, dump(found))
        todo = [index for index, job in enumerate(planned.jobs) if pool.is_open(job)]
        report = _Progress(planned, len(todo), jobs).report if progress else _silent
        work = runner or partial(_locally, at_once=jobs)
        if progress:
            line(_beginning(planned, todo))
            if todo and runner is None:
                log = pool.place(planned.jobs[todo[0]]) / local.LOG
                line(f"each logs into its folder, the first into {log}")
        failed = work(folder, planned, todo, pool, report) if todo else {}
        results = gather(planned, pool)
        write_outputs(found, results, folder)
    titles = {planned.jobs[index].title: why for index, why in failed.items()}
    return StudyResult(found, results, folder, titles)


def place_of(study: Study) -> Path:
    """The usual folder of a study's results."""
    behind = "" if study.size == "standard" else f"-{study.size}"
    return Path("runs") / "studies" / f"{study.name}{behind}"


def _locally(
    folder: Path, planned: Plan, todo: Sequence[int], pool: Pool, report: Report, *, at_once: int
) -> dict[int, str]:
    return local.run_jobs(folder, planned.jobs, todo, pool, at_once, report)


def _check_kept(folder: Path, planned: Plan) -> None:
    """Refuse to replace results that the study would not give again.

    More seeds, labels and measures are welcome, and so is another title, table or claim.
    """
    path = folder / STUDY
    if not path.exists():
        return
    kept = load_kept(path)

    def content(made: Plan) -> set[tuple[object, ...]]:
        return {
            (tuple(cell.labels.items()), cell.seed, made.jobs[cell.job].key, repr(measured))
            for cell in made.cells
            for measured in made.study.measure
        }

    if kept.settings != planned.study.settings or content(plan(kept)) - content(planned):
        raise LavasegError(
            f"{folder} holds results of the study {kept.name!r} with other runs or measures "
            f"(see {path}): give another --out, or remove that folder; finished runs are kept "
            "beside it"
        )


def _beginning(planned: Plan, todo: Sequence[int]) -> str:
    there = len(planned.jobs) - len(todo)
    words = f"study {planned.study.name}: {counted(len(planned.jobs), 'run')}"
    return f"{words}, {there} finished before" if there else words


def _silent(index: int, seconds: float, why: str) -> None:
    """No progress is shown."""


class _Progress:
    """One line for each run that ends, with the time that the others will take."""

    def __init__(self, planned: Plan, total: int, at_once: int) -> None:
        self.planned, self.total, self.at_once = planned, total, at_once
        self.done, self.started = 0, time.monotonic()
        self.said = set[str]()

    def report(self, index: int, seconds: float, why: str) -> None:
        """See `Report`."""
        self.done += 1
        title = self.planned.jobs[index].title
        left = self.total - self.done
        rest = (time.monotonic() - self.started) / self.done * left
        about = f", about {_duration(rest)} left" if left else ""
        line(
            f"{self.done} of {self.total}: {title} "
            f"({'failed' if why else _duration(seconds)}){about}"
        )
        reason = reason_of(why)
        if why and reason not in self.said:
            line(f"  {why}")
        self.said.add(reason)


def reason_of(why: str) -> str:
    """Why a run failed, without its log."""
    return why.rpartition(" (log: ")[0] or why


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
