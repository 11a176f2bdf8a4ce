"""A run's network as trained, in floats, made ready once."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from lavaseg.events import Stimulus
from lavaseg.inference.engines import Answer
from lavaseg.kernels.devices_torch import found_device
from lavaseg.network import Current, Node
from lavaseg.runs import Run
from lavaseg.training.batches import messages
from lavaseg.training.models import trained_model
from lavaseg.training.network import SpikingNetwork


class Floats:
    """The spiking or artificial network of a run with its best weights.

    Args:
        run: a trained run.
        seed: of the encoder's draws.
        device: "cpu", "cuda" or "auto": the first GPU where there is one.

    Raises:
        LavasegError: no weights yet, or no such device.
    """

    batch = 1

    def __init__(self, run: Run, seed: int, device: str) -> None:
        self.encoder, self.seed = run.recipe.encoder_object, seed
        self.device = found_device(device)
        self.model = trained_model(run).to(self.device)

    def run(self, stimuli: Sequence[Stimulus], numbers: Sequence[int]) -> Answer:
        """See `lavaseg.inference.engines.Engine`."""
        arriving = messages(stimuli, self.encoder, self.seed, numbers).to(self.device)
        started = time.perf_counter()
        with torch.no_grad():
            readout, spikes = self._forward(arriving)
            logits = (readout.float().cpu() / self.encoder.steps).numpy()
        return Answer(logits, spikes, time.perf_counter() - started)

    def _forward(self, arriving: torch.Tensor) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
        """Read-out over T, and spikes of each neuron (N, C, H, W); none if artificial."""
        model = self.model
        if not isinstance(model, SpikingNetwork):
            return model(arriving), {}
        counts = {model.network.input.name: (arriving != 0).sum(-1).cpu().numpy()}

        def count(node: Node, spikes: torch.Tensor, _: torch.Tensor | None) -> None:
            if not isinstance(node, Current):
                counts[node.name] = (spikes != 0).sum(-1).cpu().numpy()

        return model(arriving, count), counts
