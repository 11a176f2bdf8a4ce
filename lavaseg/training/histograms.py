"""Histograms of membranes after each epoch of training, of a few samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lavaseg.data.base import Samples
from lavaseg.events import Stimulus
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import Node, Population
from lavaseg.results.membranes import MembraneHistory, binned
from lavaseg.runs import Artefact
from lavaseg.training.batches import messages
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.plan import Plan
from lavaseg.training.segmenter import Segmenter
from lavaseg.training.surroundings import pl

SAMPLES = 8
"""The first samples, which are looked at after each epoch: a forward pass of each."""


class MembraneHistograms(pl.Callback):
    """Keeps the histograms of all firing populations, before reset, in units of the threshold.

    Nothing happens within an epoch, and the network is left as it is. The counts travel in the
    checkpoint, so that a resumed run continues them.

    Args:
        artefact: takes them after each epoch.
        samples: the first ones are looked at. Validation samples; where none are held out, those
            of training.
        plan: what is trained, for its encoder and its seed.
    """

    def __init__(self, artefact: Artefact[MembraneHistory], samples: Samples, plan: Plan) -> None:
        self.artefact, self.samples, self.plan = artefact, samples, plan
        self.rows: list[tuple[int, dict[str, list[int]]]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Segmenter)
        assert isinstance(module.model, SpikingNetwork)
        self.rows.append((trainer.current_epoch + 1, self._counts(module.model)))
        self.artefact.save(MembraneHistory.of_counts(self.rows))

    def _counts(self, model: SpikingNetwork) -> dict[str, list[int]]:
        """Membranes of each population in the bins of `EDGES`."""
        found: dict[str, np.ndarray] = {}
        for number in range(min(SAMPLES, len(self.samples))):
            look(model, self.samples[number][0], number, self.plan, found)
        return {name: counts.tolist() for name, counts in found.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = [(epoch, counts) for epoch, counts in state_dict["rows"]]


@torch.no_grad()
def look(
    model: SpikingNetwork | AnalogNetwork,
    stimulus: Stimulus,
    number: int,
    plan: Plan,
    counts: dict[str, np.ndarray],
) -> torch.Tensor:
    """Read-out of one sample, (1, K, h, w), as a network has it in eval mode; it is left as it is.

    Args:
        number: keys the draws of its code.
        counts: to which the membranes of firing populations are added, in the bins of `EDGES`.
    """
    sample = messages([stimulus], plan.encoder, plan.seed, [number])
    device = next(model.parameters()).device
    modes = [(module, module.training) for module in model.modules()]  # norms may be frozen
    model.eval()
    try:
        if isinstance(model, AnalogNetwork):
            readout: torch.Tensor = model(sample.to(device))
            return readout

        def observe(node: Node, _: torch.Tensor, membrane: torch.Tensor | None) -> None:
            if isinstance(node, Population) and node.threshold is not None and membrane is not None:
                threshold = model.neuron(node.name).threshold
                found = binned(membrane.cpu().numpy(), threshold, node.levels)
                counts[node.name] = counts.get(node.name, 0) + found

        return model(sample.to(device), observe, membranes="all")
    finally:
        for module, training in modes:
            module.training = training
