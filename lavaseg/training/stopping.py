"""Callbacks that end a training before its last epoch: no gain any more, or no time."""

from __future__ import annotations

import time
from typing import Any

from lavaseg.runs import Artefact
from lavaseg.runs.formats import Arrays
from lavaseg.runs.run import stopped_early
from lavaseg.training.callbacks import History
from lavaseg.training.place import Place
from lavaseg.training.ranks import any_of
from lavaseg.training.segmenter import Segmenter
from lavaseg.training.surroundings import pl
from lavaseg.training.weights import arrays_of


class TimeUp(Exception):
    """The time limit was reached within an epoch; its message says what was kept."""


class EarlyStop(pl.Callback):
    """Ends training after so many epochs without a better validation mIoU.

    Args:
        history: the epochs so far; is told why training ended.
        patience: epochs; 0: never.
    """

    def __init__(self, history: History, patience: int) -> None:
        self.history, self.patience = history, patience

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._look(trainer)  # a resumed training may have ended so

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        if stopped_early(self.history.rows, self.patience):
            trainer.should_stop = True
            best = 100 * self.history.best
            self.history.ended = (
                f"training.early_stop: no better validation mIoU than {best:.2f} % in "
                f"{self.patience} epochs, so training ends with epoch {len(self.history.rows)}"
            )


class TimeLimit(pl.Callback):
    """Ends training in time, between two epochs if it can be.

    What is trained of an epoch that there is no time for is given up, so that a resumed training
    equals one that was never stopped. Of the first epoch the weights are kept: without them there
    would be no network.

    Args:
        history: the epochs so far; is told why training ended.
        weights: takes the weights, if no epoch was finished.
        place: the limit; all processes end when one of them has reached it.
    """

    def __init__(self, history: History, weights: Artefact[Arrays], place: Place) -> None:
        self.history, self.weights, self.place = history, weights, place
        self.started, self.longest = 0.0, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        late = any_of(time.monotonic() > self.place.deadline, module.device)
        if not late or trainer.is_last_batch:
            return
        begun = f"{batch_idx + 1} of {trainer.num_training_batches} batches of epoch"
        if self.history.rows:
            number = len(self.history.rows) + 1
            raise TimeUp(
                f"time limit {self.place.limit}: {begun} {number} are given up, and --resume goes "
                f"on after epoch {number - 1}"
            )
        if self.place.rank.number == 0:
            assert isinstance(module, Segmenter)
            self.weights.save(arrays_of(module.model))
        raise TimeUp(
            f"time limit {self.place.limit}: no epoch is finished; the weights after {begun} 1 are "
            "kept, and --resume begins with epoch 1"
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        now = time.monotonic()
        self.longest = max(self.longest, now - self.started)
        done, total = len(self.history.rows), trainer.max_epochs
        late = any_of(now + self.longest > self.place.deadline, module.device)
        if late and done < (total or 0):
            trainer.should_stop = True
            self.history.ended = (
                f"time limit {self.place.limit}: there is no time for epoch {done + 1} of {total}, "
                f"so training ends with epoch {done}, and --resume goes on from there"
            )
