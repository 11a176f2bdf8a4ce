"""What TensorBoard shows of a training besides the rows of its table, kept small.

Learning rate, what the loss is added up of, IoU of each class, and, of a few samples, pictures with
labels and predictions, and histograms of membranes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lavaseg.data.base import Samples
from lavaseg.data.colours import label_table
from lavaseg.events import preview
from lavaseg.results.membranes import EDGES
from lavaseg.results.metrics import iou, predict
from lavaseg.system.shown import spread
from lavaseg.training.histograms import look
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.plan import Plan
from lavaseg.training.segmenter import Segmenter
from lavaseg.training.surroundings import TensorBoardLogger, pl

SAMPLES = 4
"""The first samples, which are shown after each epoch."""
PICTURES = 20
"""Epochs of which predictions are kept, the last one among them. TensorBoard shows ten of them
unless told otherwise."""
LONGEST = 256
"""Pixels of a picture's longer side; of larger pictures rows and columns are left out."""
EVERY = 50
"""Steps from one learning rate to the next."""
LAYERS = 24
"""Layers whose membranes are kept, spread over the network, where it has more."""


class Curves(pl.Callback):
    """Writes into lightning's own log for TensorBoard, where it has one.

    An epoch adds a scalar for each class and layer, a histogram of 100 bins for each layer, and, at
    most `PICTURES` times, a label map for each of `SAMPLES`. The network is left as it is.

    Args:
        samples: the first ones are shown. Validation samples; where none are held out, those of
            training.
        plan: what is trained, for its encoder and its seed.
        classes: class names.
        colours: of the classes, uint8 (K, 3).
    """

    def __init__(
        self, samples: Samples, plan: Plan, classes: Sequence[str], colours: np.ndarray
    ) -> None:
        self.samples, self.plan, self.classes = samples, plan, classes
        self.table = label_table(colours, plan.ignore_index)
        self.sums: dict[str, torch.Tensor] = {}
        self.batches = 0
        self.begun = False

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.sums, self.batches = {}, 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Segmenter)
        for name, term in module.terms.items():
            self.sums[name] = self.sums.get(name, 0) + term
        self.batches += 1
        if trainer.global_step % EVERY == 0:
            self._write_rates(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Segmenter)
        writer, step = _writer(trainer), trainer.global_step
        if writer is None:
            return
        self._write_rates(trainer)
        for name, total in self.sums.items():
            writer.add_scalar(f"losses/{name}", float(total) / self.batches, step)
        if module.measured is not None:
            for name, value in zip(self.classes, iou(module.measured), strict=True):
                if np.isfinite(value):
                    writer.add_scalar(f"IoU/{name}", float(value), step)
        self._write_samples(writer, module, step, _is_due(trainer))

    def _write_rates(self, trainer: pl.Trainer) -> None:
        writer = _writer(trainer)
        if writer is None:
            return
        groups = trainer.optimizers[0].param_groups
        for name, group in zip(("weights", "delays"), groups, strict=False):
            writer.add_scalar(f"learning rate/{name}", group["lr"], trainer.global_step)

    def _write_samples(self, writer: Any, module: Segmenter, step: int, pictures: bool) -> None:
        """Predictions of the samples, if they are due, and the membranes that they cause."""
        model, counts = module.model, dict[str, np.ndarray]()
        if not pictures and not isinstance(model, SpikingNetwork):
            return
        for number in range(min(SAMPLES, len(self.samples))):
            stimulus, label = self.samples[number]
            label = label[self.plan.encoder.window(label.shape)]
            readout = look(model, stimulus, number, self.plan, counts)
            if not pictures:
                continue
            size = (label.shape[0], label.shape[1])
            predicted = predict(module.logits(readout).cpu().numpy(), size)[0]
            if not self.begun:
                shown = preview(stimulus)
                rows, columns = self.plan.encoder.window(shown.shape[1:])
                writer.add_image(f"sample {number}/1 input", _rgb(shown[:, rows, columns]), step)
                writer.add_image(f"sample {number}/2 label", self._drawn(label), step)
            writer.add_image(f"sample {number}/3 prediction", self._drawn(predicted), step)
        self.begun = self.begun or pictures
        for name in spread(list(counts), LAYERS):
            _add_histogram(writer, f"membranes/{name}", counts[name], step)

    def _drawn(self, label: np.ndarray) -> np.ndarray:
        """Class ids (H, W) in their colours, uint8 (3, H', W')."""
        return np.moveaxis(self.table[_thinned(label)], -1, 0)


def _writer(trainer: pl.Trainer) -> Any:
    """Lightning's SummaryWriter, or None."""
    logger = trainer.logger
    return logger.experiment if isinstance(logger, TensorBoardLogger) else None


def _is_due(trainer: pl.Trainer) -> bool:
    """Whether predictions are kept of this epoch."""
    epochs, epoch = int(trainer.max_epochs or 1), trainer.current_epoch + 1
    return epoch in (1, epochs) or epoch % max(-(-epochs // (PICTURES - 2)), 1) == 0


def _thinned(sheet: np.ndarray) -> np.ndarray:
    """A sheet (..., H, W) whose sides are `LONGEST` pixels at most, by leaving out some."""
    step = -(-max(sheet.shape[-2:]) // LONGEST)
    return sheet[..., ::step, ::step]


def _rgb(picture: np.ndarray) -> np.ndarray:
    """A picture uint8 (C, H, W) as uint8 (3, H', W'); of other than three channels, their mean."""
    thin = _thinned(picture)
    if len(thin) == 3:
        return thin
    if len(thin) == 2:  # events: ON and OFF on grey
        most = max(int(thin.max()), 1)
        signed = (thin[0].astype(float) - thin[1]) / most
        thin = (127.5 * (1 + signed))[None]
    grey = thin.mean(0).astype(np.uint8)
    return np.repeat(grey[None], 3, 0)


def _add_histogram(writer: Any, tag: str, counts: np.ndarray, step: int) -> None:
    """Membranes in the bins of `EDGES`, in units of the threshold, by their bins' middles."""
    middles = (EDGES[1:] + EDGES[:-1]) / 2
    filled = np.flatnonzero(counts)
    if not len(filled):
        return
    shown = slice(filled[0], filled[-1] + 1)
    writer.add_histogram_raw(
        tag,
        min=float(EDGES[filled[0]]),
        max=float(EDGES[filled[-1] + 1]),
        num=int(counts.sum()),
        sum=float(counts @ middles),
        sum_squares=float(counts @ middles**2),
        bucket_limits=EDGES[1:][shown].tolist(),
        bucket_counts=counts[shown].tolist(),
        global_step=step,
    )
