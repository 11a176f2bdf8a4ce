"""The training loop: lightning around a spiking or artificial network, with exact resume."""

from __future__ import annotations

import csv
import io
import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors.torch import save as save_tensors
from torchmetrics.classification import MulticlassConfusionMatrix

from lavaseg.data.base import Samples
from lavaseg.encoders import Encoder
from lavaseg.errors import LavasegError
from lavaseg.models.analog.module import AnalogNetwork
from lavaseg.network import Current, Node, Population
from lavaseg.recipes import Augment, Rmp, Training
from lavaseg.results.energy import CMOS_45NM, MAC_PJ, account
from lavaseg.results.metrics import mean_iou, resize_logits
from lavaseg.system.files import write_atomically
from lavaseg.system.progress import Report, bar, line
from lavaseg.training.batches import Batch, loader
from lavaseg.training.loss import (
    nearest_labels,
    rmp_layers,
    rmp_loss,
    rmp_weight,
    segmentation_loss,
)
from lavaseg.training.memory import keep_freed_memory
from lavaseg.training.network import SpikingNetwork


@dataclass(frozen=True)
class Plan:
    """What one fit depends on, beside the model and the data.

    Args:
        optimisation: epochs, batch size, learning rate, schedule.
        seed: of order and encoding.
        rmp: membrane regularisation.
        logit_scale: read-out membranes are divided by this: T, times the read-out's weight
            units for each trained unit once the network is integer.
        ignore_index: label that does not count, or None.
        augment: how training samples are changed at random.
        class_weights: weight of each class in the training loss, or None: all alike.
    """

    optimisation: Training
    encoder: Encoder
    seed: int
    logit_scale: float
    rmp: Rmp = field(default_factory=Rmp)
    ignore_index: int | None = None
    augment: Augment = field(default_factory=Augment)
    class_weights: Sequence[float] | None = None


class Segmenter(pl.LightningModule):
    """One network under training: loss, optimiser, validation metrics.

    What differs between spiking and artificial networks is left to `SpikingSegmenter` and
    `AnalogSegmenter`.
    """

    model: SpikingNetwork | AnalogNetwork

    def __init__(self, plan: Plan, classes: int) -> None:
        super().__init__()
        self.plan = plan
        self.confusion = MulticlassConfusionMatrix(classes, ignore_index=plan.ignore_index)

    def learn(
        self, messages: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Read-out of a training batch, and what is added to its loss."""
        raise NotImplementedError

    def watch(self, messages: torch.Tensor) -> torch.Tensor:
        """Read-out of a validation batch, whose activity is counted."""
        raise NotImplementedError

    def log_activity(self) -> None:
        """Log what was counted since the last call."""
        raise NotImplementedError

    def logits(self, readout: torch.Tensor) -> torch.Tensor:
        """(N, K, h, w) float32: the read-out, averaged over time, in trained units."""
        return (readout / self.plan.logit_scale).float()

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return segmentation_loss(
            logits,
            labels,
            ignore_index=self.plan.ignore_index,
            label_smoothing=self.plan.optimisation.label_smoothing,
            class_weights=self.plan.class_weights,
        )

    def auxiliary_loss(self, readout: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Weighted loss of an auxiliary read-out, against labels of its size."""
        logits = self.logits(readout)
        weight = self.plan.optimisation.auxiliary_weight
        return weight * self._loss(logits, nearest_labels(labels, logits))

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        messages, labels = batch
        readout, added = self.learn(messages, labels)
        loss = self._loss(self.logits(readout), labels)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss + added

    def validation_step(self, batch: Batch, _: int) -> None:
        messages, labels = batch
        logits = self.logits(self.watch(messages))
        loss = segmentation_loss(logits, labels, ignore_index=self.plan.ignore_index)
        self.log("val_loss", loss, on_epoch=True, batch_size=len(labels))
        resized = resize_logits(logits, (labels.shape[1], labels.shape[2]))
        self.confusion.update(resized.argmax(1), labels)

    def on_validation_epoch_end(self) -> None:
        confusion = self.confusion.compute().cpu().numpy()
        self.log("val_miou", float(mean_iou(confusion)), prog_bar=True)
        self.confusion.reset()
        self.log_activity()

    def _steps(self) -> int:
        return max(int(self.trainer.estimated_stepping_batches), 1)

    def configure_optimizers(self) -> Any:
        plan = self.plan.optimisation
        weights, rate, decay = self.parameters(), plan.learning_rate, plan.weight_decay
        optimiser: torch.optim.Optimizer
        if plan.optimiser == "sgd":
            optimiser = torch.optim.SGD(weights, rate, momentum=0.9, weight_decay=decay)
        else:
            amsgrad = plan.optimiser == "amsgrad"
            optimiser = torch.optim.Adam(weights, rate, weight_decay=decay, amsgrad=amsgrad)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, learning_rate(plan, self._steps()))
        return [optimiser], [{"scheduler": scheduler, "interval": "step"}]


class SpikingSegmenter(Segmenter):
    """A spiking network under training: RMP, auxiliary read-outs, spikes and energy."""

    def __init__(self, model: SpikingNetwork, plan: Plan, classes: int) -> None:
        super().__init__(plan, classes)
        self.model: SpikingNetwork = model
        self.regularised = rmp_layers(plan.rmp, model.network) if plan.rmp.weight else ()
        weighted = plan.optimisation.auxiliary_weight > 0
        self.auxiliaries = model.network.auxiliaries if weighted else ()
        self.counts: dict[str, torch.Tensor] = {}
        self.validated = 0

    def learn(
        self, messages: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        penalties: list[torch.Tensor] = []
        added: list[torch.Tensor] = []

        def observe(node: Node, spikes: torch.Tensor, membrane: torch.Tensor | None) -> None:
            if node.name in self.auxiliaries and membrane is not None:
                added.append(self.auxiliary_loss(membrane[..., -1], labels))
            if regularise and node.name in self.regularised and membrane is not None:
                assert isinstance(node, Population)
                penalties.append(rmp_loss(self.plan.rmp, node, spikes, membrane))

        weight = rmp_weight(self.plan.rmp, self.trainer.global_step / self._steps())
        regularise = weight > 0
        observed = regularise or bool(self.auxiliaries)
        readout = self.model(
            messages,
            observe if observed else None,
            membranes=self.plan.rmp.time if regularise else "none",
        )
        if penalties:
            penalty = torch.stack(penalties).mean()
            self.log("rmp", penalty, on_step=False, on_epoch=True, batch_size=len(labels))
            added.append(weight * penalty)
        return readout, torch.stack(added).sum() if added else 0.0

    def watch(self, messages: torch.Tensor) -> torch.Tensor:
        def count(node: Node, spikes: torch.Tensor, __: torch.Tensor | None) -> None:
            if isinstance(node, Current):
                return
            total = (spikes != 0).sum((0, -1)).double()
            self.counts[node.name] = self.counts.get(node.name, 0) + total

        source = self.model.network.input.name
        arrived = (messages != 0).sum((0, -1)).double()
        self.counts[source] = self.counts.get(source, 0) + arrived
        self.validated += len(messages)
        readout: torch.Tensor = self.model(messages, count)
        return readout

    def log_activity(self) -> None:
        network, samples = self.model.network, max(self.validated, 1)
        counts = {name: total.long().cpu().numpy() for name, total in self.counts.items()}
        for population in network.populations:
            if population.threshold is not None:
                rate = counts[population.name].sum() / network.neurons(population.name) / samples
                self.log(f"rate/{population.name}", float(rate))
        if not any(isinstance(node, Current) for node in network.nodes):
            energy = account(network, counts, samples, self.plan.encoder.steps)
            self.log("synaptic_operations", float(energy.synaptic_operations))
            estimate = energy.on(CMOS_45NM).picojoules
            self.log("energy_uj", estimate[1] / 1e6 if estimate else math.nan)
        self.counts, self.validated = {}, 0


class AnalogSegmenter(Segmenter):
    """An artificial network under training; its energy is that of its MACs, whatever it sees."""

    def __init__(self, model: AnalogNetwork, plan: Plan, classes: int) -> None:
        super().__init__(plan, classes)
        if plan.rmp.weight:
            raise LavasegError("field rmp.weight: an artificial network has no membranes; set it 0")
        self.model: AnalogNetwork = model

    def learn(
        self, messages: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        added: list[torch.Tensor] = []
        wanted = self.plan.optimisation.auxiliary_weight > 0
        readout = self.model(
            messages, (lambda x: added.append(self.auxiliary_loss(x, labels))) if wanted else None
        )
        return readout, torch.stack(added).sum() if added else 0.0

    def watch(self, messages: torch.Tensor) -> torch.Tensor:
        readout: torch.Tensor = self.model(messages)
        return readout

    def log_activity(self) -> None:
        self.log("energy_uj", MAC_PJ * self.model.macs / 1e6)


def segmenter(model: SpikingNetwork | AnalogNetwork, plan: Plan, classes: int) -> Segmenter:
    """What trains `model`."""
    if isinstance(model, SpikingNetwork):
        return SpikingSegmenter(model, plan, classes)
    return AnalogSegmenter(model, plan, classes)


def learning_rate(plan: Training, steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at each optimiser step."""

    def factor(step: int) -> float:
        progress = min(step / steps, 1.0)
        if plan.schedule == "step":
            return plan.decay ** sum(progress >= part for part in plan.milestones)
        if plan.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        if plan.schedule == "one_cycle":  # warm up over a fifth, then to nothing
            if progress < 0.2:
                return 0.04 + 0.96 * progress / 0.2
            return 0.5 * (1 + math.cos(math.pi * (progress - 0.2) / 0.8))
        return 1.0

    return factor


class History(pl.Callback):
    """One row an epoch into a CSV file, and the weights of the best validation mIoU.

    Its rows travel in the checkpoint, so that a resumed run continues them.
    """

    def __init__(self, folder: Path, table: str, weights: str) -> None:
        self.table, self.weights = folder / table, folder / weights
        self.rows: list[dict[str, float]] = []
        self.started = time.monotonic()

    @property
    def best(self) -> float:
        return max((row["val_miou"] for row in self.rows), default=-1.0)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Segmenter)
        measured = {k: float(v) for k, v in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch + 1, **measured}
        row["learning_rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row["seconds"] = time.monotonic() - self.started
        improved = row["val_miou"] > self.best
        self.rows.append(row)
        if improved:
            write_atomically(self.weights, save_tensors(contiguous_state(module.model)))
        self.write()

    def write(self) -> None:
        """Write the table; columns are those of any row (RMP's may start later)."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="nan", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.table, text.getvalue())

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
        best = " *" if row["val_miou"] >= self.history.best else ""
        energy = f"energy {row['energy_uj']:.2f} uJ  " if "energy_uj" in row else ""
        line(
            f"{self.title} epoch {int(row['epoch']):3d}  loss {row['loss']:.4f}  "
            f"val mIoU {100 * row['val_miou']:.2f} %{best}  "
            f"{energy}{row['seconds']:.0f} s"
            + (f"  spikes/neuron by layer {rates}" if rates else "")
        )

    def on_exception(self, *_: Any) -> None:
        self.bar.close()


def contiguous_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict as safetensors takes it."""
    return {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}


def fit(
    model: SpikingNetwork | AnalogNetwork,
    plan: Plan,
    train: Samples,
    validation: Samples,
    *,
    classes: int,
    folder: Path,
    table: str,
    weights: str,
    title: str,
    resume: Path | None = None,
    progress: bool = True,
) -> History:
    """Train `model`; the weights of its best validation epoch end in `folder / weights`.

    Args:
        resume: a checkpoint to continue from.
        table: file name of the metrics table.
        title: shown in front of each epoch's line.

    Raises:
        KeyboardInterrupt: Ctrl-C; the last finished epoch is in the checkpoint.
    """
    _quiet()
    keep_freed_memory()
    batch = plan.optimisation.batch_size
    history = History(folder, table, weights)
    checkpoint = ModelCheckpoint(
        folder / "checkpoints",
        filename=Path(table).stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    callbacks: list[pl.Callback] = [history, checkpoint]
    if progress:
        callbacks.append(EpochLines(history, title))
    trainer = pl.Trainer(
        max_epochs=plan.optimisation.epochs,
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices="auto" if torch.cuda.is_available() else 1,
        logger=TensorBoardLogger(folder, name="tensorboard", version=Path(table).stem),
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=plan.optimisation.gradient_clip or None,
        log_every_n_steps=50,
    )

    def batches(samples: Samples, seed: int, shuffle: bool) -> Any:
        return loader(
            samples,
            plan.encoder,
            batch_size=batch,
            seed=seed,
            shuffle=shuffle,
            augment=plan.augment,
            ignore_index=plan.ignore_index,
        )

    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(
            segmenter(model, plan, classes),
            batches(train, plan.seed, True),
            batches(validation, plan.seed, False),
            ckpt_path=resume,
            weights_only=True,
        )
    except SystemExit:  # lightning turns Ctrl-C into an exit
        raise KeyboardInterrupt from None
    finally:  # lightning leaves Ctrl-C switched off once it was pressed
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return history


def _quiet() -> None:
    """Keep lightning's banners and hints, which are about its own flags, off the screen."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def seed_weights(seed: int) -> None:
    """Seed the weights' initialisation; order and encoding carry their own seeds."""
    torch.manual_seed(np.random.SeedSequence(seed).generate_state(1)[0].item())


def draw_weights(model: torch.nn.Module, plan: Training) -> None:
    """Draw all synaptic weights anew if the recipe asks for another law than a model's own."""
    if plan.initial_weights == "xavier_uniform":
        for parameter in model.parameters():
            if parameter.ndim >= 4:  # norms, biases and clocks have fewer axes
                torch.nn.init.xavier_uniform_(parameter, plan.initial_gain)
