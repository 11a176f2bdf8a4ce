"""Signs that a training goes wrong: numbers that are none, layers that die or saturate, one class.

Numbers that are none end it; of everything else the user hears once, with a remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from lavaseg.errors import LavasegError
from lavaseg.models.logic import is_gate
from lavaseg.network import Network, Node, Population
from lavaseg.system.words import percent, several
from lavaseg.training.ranks import summed, together
from lavaseg.training.segmenter import Segmenter, SpikingSegmenter
from lavaseg.training.surroundings import pl

SATURATED = 0.95
"""Mean of what a layer's neurons send over the most that they could. A neuron that spikes at 95 %
of its steps tells 0.29 bits a step, where one that spikes at half of them tells 1."""
DOMINATED = 0.99
"""Share of the pixels of all other classes that are given to one class. A network that has learned
anything of the others finds more than a hundredth of their pixels, however rare they are."""
PATIENCE = 2
"""Epochs in a row with such a class. After the first one it is usual: the most frequent class is
what a network learns before all others."""
TRAINING = "training"
"""The section of a recipe whose learning rate it is, unless the network is fine-tuned."""
_NAMED = 4
"""Layers that one sentence names."""


def check_finite(model: nn.Module, epoch: int, loss: torch.Tensor | None, section: str) -> None:
    """Refuse to go on with numbers that are none.

    Args:
        section: of the recipe, whose learning rate it is.

    Raises:
        LavasegError: names the epoch, and the first layer whose values are not finite.
    """
    values = (*model.named_parameters(), *model.named_buffers())
    layer = next((name for name, value in values if not torch.isfinite(value).all()), None)
    if layer is None and (loss is None or torch.isfinite(loss)):
        return
    where = "the loss is" if layer is None else f"values of {layer} are"
    what = f"epoch {epoch}: {where} no longer finite numbers"
    raise LavasegError(_stopped(what, epoch, section))


def _stopped(what: str, epoch: int, section: str) -> str:
    if section != TRAINING:
        return (
            f"{what}, so fine-tuning stops: export again with a lower {section}.learning_rate in "
            "the run's recipe.yaml, or with epochs 0 there, which rounds the weights and leaves it "
            "at that"
        )
    kept = "weights and checkpoint of the epochs before are kept" if epoch > 1 else (
        "no epoch has finished, so there is nothing to keep"
    )  # fmt: skip
    return (
        f"{what}, so training stops; {kept}: start another run with a lower "
        "training.learning_rate, or with training.gradient_clip"
    )


class FiniteGradients(pl.Callback):
    """Ends a training before gradients that are no finite numbers reach the weights.

    A loss that is not finite has no finite gradients either. With a precision whose gradients are
    scaled, such a step is left out anyway, and the scale is lowered.

    Args:
        section: of the recipe, whose learning rate it is.
    """

    def __init__(self, section: str) -> None:
        self.section = section

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        found = [(name, p.grad) for name, p in module.named_parameters() if p.grad is not None]
        if not found:
            return
        norms = torch.stack(torch._foreach_norm([gradient for _, gradient in found]))
        if bool(torch.isfinite(norms.sum())):
            return
        assert isinstance(module, Segmenter)
        epoch = trainer.current_epoch + 1
        loss = module.terms.get("total")
        where = "the loss is no longer a finite number"
        if loss is None or bool(torch.isfinite(loss)):
            # gradients flow from the last layer to the first, and spoil all that they meet
            broken = [name for (name, gradient) in found if not torch.isfinite(gradient).all()]
            layer = broken[-1] if broken else found[-1][0]
            where = f"gradients of {layer.removeprefix('model.')} are no longer finite numbers"
        what = f"epoch {epoch}, step {trainer.global_step + 1}: {where}"
        raise LavasegError(_stopped(what, epoch, self.section))


class Health(pl.Callback):
    """Looks at the spikes and predictions of each epoch, and warns once of each sign.

    A layer is silent if none of its neurons spiked for any sample of the epoch; looking for that
    ends with its first spike. Rates are those of the last batch. Of several processes each looks at
    its own samples, and what they saw is put together.

    Args:
        classes: class names.
        tell: takes each warning, a sentence; None: this process leaves it to another one.
        section: of the recipe, whose learning rate it is.
    """

    def __init__(
        self, classes: Sequence[str], tell: Callable[[str], None] | None, section: str
    ) -> None:
        self.classes, self.section = classes, section
        self.tell = tell or (lambda _: None)
        self.silent: set[str] = set()
        self.rates: dict[str, float] = {}
        self.told: set[str] = set()
        self.dominated = 0
        self.last = False

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.rates = {}
        self.silent = set()
        if isinstance(module, SpikingSegmenter):
            self.silent = {p.name for p in firing(module.model.network)}

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if isinstance(module, SpikingSegmenter):
            self.last = batch_idx + 1 == trainer.num_training_batches
            module.watched = self._look if self.silent or self.last else None

    def _look(self, node: Node, spikes: torch.Tensor) -> None:
        if node.name in self.silent and bool(spikes.any()):
            self.silent.discard(node.name)
        if self.last and isinstance(node, Population):
            self.rates[node.name] = float(spikes.detach().mean()) / (node.levels or 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Segmenter)
        epoch = trainer.current_epoch + 1
        if isinstance(module, SpikingSegmenter):
            module.watched = None
            self._put_together(firing(module.model.network), module.device)
            self._tell_silent(firing(module.model.network), epoch)
            self._tell_saturated(firing(module.model.network), epoch)
        if module.measured is not None:
            self._tell_dominated(module, module.measured, epoch)

    def _training(self, words: str) -> str:
        """A remedy that means another training; empty where the network is only fine-tuned."""
        return words if self.section == TRAINING else ""

    def _put_together(self, layers: Sequence[Population], device: torch.device) -> None:
        """Silent is what was silent in all processes; rates are their mean."""
        if not layers or not together():
            return
        own = [(p.name not in self.silent, self.rates.get(p.name, 0.0), 1.0) for p in layers]
        spoke, rates, count = summed(torch.tensor(own, device=device)).T.tolist()
        self.silent = {p.name for p, found in zip(layers, spoke, strict=True) if not found}
        means = (rate / processes for rate, processes in zip(rates, count, strict=True))
        self.rates = {p.name: mean for p, mean in zip(layers, means, strict=True)}

    def _tell_silent(self, layers: Sequence[Population], epoch: int) -> None:
        names = [p.name for p in layers if p.name in self.silent and p.name not in self.told]
        if not names:
            return
        self.told |= {*names}
        more = f" (nor did {several(names[1:], _NAMED)})" if names[1:] else ""
        self.tell(
            f"warning: {names[0]} sent no spike for any sample of epoch {epoch}{more}, so nothing "
            f"passes it and it learns nothing: lower "
            f"{self._training('model.options.threshold or ')}{self.section}.learning_rate"
        )

    def _tell_saturated(self, layers: Sequence[Population], epoch: int) -> None:
        for layer in layers:
            rate = self.rates.get(layer.name, 0.0)
            if rate < SATURATED or layer.name in self.told:
                continue
            self.told.add(layer.name)
            most = f"spikes at {percent(rate, 0)} of all steps"
            remedy = "model.options.threshold"
            if layer.levels is not None:
                most = f"sends {rate * layer.levels:.2f} of {layer.levels} levels"
                remedy = "model.options.levels"
            self.tell(
                f"warning: {layer.name} {most} on average at the end of epoch {epoch}, so what it "
                f"sends tells next to nothing of the picture: "
                f"{self._training(f'raise {remedy}, or ')}lower "
                f"{self.section}.learning_rate"
            )

    def _tell_dominated(self, module: Segmenter, confusion: np.ndarray, epoch: int) -> None:
        """Of a class that gets nearly all pixels of the others, for some epochs in a row."""
        others = confusion.sum(1).sum() - confusion.sum(1)
        taken = confusion.sum(0) - np.diag(confusion)
        share = np.divide(taken, others, out=np.zeros(len(others)), where=others > 0)
        number = int(share.argmax())
        self.dominated = self.dominated + 1 if share[number] >= DOMINATED else 0
        if self.dominated < PATIENCE or "" in self.told:
            return
        self.told.add("")
        labelled = confusion[number].sum() / confusion.sum()
        weighs = module.plan.class_weights is not None
        remedy = "check training.class_weights" if weighs else (
            "weigh classes (training.class_weights=median_frequency)"
        )  # fmt: skip
        self.tell(
            f"warning: after epoch {epoch}, {percent(float(share[number]), 1)} of the validation "
            f"pixels of all other classes are labelled {self.classes[number]!r}, which "
            f"{percent(float(labelled), 1)} of the pixels are: "
            f"{self._training(f'{remedy}, or ')}raise "
            f"{self.section}.learning_rate or epochs"
        )


def firing(network: Network) -> list[Population]:
    """Populations that spike and learn when, in order: no read-outs, and no gates, whose sums are
    what others send."""
    return [
        node
        for node in network.ordered
        if isinstance(node, Population)
        and node.threshold is not None
        and not is_gate(network, node)
    ]
