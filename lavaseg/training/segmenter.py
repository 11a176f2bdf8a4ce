"""Networks under training: their losses, their metrics, their optimisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.distributed import get_world_size

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
from lavaseg.training.batches import Batch, TrainingBatch
from lavaseg.training.loss import (
    anything_counts,
    boundary_loss,
    counted,
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
from lavaseg.training.ranks import Group, samples_of, summed, together
from lavaseg.training.slayer.delays import ChannelDelays
from lavaseg.training.surroundings import MulticlassConfusionMatrix, pl
from lavaseg.training.transfer.layers import freeze

S = TypeVar("S", bound="Segmenter")


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
    still: tuple[nn.Module, ...] = ()
    """Submodules of frozen layers."""

    def __init__(self, plan: Plan, classes: int) -> None:
        super().__init__()
        self.plan = plan
        self.terms: dict[str, torch.Tensor] = {}
        self.measured: np.ndarray | None = None
        self.confusion = MulticlassConfusionMatrix(classes, ignore_index=plan.ignore_index)
        self.seen: dict[int, torch.Tensor] = {}

    def hold(self) -> None:
        """Keep the layers that the plan freezes as they are."""
        self.still = freeze(self.model, self.plan.frozen)
        self.train(self.training)

    def train(self: S, mode: bool = True) -> S:
        """As torch's; norms of frozen layers stay in eval mode."""
        super().train(mode)
        for module in self.still:
            module.eval()
        return self

    def learn(
        self, messages: torch.Tensor, labels: torch.Tensor, group: Group | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Read-out of a training batch, and the term that is added to its loss.

        Args:
            group: the step of the optimiser that the batch is a part of; None: it is all of it.
        """
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

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, group: Group | None, *, nearest: bool
    ) -> torch.Tensor:
        """The batch's part of the mean loss of its step.

        Args:
            nearest: labels are taken at the size of the logits; else, logits at that of the labels.
        """
        ignored, weights = self.plan.ignore_index, self.plan.class_weights

        def met(labels: torch.Tensor) -> torch.Tensor:
            return nearest_labels(labels, logits) if nearest else labels

        loss = segmentation_loss(
            logits,
            met(labels),
            ignore_index=ignored,
            label_smoothing=self.plan.optimisation.label_smoothing,
            class_weights=weights,
        )
        if group is None:
            return loss
        return loss * group.share(labels, lambda labels: counted(met(labels), ignored, weights))

    def auxiliary_loss(
        self, readout: torch.Tensor, labels: torch.Tensor, group: Group | None = None
    ) -> torch.Tensor:
        """Weighted loss of an auxiliary read-out, against labels of its size.

        One channel says where a boundary is.
        """
        logits = self.logits(readout)
        weight = self.plan.optimisation.auxiliary_weight
        if logits.shape[1] == 1:
            return weight * boundary_loss(logits, labels, self.plan.ignore_index, group)
        return weight * self._loss(logits, labels, group, nearest=True)

    def _group(self, labels: Sequence[torch.Tensor]) -> Group | None:
        """The step that a batch is a part of, by the labels of its batches; None: all of it."""
        parts = self.plan.optimisation.accumulate * (get_world_size() if together() else 1)
        return Group(labels, parts) if parts > 1 else None

    def training_step(self, batch: TrainingBatch, _: int) -> torch.Tensor:
        messages, labels, *rest = batch
        group = self._group(rest[0]) if rest else None
        readout, added = self.learn(messages, labels, group)
        loss = self._loss(self.logits(readout), labels, group, nearest=False)
        if self._anything(labels, group):
            self._log_mean("loss", loss, labels, group)
        total = loss + added
        self.terms |= {"cross_entropy": loss.detach(), "total": total.detach()}
        return total

    def _anything(self, labels: torch.Tensor, group: Group | None) -> bool:
        """Whether any pixel of a step counts, which all processes answer alike."""
        ignored, weights = self.plan.ignore_index, self.plan.class_weights
        if group is None:
            return anything_counts(labels, ignored, weights)
        return bool(group.total(lambda labels: counted(labels, ignored, weights)) > 0)

    def _log_mean(
        self, name: str, part: torch.Tensor, labels: torch.Tensor, group: Group | None
    ) -> None:
        """Log a batch's part of a mean, so that the epoch has the mean of its steps' means."""
        if group is not None:
            whole = group.total(samples_of)
            part = part.detach() * (whole / (group.parts * len(labels)))
        self.log(name, part, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)

    def validation_step(self, batch: Batch, index: int) -> None:
        messages, labels = batch
        logits = self.logits(self.watch(messages))
        loss = segmentation_loss(logits, labels, ignore_index=self.plan.ignore_index)
        count = counted(labels, self.plan.ignore_index)
        self.seen[index] = torch.stack([loss.double() * count, count, samples_of(labels)])
        resized = resize_logits(logits, (labels.shape[1], labels.shape[2]))
        self.confusion.update(resized.argmax(1), labels)

    def on_validation_epoch_end(self) -> None:
        self.measured = self.confusion.compute().cpu().numpy()
        self._log_validated()
        self.log("val_miou", float(mean_iou(self.measured)), prog_bar=True)
        self.confusion.reset()
        self.log_activity()

    def _log_validated(self) -> None:
        """Log the mean of the losses of the batches, each by its samples."""
        sampler: Any = self.trainer.val_dataloaders.batch_sampler  # type: ignore[union-attr]
        batches = torch.zeros(len(sampler.ends), 3, dtype=torch.float64)
        for index, sums in self.seen.items():
            batches[index] = sums.cpu()
        self.seen = {}
        sums, counts, samples = summed(batches.to(self.device)).cpu().T
        judged = counts > 0
        if judged.any():
            losses = sums[judged] / counts[judged]
            mean = (losses * samples[judged]).sum() / samples[judged].sum()
            self.log("val_loss", float(mean))

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
        self, messages: torch.Tensor, labels: torch.Tensor, group: Group | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        penalties: list[torch.Tensor] = []
        neurons: list[int] = []
        added: list[torch.Tensor] = []

        def observe(node: Node, spikes: torch.Tensor, membrane: torch.Tensor | None) -> None:
            if self.watched is not None:
                self.watched(node, spikes)
            if node.name in self.auxiliaries and membrane is not None:
                added.append(self.auxiliary_loss(membrane[..., -1], labels, group))
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
            if group is not None:
                penalty = penalty * group.share(labels, samples_of)
            self._log_mean("rmp", penalty, labels, group)
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
        network = self.model.network
        validated = torch.tensor(self.validated, dtype=torch.float64, device=self.device)
        samples = max(int(summed(validated)), 1)
        counts = {}
        for node in (network.input, *network.ordered):
            if not isinstance(node, Current):
                nothing = torch.zeros(network.shape(node.name), dtype=torch.float64)
                own = self.counts.get(node.name, nothing.to(self.device))
                counts[node.name] = summed(own).long().cpu().numpy()
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
        self, messages: torch.Tensor, labels: torch.Tensor, group: Group | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | float]:
        added: list[torch.Tensor] = []
        wanted = self.plan.optimisation.auxiliary_weight > 0

        def judge(readout: torch.Tensor) -> None:
            added.append(self.auxiliary_loss(readout, labels, group))

        readout = self.model(messages, judge if wanted else None)
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
    found: Segmenter
    if isinstance(model, SpikingNetwork):
        found = SpikingSegmenter(model, plan, classes)
    else:
        found = AnalogSegmenter(model, plan, classes)
    if plan.frozen:
        found.hold()
    return found
