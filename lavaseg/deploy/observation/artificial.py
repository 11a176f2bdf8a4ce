"""Records an artificial network: activations of each layer, by hooks."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from lavaseg.deploy.observation.source import Source, one_figure
from lavaseg.events import Stimulus
from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork, watching
from lavaseg.results.recording import LayerRecording, Recording


class ArtificialRecorder:
    """Records an artificial network, one sample after the other.

    Args:
        model: its description.
        network: its torch module with trained weights, in eval mode.
        kept: names of the layers to record.
    """

    def __init__(
        self, source: Source, model: AnalogModel, network: AnalogNetwork, kept: frozenset[str]
    ) -> None:
        self.source, self.model, self.network, self.kept = source, model, network, kept

    @torch.no_grad()
    def sample(self, stimulus: Stimulus, number: int) -> Recording:
        """The recording of one stimulus."""
        seen: dict[str, np.ndarray] = {}

        def see(name: str, _: nn.Module, output: torch.Tensor) -> None:
            if len(output) == self.network.frames:  # of one sample: the mean is what is read on
                output = output.mean(0, keepdim=True)
            if name in self.kept:
                seen[name] = output.clone().numpy()  # a network may go on to change it in place

        with watching(self.network.body, see):
            readout = self.network(self.source.messages(stimulus, number))
        layers = {name: self._activations(name, values) for name, values in seen.items()}
        return self.source.recording("artificial", stimulus, number, layers, readout.numpy())

    def _activations(self, name: str, values: np.ndarray) -> LayerRecording:
        kind, shape, macs = self.model.sheets[name]
        share = one_figure(np.count_nonzero(values) / values.size)
        return LayerRecording(name, kind, shape, share, macs, values=values)
