"""Train a recipe: from what it says to a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from lavaseg import data, models
from lavaseg.data.base import DataSet, Samples
from lavaseg.data.labelled import check_labelled
from lavaseg.data.split import Joined, Subset, hold_out
from lavaseg.errors import LavasegError
from lavaseg.kernels.devices_torch import Devices
from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.models.delays import learning_delays
from lavaseg.network import Input, Network
from lavaseg.network.reach import beyond_in_words
from lavaseg.recipes import Recipe
from lavaseg.runs import Run, RunFolder
from lavaseg.runs.run import make_folder
from lavaseg.system.limits import check_memory
from lavaseg.system.lock import locked
from lavaseg.system.progress import line
from lavaseg.system.threads import limited_threads
from lavaseg.training.callbacks import History
from lavaseg.training.company import company
from lavaseg.training.fit import fit, going_on
from lavaseg.training.header import header
from lavaseg.training.loss import class_weights
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.place import Place, check_workers, threads_of
from lavaseg.training.plan import Plan
from lavaseg.training.ranks import Rank, check_shares
from lavaseg.training.resuming import check_free, note_surroundings
from lavaseg.training.segmenter import check_plan
from lavaseg.training.transfer import Begun, begin, frozen_layers, settled
from lavaseg.training.trial import Trial, trial
from lavaseg.training.weights import Module, draw_weights, restore, seed_weights

_FLOAT_BYTES = 4


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
        prepared = _prepared(recipe, folder.path, tell, described_as, finished)
        check_shares(len(prepared.training), recipe.training.batch_size, recipe.machine.devices)
        check_workers(prepared.run)
        begun = None if resume else _begin(prepared, progress)
        if begun is not None:
            recipe = begun.noted(recipe)
            prepared = replace(prepared, run=replace(prepared.run, recipe=recipe))
        make_folder(folder.path)
        with locked(folder.path):
            check_free(folder, recipe, resume)  # another command may have written meanwhile
            start = going_on(folder, folder.history) if resume else None
            if resume and start is None:  # no epoch was finished
                begun = _begin(prepared, progress)
            prepared.run.save()
            if begun is not None:
                folder.begun.save(begun.to_dict())
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
    prepared = _prepared(recipe, folder, None, None, 0)
    if start is None:
        _begin(prepared, False)
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
        prepared = _prepared(recipe, folder.path, tell, described_as, finished)
        begun = None if resume else _begin(prepared, False)
        if begun is not None and tell is not None:
            tell(str(begun))
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
class _Prepared:
    """All that a training begins with."""

    run: Run
    model: SpikingNetwork | AnalogNetwork
    plan: Plan
    training: Samples
    validation: Samples | None


def _prepared(
    recipe: Recipe,
    path: Path,
    tell: Callable[[str], None] | None,
    described_as: Callable[[Run], None] | None,
    finished: int,
) -> _Prepared:
    """Read the data, check all that can be checked, and say what will be trained.

    Args:
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
    for text in header(run, data_set, training, validation, finished):
        tell(text)
    if beyond := _beyond(run):
        tell(f"warning: {beyond}")
    if described_as is not None:
        described_as(run)
    model = drawn(run)
    plan = plan_of(recipe, data_set, training, model)
    check_plan(model, plan)
    return _Prepared(run, model, plan, training, validation)


def _fit(prepared: _Prepared, place: Place, start: Path | None, progress: bool) -> History:
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


def plan_of(
    recipe: Recipe, data_set: DataSet, training: Samples, model: SpikingNetwork | AnalogNetwork
) -> Plan:
    """Everything that the training of a recipe depends on besides model and data."""
    encoder = recipe.encoder_object
    return Plan(
        recipe.training,
        encoder,
        recipe.seed,
        float(encoder.steps),
        recipe.rmp,
        data_set.ignore_index,
        recipe.augment,
        weights_of_classes(recipe, data_set, training),
        frozen_layers(model, recipe.init.frozen) if recipe.init.frozen else (),
    )


def _begin(prepared: _Prepared, progress: bool) -> Begun | None:
    """Give a drawn model the weights that its run begins with, and say which fit."""
    run = prepared.run
    begun = begin(prepared.model, run.recipe, run.classes, lambda: prepared.training)
    if begun is not None and progress:
        line(str(begun))
    return begun


def _beyond(run: Run) -> str:
    """What dilations that reach beyond their sheet do to the network; empty if none does."""
    network = run.model.description if isinstance(run.model, AnalogModel) else run.model
    return "" if network is None else beyond_in_words(network)


def check_memory_of(run: Run) -> None:
    """Refuse a network that no training step on this machine can hold.

    Raises:
        LavasegError: says what it would take, at least: each number as weight, gradient and two
            moments of the optimiser, and the spikes of a batch.
    """
    recipe, steps = run.recipe, run.recipe.encoder_object.steps
    needed = _FLOAT_BYTES * 4 * run.model.parameter_count(steps)
    if isinstance(run.model, Network):
        neurons = sum(run.model.neurons(name) for name in run.model.shapes)
        needed += _FLOAT_BYTES * neurons * steps * recipe.training.batch_size
    remedy = "take a narrower model (model.options), smaller pictures or a smaller batch_size"
    check_memory(needed, f"training {recipe.name!r}", remedy)


def described(recipe: Recipe, data_set: DataSet, folder: Path) -> Run:
    """The run that a recipe describes on a data set, not yet on disk."""
    encoder = recipe.encoder_object
    sheet = Input("input", encoder.shape(data_set.picture_shape), encoder.message_bits)
    model = models.build(recipe.model.name, sheet, len(data_set.classes), **recipe.model.options)
    longest = recipe.training.max_delay
    if isinstance(model, Network):
        model = learning_delays(model, longest)
    elif longest:
        raise LavasegError(
            f"training.max_delay is {longest}, but {recipe.model.name!r} sends no spikes to delay: "
            "expected 0, or a spiking model"
        )
    return Run(
        folder,
        recipe,
        model,
        tuple(data_set.classes),
        data_set.ignore_index,
        data_set.picture_shape,
    )


def weights_of_classes(
    recipe: Recipe, data_set: DataSet, training: Samples
) -> tuple[float, ...] | None:
    """The weight of each class in the loss, as the recipe asks for, or None."""
    return class_weights(
        recipe.training.class_weights, training, len(data_set.classes), data_set.ignore_index
    )


def training_parts(recipe: Recipe, data_set: DataSet) -> tuple[Samples, Samples | None]:
    """Training and validation samples; the official validation part, or one held out.

    With `training.train_on_all` everything trains, and there are no validation samples.

    Raises:
        LavasegError: no pixel of one of them has a class.
    """
    parts: tuple[Samples, Samples | None]
    if recipe.training.train_on_all:
        held = data_set.validation
        parts = data_set.train if held is None else Joined((data_set.train, held)), None
    elif data_set.validation is not None:
        parts = data_set.train, data_set.validation
    else:
        parts = hold_out(data_set.train, recipe.training.validation_fraction, recipe.seed)
    for part, name in zip(parts, ("training", "validation"), strict=True):
        if part is not None:
            check_labelled(part, name, data_set.ignore_index, recipe.encoder_object)
    return parts


def trained(run: Run) -> SpikingNetwork:
    """The spiking float network with its best weights, in eval mode.

    Raises:
        LavasegError: no weights yet, a damaged file, or an artificial network.
    """
    return _with_weights(_spiking(run, run.network), run)


def trained_model(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The float network of any run, spiking or artificial, as `trained` gives it."""
    return _with_weights(_fresh(run), run)


def untrained(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The float network of any run as training begins with it, in training mode."""
    model = drawn(run)
    begin(model, run.recipe, run.classes, lambda: training_parts(run.recipe, run.data)[0])
    return model


def drawn(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The float network of any run with the weights that its seed draws, in training mode."""
    seed_weights(run.recipe.seed)
    model = _fresh(run)
    draw_weights(model, run.recipe.training)
    return model


def _fresh(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The run's model with initial weights."""
    if isinstance(run.model, AnalogModel):
        return run.model.module()
    return _spiking(run, run.model)


def _spiking(run: Run, network: Network) -> SpikingNetwork:
    recipe = run.recipe
    return SpikingNetwork(network, recipe.training.surrogate, steps=recipe.encoder_object.steps)


def _with_weights(model: Module, run: Run) -> Module:
    """The model with the run's best weights, in eval mode."""
    _ = run.weights  # names what to do if there are none
    return restore(model, run.files.weights).eval()


def first(samples: Samples, limit: int | None) -> Samples:
    """The first `limit` samples, or all."""
    count = len(samples) if limit is None else min(limit, len(samples))
    return Subset(samples, np.arange(count))
