"""Train a recipe: from what it says to a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lavaseg import data
from lavaseg.data.base import Samples
from lavaseg.data.labelled import check_labelled
from lavaseg.kernels.devices_torch import Devices
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network.reach import beyond_in_words
from lavaseg.recipes import Recipe
from lavaseg.runs import Run, RunFolder
from lavaseg.runs.run import make_folder
from lavaseg.system.lock import locked
from lavaseg.system.progress import line
from lavaseg.system.threads import limited_threads
from lavaseg.training.callbacks import History
from lavaseg.training.company import company
from lavaseg.training.fit import fit, going_on
from lavaseg.training.header import header
from lavaseg.training.models import drawn
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.place import Place, check_workers, threads_of
from lavaseg.training.plan import Plan
from lavaseg.training.preparing import (
    check_memory_of,
    described,
    plan_of,
    training_parts,
)
from lavaseg.training.ranks import Rank, check_shares
from lavaseg.training.resuming import check_free, note_surroundings
from lavaseg.training.segmenter import check_plan
from lavaseg.training.transfer import Begun, begin, settled
from lavaseg.training.trial import Trial, trial


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    init: str | Path | Run | None = None,
    resume: bool = False,
    progress: bool = True,
    described_as: Callable[[Run], None] | None = None,
) -> Run:
    """Train a recipe into the folder `out`.

    Args:
        recipe: what to train. Its section `machine` says on what; several processes train together
            if it asks for several devices.
        init: weights to begin with: a run, a `.net` file or a file of weights, in place of the
            recipe's `init.weights`.
        resume: continue after the last finished epoch of an interrupted run; the result equals
            that of a run that was never interrupted. More `training.epochs` than before extend a
            run whose schedules do not depend on their number.
        progress: show a progress bar and a line an epoch.
        described_as: called with the run before anything is trained or written.

    Raises:
        LavasegError: `out` holds another run already, is being written by another process or
            cannot be written; nothing to resume; a device is missing; no weights to begin with.
            Nothing is written before all is checked.
        KeyboardInterrupt: stopped by Ctrl-C; can be resumed.
    """
    started = time.monotonic()
    folder = RunFolder(Path(out))
    recipe = settled(recipe, init, folder, resume)
    check_free(folder, recipe, resume)
    place, threads = Place.of(recipe, started), threads_of(recipe)
    with limited_threads(threads):
        finished = len(folder.history.load()) if resume and folder.history.exists() else 0
        tell = line if progress else None
        prepared = prepare(recipe, folder.path, tell, described_as, finished)
        begun = None if resume else begin_with(prepared, tell)
        if begun is not None:
            recipe = begun.noted(recipe)
            prepared = replace(prepared, run=replace(prepared.run, recipe=recipe))
        make_folder(folder.path)
        with locked(folder.path):
            check_free(folder, recipe, resume)  # another command may have written meanwhile
            start = going_on(folder, folder.history) if resume else None
            if resume and start is None:  # no epoch was finished
                begun = begin_with(prepared, tell)
            prepared.run.save()
            if begun is not None:
                folder.begun.save(begun.to_dict())
            elif not resume:  # an earlier training that finished no epoch may have left one
                folder.begun.remove()
            note_surroundings(folder, place.devices, resume)
            with company(recipe, folder.path, place.devices, threads, start) as rank:
                history = _fit(prepared, replace(place, rank=rank), start, progress)
    if progress and history.ended:
        line(history.ended)
    return prepared.run


def with_others(
    recipe: Recipe, folder: Path, devices: Devices, rank: Rank, start: Path | None
) -> Callable[[], object]:
    """What trains as one of several processes, of which the first one calls `train` and writes.

    Args:
        recipe, folder: as of `train`.
        devices: of all processes.
        rank: of this one.
        start: the checkpoint to go on from.
    """
    prepared = prepare(recipe, folder)
    place = replace(Place.of(recipe), devices=devices, rank=rank)
    return partial(_fit, prepared, place, start, False)


def dry_run(
    recipe: Recipe,
    out: str | Path,
    *,
    init: str | Path | Run | None = None,
    resume: bool = False,
    tell: Callable[[str], None] | None = None,
    described_as: Callable[[Run], None] | None = None,
) -> Trial:
    """What training a recipe would take, from a few real steps of it; nothing is written.

    Args:
        out: where it would train, which need not exist and is left as it is.
        init: weights to begin with, as of `train`.
        resume: it would go on with the epochs that are left of the run in `out`.
        tell: takes the lines that training begins with; None: they are not shown.
        described_as: as of `train`.

    Raises:
        LavasegError: it could not be trained; nothing to resume.
        KeyboardInterrupt: Ctrl-C.
    """
    folder, finished = RunFolder(Path(out)), 0
    recipe = settled(recipe, init, folder, resume)
    if resume:
        check_free(folder, recipe, resume)
        finished = len(Run.open(folder.path).history())
    place = Place.of(recipe).alone
    with limited_threads(threads_of(recipe)):
        prepared = prepare(recipe, folder.path, tell, described_as, finished)
        if not resume:
            begin_with(prepared, tell)
        return trial(
            prepared.model,
            prepared.plan,
            prepared.training,
            prepared.validation,
            place,
            classes=prepared.run.classes,
            epochs=recipe.training.epochs - finished,
        )


@dataclass(frozen=True)
class Prepared:
    """All that a training begins with."""

    run: Run
    model: SpikingNetwork | AnalogNetwork
    plan: Plan
    training: Samples
    validation: Samples | None


def prepare(
    recipe: Recipe,
    path: Path,
    tell: Callable[[str], None] | None = None,
    described_as: Callable[[Run], None] | None = None,
    finished: int = 0,
) -> Prepared:
    """Read the data, check all that can be checked, and say what will be trained.

    Args:
        path: of the run's folder, which need not exist.
        tell: takes the lines; None: they are not shown.
        described_as: called with the run, before its model is made.
        finished: epochs that the run in `path` has already.
    """
    tell = tell or (lambda _: None)
    data_set = data.load(recipe.data.name, **recipe.data.options)
    for remark in data_set.remarks:
        tell(remark)
    training, validation = training_parts(recipe, data_set)
    if validation is None:
        tell(
            f"training.train_on_all: all {len(training):,} samples outside of the test part train "
            "the network, no held-out part selects an epoch, and the last one is kept"
        )
    # it selects nothing, but a run that cannot be evaluated is better not begun
    check_labelled(data_set.test, "test", data_set.ignore_index, recipe.encoder_object)
    run = described(recipe, data_set, path)
    check_memory_of(run)
    check_shares(len(training), recipe.training.batch_size, recipe.machine.devices)
    check_workers(run)
    for text in header(run, data_set, training, validation, finished):
        tell(text)
    network = run.description
    if beyond := beyond_in_words(network) if network is not None else "":
        tell(f"warning: {beyond}")
    if described_as is not None:
        described_as(run)
    model = drawn(run)
    plan = plan_of(recipe, data_set, training, model)
    check_plan(model, plan)
    return Prepared(run, model, plan, training, validation)


def _fit(prepared: Prepared, place: Place, start: Path | None, progress: bool) -> History:
    run = prepared.run
    histograms = run.recipe.training.membrane_histograms
    return fit(
        prepared.model,
        prepared.plan,
        prepared.training,
        prepared.validation,
        classes=run.classes,
        colours=run.colours,
        folder=run.files,
        table=run.files.history,
        weights=run.files.weights,
        membranes=run.files.membranes if histograms else None,
        title="train",
        start=start,
        progress=progress,
        place=place,
    )


def begin_with(prepared: Prepared, tell: Callable[[str], None] | None) -> Begun | None:
    """Give a drawn model the weights that its run begins with, and say which fit."""
    run = prepared.run
    begun = begin(prepared.model, run.recipe, run.classes, lambda: prepared.training)
    if begun is not None and tell is not None:
        tell(str(begun))
    return begun
