"""One job of a study: train its run, or go on with it, and measure what is not measured yet."""

from __future__ import annotations

from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.runs import Run, RunFolder
from lavaseg.studies.files import load_kept
from lavaseg.studies.measures import measure_named
from lavaseg.studies.plan import Job, Plan, plan
from lavaseg.studies.pool import Pool, waiting

STUDY = "study.yaml"
"""The study as it is run, in the folder of its results."""


def pool_of(folder: Path) -> Pool:
    """The pool of runs beside the folder of a study's results."""
    return Pool(folder.resolve().parent / "runs")


def open_plan(folder: Path) -> Plan:
    """The plan of the study in a folder of results.

    Raises:
        LavasegError: there is none, or it is wrong.
    """
    return plan(load_kept(folder / STUDY))


def do_task(folder: Path, index: int, *, progress: bool = True) -> Run:
    """Do job `index` of the study in a folder of results.

    Raises:
        LavasegError: there is no such job, its training failed, or one of its measures did.
    """
    jobs = open_plan(folder).jobs
    if not 0 <= index < len(jobs):
        raise LavasegError(f"{folder} has jobs 0 to {len(jobs) - 1}, got {index}")
    return do(jobs[index], pool_of(folder), progress=progress)


def do(job: Job, pool: Pool, *, progress: bool = True) -> Run:
    """Train and measure one run; what is there already is not done again.

    A measure that fails does not keep the others from being taken.

    Raises:
        LavasegError: training or a measure failed.
    """
    with pool.holding(job) as folder:
        run = pool.trained(job) or waiting(lambda: _train(job, folder, progress))
        failures = []
        for measured in job.measures:
            try:
                if pool.rows(run, measured) is None:
                    measure = measure_named(measured.name)
                    options = measure.parse(measured.name, measured.options)
                    pool.keep(run, measured, measure(run, options))
            except LavasegError as error:
                failures.append(f"measure {measured.name}: {error}")
    if failures:
        raise LavasegError("; ".join(failures))
    return run


def _train(job: Job, folder: Path, progress: bool) -> Run:
    """Train from the beginning, or from the last epoch of an interrupted training."""
    from lavaseg import training

    begun = RunFolder(folder).recipe
    recipe = job.recipe
    if begun.exists():  # it may have another title, which changes nothing
        recipe = begun.load().model_copy(update={"machine": recipe.machine})
    return training.train(recipe, folder, resume=begun.exists(), progress=progress)
