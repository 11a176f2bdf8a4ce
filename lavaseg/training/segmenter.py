"""Networks under training: their losses, their metrics, their optimisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import Current, Node, Population
from lavaseg.results.energy import (
    CMOS_45NM,
    MAC_PJ,
    account,
    describe,
    kim_energy,
    mfs_seg_energy,
    on_device,
    uncountable,
)
from lavaseg.results.metrics import mean_iou
from lavaseg.training.batches import Batch
from lavaseg.training.loss import (
    anything_counts,
    boundary_loss,
    nearest_labels,
    resize_logits,
    rmp_layers,
    rmp_loss,
    rmp_mean,
    rmp_weight,
    segmentation_loss,
)
from lavaseg.training.network import SpikingNetwork, spikes_sent
from lavaseg.training.plan import Plan, learning_rate
from lavaseg.training.slayer.delays import ChannelDelays
from lavaseg.training.surroundings import MulticlassConfusionMatrix, pl


def check_plan(model: SpikingNetwork | AnalogNetwork, plan: Plan) -> None:
    """Refuse a plan that a model cannot follow.

    Raises:
        LavasegError: names the field.
    """
    if not isinstance(model, AnalogNetwork):
        if plan.rmp.weight and plan.rmp.target == "steady_state" and plan.encoder.steps == 1:
            raise LavasegError(
                "field rmp.target: steady_state is a variance over time, which a single step "
                "(encoder.steps 1) does not have: expected another target, or more steps"
            )
        after = plan.rmp.weight and plan.rmp.membrane == "post_reset"
        for population in model.network.populations if after else ():
            if population.levels is not None:
                raise LavasegError(
                    f"field rmp.membrane: population {population.name!r} has levels and keeps no "
                    "membrane after it fires: expected pre_reset, got post_reset"
                )
        return
    if plan.rmp.weight:
        raise LavasegError("field rmp.weight: an artificial network has no membranes; set it 0")
    model.check_steps(plan.encoder.steps)
    if plan.optimisation.membrane_histograms:
        raise LavasegError(
            "field training.membrane_histograms: an artificial network has no membranes; set it "
            "false"
        )


class Segmenter(pl.LightningModule):
    """One network under training: loss, optimiser, validation metrics.

    Differences between spiking and artificial networks are left to `SpikingSegmenter` and
    `AnalogSegmenter`. For those who watch, `terms` holds what the last batch's loss was added up
    of, by name, and "total"; `measured` the confusion matrix of the last validation.
    """

    model: SpikingNetwork | AnalogNetwork

    def __init__(self, plan: Plan, classes: int) -> None:
        super().__init__()
        self.plan = plan
        self.terms: dict[str, torch.Tensor] = {}
        self.measured: np.ndarray | None = None
        self.confusion = MulticlassConfusionMatrix(classes, ignore_index=plan.ignore_index)

    def learn(
        self, messages: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Read-out of a training batch, and the term that is added to its loss."""
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
        """Weighted loss of an auxiliary read-out, against labels of its size.

        One channel says where a boundary is.
        """
        logits = self.logits(readout)
        weight = self.plan.optimisation.auxiliary_weight
        if logits.shape[1] == 1:
            return weight * boundary_loss(logits, labels, self.plan.ignore_index)
        return weight * self._loss(logits, nearest_labels(labels, logits))

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        messages, labels = batch
        readout, added = self.learn(messages, labels)
        loss = self._loss(self.logits(readout), labels)
        if anything_counts(labels, self.plan.ignore_index, self.plan.class_weights):
            self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        total = loss + added
        self.terms |= {"cross_entropy": loss.detach(), "total": total.detach()}
        return total

    def validation_step(self, batch: Batch, _: int) -> None:
        messages, labels = batch
        logits = self.logits(self.watch(messages))
        loss = segmentation_loss(logits, labels, ignore_index=self.plan.ignore_index)
        if anything_counts(labels, self.plan.ignore_index):
            self.log("val_loss", loss, on_epoch=True, batch_size=len(labels))
        resized = resize_logits(logits, (labels.shape[1], labels.shape[2]))
        self.confusion.update(resized.argmax(1), labels)

    def on_validation_epoch_end(self) -> None:
        self.measured = self.confusion.compute().cpu().numpy()
        self.log("val_miou", float(mean_iou(self.measured)), prog_bar=True)
        self.confusion.reset()
        self.log_activity()

    def _steps(self) -> int:
        return max(int(self.trainer.estimated_stepping_batches), 1)

    def configure_optimizers(self) -> Any:
        plan = self.plan.optimisation
        rate, decay = plan.learning_rate, plan.weight_decay
        delays = [p for m in self.modules() if isinstance(m, ChannelDelays) for p in m.parameters()]
        counted = {id(delay) for delay in delays}
        weights: Any = [p for p in self.parameters() if id(p) not in counted]
        if delays:
            own = {"params": delays, "lr": plan.delay_learning_rate, "weight_decay": 0.0}
            weights = [{"params": weights}, own]
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
        self.watched: Callable[[Node, torch.Tensor], None] | None = None
        """Called with what each node sends for a batch of training, while there is somebody."""

    def learn(
        self, messages: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        penalties: list[torch.Tensor] = []
        neurons: list[int] = []
        added: list[torch.Tensor] = []

        def observe(node: Node, spikes: torch.Tensor, membrane: torch.Tensor | None) -> None:
            if self.watched is not None:
                self.watched(node, spikes)
            if node.name in self.auxiliaries and membrane is not None:
                added.append(self.auxiliary_loss(membrane[..., -1], labels))
            if regularise and node.name in self.regularised and membrane is not None:
                assert isinstance(node, Population)
                penalties.append(rmp_loss(self.plan.rmp, node, spikes, membrane))
                neurons.append(self.model.network.neurons(node.name))

        weight = rmp_weight(self.plan.rmp, self.trainer.global_step / self._steps())
        regularise = weight > 0
        observed = regularise or bool(self.auxiliaries) or self.watched is not None
        readout = self.model(
            messages,
            observe if observed else None,
            membranes=self.plan.rmp.time if regularise else "none",
        )
        if added:
            self.terms["auxiliary"] = torch.stack(added).sum().detach()
        if penalties:
            penalty = rmp_mean(self.plan.rmp, penalties, neurons)
            self.log("rmp", penalty, on_step=False, on_epoch=True, batch_size=len(labels))
            added.append(weight * penalty)
            self.terms["rmp"] = added[-1].detach()
        return readout, torch.stack(added).sum() if added else 0.0

    def watch(self, messages: torch.Tensor) -> torch.Tensor:
        def count(node: Node, spikes: torch.Tensor, __: torch.Tensor | None) -> None:
            if isinstance(node, Current):
                return
            total = spikes_sent(node, spikes).sum(0).double()
            self.counts[node.name] = self.counts.get(node.name, 0) + total

        source = self.model.network.input
        arrived = spikes_sent(source, messages).sum(0).double()
        self.counts[source.name] = self.counts.get(source.name, 0) + arrived
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
        work = describe(network, counts, samples, self.plan.encoder.steps)
        for name, paper in (("kim", kim_energy(work)), ("mfs_seg", mfs_seg_energy(work))):
            assert paper.picojoules is not None
            self.log(f"energy_{name}_uj", paper.picojoules[1] / 1e6)
        if uncountable(network) is None:
            energy = account(network, counts, samples, self.plan.encoder.steps)
            self.log("synaptic_operations", float(energy.synaptic_operations))
            estimate = on_device(energy, CMOS_45NM).picojoules
            self.log("energy_uj", estimate[1] / 1e6 if estimate else math.nan)
        self.counts, self.validated = {}, 0


class AnalogSegmenter(Segmenter):
    """An artificial network under training; its energy is that of its MACs, whatever it sees."""

    def __init__(self, model: AnalogNetwork, plan: Plan, classes: int) -> None:
        super().__init__(plan, classes)
        check_plan(model, plan)
        self.model: AnalogNetwork = model

    def learn(
        self, messages: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        added: list[torch.Tensor] = []
        wanted = self.plan.optimisation.auxiliary_weight > 0
        readout = self.model(
            messages, (lambda x: added.append(self.auxiliary_loss(x, labels))) if wanted else None
        )
        if not added:
            return readout, 0.0
        total = torch.stack(added).sum()
        self.terms["auxiliary"] = total.detach()
        return readout, total

    def watch(self, messages: torch.Tensor) -> torch.Tensor:
        readout: torch.Tensor = self.model(messages)
        return readout

    def log_activity(self) -> None:
        self.log("energy_uj", MAC_PJ * self.model.macs / 1e6)


def segmenter(model: SpikingNetwork | AnalogNetwork, plan: Plan, classes: int) -> Segmenter:
    """The segmenter that trains `model`."""
    if isinstance(model, SpikingNetwork):
        return SpikingSegmenter(model, plan, classes)
    return AnalogSegmenter(model, plan, classes)
