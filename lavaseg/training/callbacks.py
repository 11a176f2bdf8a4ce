"""Callbacks at the end of an epoch: a row of the table, the best weights, a line to read."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from lavaseg.errors import LavasegError
from lavaseg.runs import Artefact
from lavaseg.runs.formats import Arrays, Rows
from lavaseg.system.progress import Report, bar, line
from lavaseg.training.ranks import any_of
from lavaseg.training.segmenter import Segmenter
from lavaseg.training.surroundings import pl
from lavaseg.training.weights import arrays_of


def check_finite(model: nn.Module, epoch: int, loss: torch.Tensor | None) -> None:
    """Refuse to go on with numbers that are none.

    Raises:
        LavasegError: names the epoch, and the first layer whose values are not finite.
    """
    values = (*model.named_parameters(), *model.named_buffers())
    layer = next((name for name, value in values if not torch.isfinite(value).all()), None)
    if layer is None and (loss is None or torch.isfinite(loss)):
        return
    where = "the loss is" if layer is None else f"values of {layer} are"
    raise LavasegError(
        f"epoch {epoch}: {where} no longer finite numbers, so training stops; weights and "
        "checkpoint of the epochs before are kept: start another run with a lower "
        "training.learning_rate, or with training.gradient_clip"
    )


class History(pl.Callback):
    """One row an epoch into a table, and the weights of the best validation mIoU.

    Where nothing is validated, the weights are those of the last epoch. Its rows travel in the
    checkpoint, so that a resumed run continues them.

    Args:
        table: takes one row an epoch.
        weights: takes the best weights.
        writes: whether this process, of several that train together, writes them.
    """

    ended = ""
    """Why training ended before its last epoch; empty if it did not."""

    def __init__(
        self, table: Artefact[Rows], weights: Artefact[Arrays], *, writes: bool = True
    ) -> None:
        self.table, self.weights, self.writes = table, weights, writes
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
        check_finite(module.model, trainer.current_epoch + 1, trainer.callback_metrics.get("loss"))
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
        self.report: Report = lambda done, total: None

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        title = f"{self.title} epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.report = self.bar.enter_context(bar(title))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.report(batch_idx + 1, int(trainer.num_training_batches))

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
        line(
            f"{self.title} epoch {int(row['epoch']):3d}  loss {row['loss']:.4f}  "
            f"{judged}{energy}{row['seconds']:.0f} s"
            + (f"  spikes/neuron by layer {rates}" if rates else "")
        )

    def on_exception(self, *_: Any) -> None:
        self.bar.close()
