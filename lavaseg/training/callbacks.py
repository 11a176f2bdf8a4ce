"""Callbacks at the end of an epoch: a row of the table, the best weights, a line to read."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

import torch

from lavaseg.runs import Artefact
from lavaseg.runs.formats import Arrays, Rows
from lavaseg.system.limits import gigabytes
from lavaseg.system.progress import Report, bar, line
from lavaseg.system.words import duration
from lavaseg.training.footprint import measured_memory
from lavaseg.training.header import KEY
from lavaseg.training.health import check_finite
from lavaseg.training.ranks import any_of
from lavaseg.training.segmenter import Segmenter
from lavaseg.training.surroundings import pl
from lavaseg.training.weights import arrays_of

_NEWEST = 0.1
"""Weight of a batch in the loss that the bar shows."""
_PERIOD = 0.5
"""Seconds between two looks at the loss, which a GPU is asked for."""
_TOLD = 0.05
"""Part of the first epoch after which it tells the time of all: the first batches are slow."""
_RECENT = 3
"""Epochs whose mean tells the time of those to come."""


class History(pl.Callback):
    """One row an epoch into a table, and the weights of the best validation mIoU.

    Where nothing is validated, the weights are those of the last epoch. Its rows travel in the
    checkpoint, so that a resumed run continues them.

    Args:
        table: takes one row an epoch.
        weights: takes the best weights.
        section: of the recipe, whose learning rate it is.
        writes: whether this process, of several that train together, writes them.
    """

    ended = ""
    """Why training ended before its last epoch; empty if it did not."""

    def __init__(
        self, table: Artefact[Rows], weights: Artefact[Arrays], section: str, *, writes: bool = True
    ) -> None:
        self.table, self.weights, self.section, self.writes = table, weights, section, writes
        self.rows: list[dict[str, float]] = []
        self.started = time.monotonic()

    @property
    def best(self) -> float:
        """The best validation mIoU so far, -1 before there is one."""
        found = (row.get("val_miou", math.nan) for row in self.rows)
        return max((miou for miou in found if not math.isnan(miou)), default=-1.0)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Segmenter)
        any_of(False, module.device)  # all processes have come so far, or this fails
        loss = trainer.callback_metrics.get("loss")
        check_finite(module.model, trainer.current_epoch + 1, loss, self.section)
        measured = {k: float(v) for k, v in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch + 1, **measured}
        row["learning_rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row["seconds"] = time.monotonic() - self.started
        validated = "val_miou" in row
        for name in ("loss", "val_loss") if validated else ("loss",):  # where nothing was labelled
            row.setdefault(name, math.nan)
        # a first one, come what may
        improved = not self.rows or not validated or row["val_miou"] > self.best
        self.rows.append(row)
        if not self.writes:
            return
        if improved:
            self.weights.save(arrays_of(module.model))
        self.table.save(self.rows)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]


class EpochLines(pl.Callback):
    """A progress bar within the epoch, and one line an epoch with what matters."""

    def __init__(self, history: History, title: str) -> None:
        self.history, self.title = history, title
        self.bar = ExitStack()
        self.report: Report = lambda done, total, note="": None
        self.clock = Clock()
        self.loss: torch.Tensor | None = None
        self.note, self.shown = "", 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        title = f"{self.title} epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.clock.begin(int(trainer.max_epochs or 0) - trainer.current_epoch - 1)
        self.loss = None
        self.report = self.bar.enter_context(bar(title, keep=False, noted=True))
        self.report(0, int(trainer.num_training_batches))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(module, Segmenter)
        done, total = batch_idx + 1, int(trainer.num_training_batches)
        loss = module.terms["cross_entropy"]
        self.loss = loss if self.loss is None else torch.lerp(self.loss, loss, _NEWEST)
        now = time.monotonic()
        if now - self.shown >= _PERIOD or done == total:  # a number of a GPU is waited for
            self.shown, left = now, self.clock.left(done / total)
            rest = "" if left is None else f"  {duration(left)} to go"
            self.note = f"loss {float(self.loss):.4f}{rest}"
        self.report(done, total, self.note)

    def on_validation_epoch_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        total = int(trainer.num_training_batches)
        self.report(total, total, "validation")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.bar.close()
        row = self.history.rows[-1]
        rates = " ".join(f"{v:.2f}" for k, v in row.items() if k.startswith("rate/"))
        judged = ""
        if "val_miou" in row:
            best = " *" if row["val_miou"] >= self.history.best else ""
            judged = f"val mIoU {100 * row['val_miou']:.2f} %{best}  "
        # exact where operations can be counted; a network with sums is unrolled only on export
        spent = row.get("energy_uj", row.get("energy_kim_uj"))
        by = "" if "energy_uj" in row else " (Kim et al.)"
        energy = f"energy {spent:.2f} µJ{by}  " if spent is not None else ""
        first, left = not self.clock.epochs, self.clock.end()
        line(
            f"{self.title} epoch {int(row['epoch']):3d}  loss {row['loss']:.4f}  "
            f"{judged}{energy}{duration(row['seconds'])}"
            + (f", {duration(left)} to go" if left else "")
            + (f"  spikes/neuron by layer {rates}" if rates else "")
        )
        memory, where = measured_memory(module.device)
        if first and memory is not None and self.title == "train":
            line(f"{'memory':<{KEY}}{gigabytes(memory)} at peak so far ({where})")

    def on_exception(self, *_: Any) -> None:
        self.bar.close()


class Clock:
    """How long the epochs to come will take, by those that are done."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.started = 0.0
        self.after = 0

    def begin(self, after: int) -> None:
        """An epoch begins.

        Args:
            after: epochs that follow it.
        """
        self.started, self.after = time.monotonic(), after

    def end(self) -> float:
        """The epoch is over: seconds that are left."""
        self.epochs.append(time.monotonic() - self.started)
        return self.after * self._usual()

    def left(self, share: float) -> float | None:
        """Seconds that are left, if they can be told.

        Args:
            share: of the epoch's batches that is done; in the first epoch, what its validation
                takes is not known.
        """
        passed = time.monotonic() - self.started
        if self.epochs:
            return max(self._usual() - passed, 0.0) + self.after * self._usual()
        if share < _TOLD:
            return None
        return passed / share * (1 - share + self.after)

    def _usual(self) -> float:
        """Seconds of an epoch: the mean of the last ones."""
        recent = self.epochs[-_RECENT:]
        return sum(recent) / len(recent)
