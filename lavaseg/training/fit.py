"""One fit: lightning around a network, its data and its plan, with exact resume."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.data.base import Samples
from lavaseg.errors import LavasegError
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.results.membranes import MembraneHistory
from lavaseg.runs import Artefact, RunFolder
from lavaseg.runs.formats import Arrays, Rows
from lavaseg.system.faults import writing_in_threads
from lavaseg.system.progress import line
from lavaseg.system.verbosity import is_verbose
from lavaseg.training.batches import loader
from lavaseg.training.callbacks import EpochLines, History
from lavaseg.training.checkpoints import WholeCheckpoints, newest
from lavaseg.training.curves import Curves
from lavaseg.training.health import TRAINING, FiniteGradients, Health
from lavaseg.training.histograms import MembraneHistograms
from lavaseg.training.memory import keep_freed_memory
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.place import Place
from lavaseg.training.plan import Plan
from lavaseg.training.ranks import norms_together, together
from lavaseg.training.segmenter import segmenter
from lavaseg.training.stopping import EarlyStop, TimeLimit, TimeUp
from lavaseg.training.surroundings import ModelCheckpoint, TensorBoardLogger, alone, pl
from lavaseg.training.trainers import SameStart, on, only_interrupted

_PRECISION: dict[str, Any] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float16": "16-mixed",
}
"""What lightning calls the numbers of `training.precision`."""
_HINTS = (
    ".*does not have many workers.*",
    ".*multi-threaded, use of fork.*",
    "Grad strides do not match bucket view strides.*",
    ".*``compute`` method of metric.*",
    ".*will create .* worker processes in total.*",
)
"""Beginnings of warnings about what is meant to be so."""


def fit(
    model: SpikingNetwork | AnalogNetwork,
    plan: Plan,
    train: Samples,
    validation: Samples | None,
    *,
    classes: Sequence[str],
    colours: np.ndarray,
    folder: RunFolder,
    table: Artefact[Rows],
    weights: Artefact[Arrays],
    title: str,
    membranes: Artefact[MembraneHistory] | None = None,
    start: Path | None = None,
    progress: bool = True,
    place: Place | None = None,
) -> History:
    """Train `model`, and store the weights of its best validation epoch.

    Args:
        validation: samples that select the epoch; None: the last one is kept.
        classes: class names.
        colours: of the classes, uint8 (K, 3).
        folder: where checkpoints and curves go.
        table: takes one row an epoch; checkpoint and curves are named like it.
        weights: takes the best weights.
        title: shown in front of each epoch's line: "train", or the section of the recipe.
        membranes: takes histograms of the membranes of each epoch; None: none are made.
        start: the checkpoint to continue from (`going_on`).
        place: what it runs on; None: a GPU where there is one. Of several processes, each calls
            this function, and the first one writes.

    Returns:
        The epochs, and why they are fewer than planned if they are.

    Raises:
        KeyboardInterrupt: Ctrl-C; the last finished epoch is in the checkpoint.
    """
    keep_freed_memory()
    place = place or Place()
    rank = place.rank
    first, section = rank.number == 0, TRAINING if title == "train" else title
    history = History(table, weights, section, writes=first)
    name = table.path.stem
    checkpoint = checkpoint_of(folder, table)
    looked_at = train if validation is None else validation
    watching: list[pl.Callback] = [FiniteGradients(section)]
    if together():
        watching.append(SameStart())
    if membranes is not None and first:
        watching.append(MembraneHistograms(membranes, looked_at, plan))
    told: list[pl.Callback] = [Curves(looked_at, plan, classes, colours)] if first else []
    if progress and first:
        told.append(EpochLines(history, title))
    if progress or together():
        told.append(Health(classes, line if progress and first else None, section))
    told.append(EarlyStop(history, plan.optimisation.early_stop))
    if place.limit is not None:
        told.append(TimeLimit(history, weights, place))
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(alone())
        stack.enter_context(writing_in_threads(folder.curves.path))
        trainer = trainer_of(
            plan,
            place,
            callbacks=[*watching, *_callbacks(history, checkpoint, told)],
            max_epochs=plan.optimisation.epochs,
            default_root_dir=folder.checkpoints.path,
            logger=TensorBoardLogger(folder.path, name=folder.curves.path.name, version=name),
        )
        if together():
            stack.enter_context(norms_together(model))
            stack.enter_context(only_interrupted(trainer))
        try:
            run(
                trainer,
                segmenter(model, plan, len(classes)),
                batches(plan, train, place, shuffle=True),
                None if validation is None else batches(plan, validation, place, shuffle=False),
                ckpt_path=start,
                weights_only=True,
            )
        except TimeUp as reached:
            history.ended = str(reached)
    return history


def run(trainer: pl.Trainer, *arguments: Any, **options: Any) -> None:
    """What `trainer.fit` does; Ctrl-C, of which lightning makes an exit or a mark, interrupts."""
    try:
        trainer.fit(*arguments, **options)
    except SystemExit:
        raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt


def trainer_of(
    plan: Plan, place: Place, callbacks: list[pl.Callback], **options: Any
) -> pl.Trainer:
    """Lightning's trainer on the devices of a place, with what all of ours have in common."""
    return pl.Trainer(
        **on(place, plan, WholeCheckpoints()),
        accumulate_grad_batches=plan.optimisation.accumulate,
        precision=_PRECISION[plan.optimisation.precision],
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=plan.optimisation.gradient_clip or None,
        log_every_n_steps=50,
        **options,
    )


def checkpoint_of(folder: RunFolder, table: Artefact[Rows]) -> Path:
    """The place of a fit's checkpoint, by the table of its epochs."""
    return folder.checkpoints.path / f"{table.path.stem}.ckpt"


def going_on(folder: RunFolder, table: Artefact[Rows]) -> Path | None:
    """The checkpoint to continue from; None if no epoch has finished.

    Raises:
        LavasegError: epochs have finished, but their checkpoint is missing or damaged.
    """
    path = checkpoint_of(folder, table)
    found = newest(path)
    finished = len(table.load()) if found is None and table.exists() else 0
    if finished == 1:  # stopped between its row and the first checkpoint
        line(f"{path} is missing: the only finished epoch is trained again")
    elif finished:
        raise LavasegError(
            f"{path} is missing, though {table.path.name} shows finished epochs: restore it, or "
            "train into another folder"
        )
    if found is not None and not folder.weights.exists():
        raise LavasegError(
            f"{folder.weights.path} is missing, though {found} shows finished epochs: restore it, "
            "or train into another folder"
        )
    return found


def _callbacks(
    history: History, checkpoint: Path, told: Sequence[pl.Callback]
) -> list[pl.Callback]:
    """Callbacks at the end of an epoch, in this order.

    The row comes first: the checkpoint holds it.
    """
    last = ModelCheckpoint(
        checkpoint.parent,
        filename=checkpoint.stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    return [history, last, *told]


def batches(plan: Plan, samples: Samples, place: Place, *, shuffle: bool) -> Any:
    """Batches of samples as a plan has them; shuffled, and changed at random, for training."""
    accumulate = plan.optimisation.accumulate
    grouped = shuffle and (accumulate > 1 or place.rank.count > 1)
    return loader(
        samples,
        plan.encoder,
        batch_size=plan.optimisation.batch_size,
        seed=plan.seed,
        shuffle=shuffle,
        augment=plan.augment,
        ignore_index=plan.ignore_index,
        accumulate=accumulate if grouped else None,
        rank=place.rank,
        workers=place.workers,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """While open, lightning's banners and hints, which are about its own flags, are not shown."""
    if is_verbose():
        yield
        return
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for hint in _HINTS:
            warnings.filterwarnings("ignore", message=hint)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
