"""A trial of a training: a few real steps that are timed and leave nothing behind."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lavaseg.data.base import Samples
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.training.batches import Batch
from lavaseg.training.fit import batches, quiet, run, trainer_of
from lavaseg.training.footprint import measured_memory
from lavaseg.training.health import TRAINING, FiniteGradients
from lavaseg.training.memory import keep_freed_memory
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.place import Place
from lavaseg.training.plan import Plan
from lavaseg.training.segmenter import segmenter
from lavaseg.training.surroundings import alone, pl

WARM_UP = 2
"""Batches that are not timed: the first ones compile kernels and fill caches."""
TIMED = 5
"""Batches that are timed. Their median counts, so that a pause of the machine does not."""
LONGEST = 60.0
"""Seconds after which no further batch begins, once one is timed."""


@dataclass(frozen=True)
class Trial:
    """What a few steps of a training took.

    Args:
        batch: seconds of a batch of training, the median.
        validation: seconds of a batch of validation; 0 where nothing is held out.
        batches: batches of an epoch, of training and of validation.
        epochs: that are to be trained.
        timed: batches that were timed.
        memory: bytes at peak; None where the system does not say.
        where: which memory that is.
        classes: class names.
        labels: share of the pixels of each class, in the order of the classes, and of those that
            do not count, float64 (K + 1,).
        samples: whose labels these are.
    """

    batch: float
    validation: float
    batches: tuple[int, int]
    epochs: int
    timed: int
    memory: int | None
    where: str
    classes: tuple[str, ...]
    labels: np.ndarray
    samples: int

    @property
    def epoch(self) -> float:
        """Seconds of an epoch, its validation included."""
        return self.batches[0] * self.batch + self.batches[1] * self.validation

    @property
    def whole(self) -> float:
        """Seconds of all epochs."""
        return self.epochs * self.epoch


class Stopwatch(pl.Callback):
    """Times batches of training and of validation, and counts the labels of the former."""

    def __init__(self, classes: int) -> None:
        self.batches: list[float] = []
        self.validation: list[float] = []
        self.pixels = np.zeros(classes + 1, np.int64)
        self.samples = 0
        self.begun = self.started = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.started = time.perf_counter()  # what reading and encoding a batch takes counts, too
        self.begun = self.begun or self.started

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self.batches.append(self._lap(module))
        self._count(batch[1])
        done, passed = len(self.batches), time.perf_counter() - self.begun
        enough = done >= WARM_UP + TIMED or (done > WARM_UP and passed > LONGEST)
        trainer.should_stop = trainer.should_stop or enough

    def on_validation_epoch_start(self, *_: Any) -> None:
        self.started = time.perf_counter()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any
    ) -> None:
        self.validation.append(self._lap(module))

    def _lap(self, module: pl.LightningModule) -> float:
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)  # launched is not done
        now = time.perf_counter()
        lap, self.started = now - self.started, now
        return lap

    def _count(self, labels: torch.Tensor) -> None:
        classes = len(self.pixels) - 1
        ids = labels.clamp(max=classes).flatten().cpu().numpy()
        self.pixels += np.bincount(ids, minlength=classes + 1)
        self.samples += len(labels)


def trial(
    model: SpikingNetwork | AnalogNetwork,
    plan: Plan,
    train: Samples,
    validation: Samples | None,
    place: Place,
    *,
    classes: Sequence[str],
    epochs: int,
) -> Trial:
    """Train `model` for a few batches, as `fit` would, and write nothing.

    Args:
        place: what it runs on, one device.
        classes: class names.
        epochs: that are to be trained.

    Raises:
        LavasegError: gradients are no finite numbers.
        KeyboardInterrupt: Ctrl-C.
    """
    keep_freed_memory()
    watch = Stopwatch(len(classes))
    training = batches(plan, train, place, shuffle=True)
    validating = None if validation is None else batches(plan, validation, place, shuffle=False)
    wanted = WARM_UP + TIMED
    with quiet(), alone():
        trainer = trainer_of(
            plan,
            place,
            callbacks=[watch, FiniteGradients(TRAINING)],
            max_epochs=-(-wanted // len(training)),
            limit_train_batches=min(wanted, len(training)),
            limit_val_batches=1,
            logger=False,
            enable_checkpointing=False,
        )
        run(trainer, segmenter(model, plan, len(classes)), training, validating)
    memory, where = measured_memory(trainer.strategy.root_device)
    timed = watch.batches[WARM_UP:]
    return Trial(
        batch=statistics.median(timed),
        validation=min(watch.validation, default=0.0),
        batches=(len(training), 0 if validating is None else len(validating)),
        epochs=epochs,
        timed=len(timed),
        memory=memory,
        where=where,
        classes=tuple(classes),
        labels=watch.pixels / max(int(watch.pixels.sum()), 1),
        samples=watch.samples,
    )
