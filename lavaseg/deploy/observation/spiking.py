"""Records a spiking network, float or integer: spikes, membranes, operations of each layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lavaseg.deploy.observation.source import Source, one_figure
from lavaseg.events import Stimulus
from lavaseg.export.lowering import countable
from lavaseg.network import STATE_SCALE, Input, Node, Population
from lavaseg.results.energy import account
from lavaseg.results.levels import LevelView
from lavaseg.results.membranes import relative
from lavaseg.results.recording import NEAR, Kind, LayerRecording, Recording
from lavaseg.training import SpikingNetwork
from lavaseg.training.network import spikes_sent


class SpikingRecorder:
    """Records a spiking network, one sample after the other.

    Args:
        model: in eval mode. In integers its spikes and membranes are those of the simulator.
        kept: names of the layers to record.
        membranes: whether to keep them; shares near the threshold are counted in any case.
        scales: weight units in a trained unit, for each population of an integer network.
        view: which nodes are one population of integer neurons.
    """

    def __init__(
        self,
        source: Source,
        model: SpikingNetwork,
        kept: frozenset[str],
        membranes: bool,
        scales: Mapping[str, float],
        view: LevelView,
    ) -> None:
        self.source, self.model = source, model
        self.kept, self.membranes, self.scales, self.view = kept, membranes, scales, view
        self.counted, reason = countable(model.network)
        self.remarks = (reason,) if reason else ()
        self._spacing = {  # between levels; the first slot's threshold is half of it
            slot: 2 * STATE_SCALE * model.neuron(sheet.slots[0]).threshold
            for sheet in view.sheets.values()
            for slot in sheet.slots
        }

    @torch.no_grad()
    def sample(self, stimulus: Stimulus, number: int) -> Recording:
        """The recording of one stimulus."""
        network, integer = self.model.network, self.model.integer
        arriving = self.source.messages(stimulus, number)
        counts: dict[str, np.ndarray] = {}
        found: dict[str, LayerRecording] = {}

        def observe(node: Input | Node, x: torch.Tensor, v: torch.Tensor | None) -> None:
            counts[node.name] = spikes_sent(node, x)[0].numpy()
            if node.name in self.kept:
                share = counts[node.name].mean() / x.shape[-1]
                found[node.name] = self._layer(node, float(share), x, v)

        observe(network.input, arriving, None)
        readout = self.model(arriving, observe, membranes="all")
        if integer:
            readout = torch.round(readout.double() * STATE_SCALE).long()
        if self.counted is not None:
            operations = account(self.counted, counts, 1, arriving.shape[-1])
            for name in self.kept & self.counted.shapes.keys():
                count = round(operations.operations_into(name))
                found[name] = dataclasses.replace(found[name], operations=np.array([count]))
        kind: Kind = "integer" if integer else "float"
        whole = self.source.recording(kind, stimulus, number, found, readout.numpy(), self.remarks)
        return dataclasses.replace(whole, view=self.view)

    def _layer(
        self, node: Input | Node, share: float, x: torch.Tensor, v: torch.Tensor | None
    ) -> LayerRecording:
        """All of a layer but its operations."""
        network, integer = self.model.network, self.model.integer
        fields: dict[str, Any] = {}
        sheets = _steps_first(x)
        if isinstance(node, (Input, Population)):
            fields["spikes"] = sheets.to(torch.uint8).numpy()
        elif integer:
            fields["spikes"] = sheets.to(torch.int32).numpy()
        else:
            fields["values"] = sheets.contiguous().numpy()
        if isinstance(node, Population) and v is not None:
            fields |= self._membrane_fields(node, _steps_first(v))
        return LayerRecording(
            name=node.name,
            kind=_kind(node),
            shape=network.shape(node.name),
            rates=one_figure(share),
            macs=sum(
                network.dense_macs(p)
                for p in network.incoming(node.name)
                if network.weight_shape(p) is not None
            ),
            **fields,
        )

    def _membrane_fields(self, population: Population, v: torch.Tensor) -> dict[str, Any]:
        """Scale, threshold, share near it, and membranes if they are kept."""
        name = population.name
        unit = STATE_SCALE if self.model.integer else 1
        membranes = (v * unit).to(torch.int32) if self.model.integer else v.contiguous()
        fields: dict[str, Any] = {"scale": unit * self.scales.get(name, 1.0)}
        values = membranes.numpy()
        if population.threshold is not None:
            threshold = fields["threshold"] = unit * self.model.neuron(name).threshold
            levels = fields["levels"] = population.levels
            away = np.abs(values - threshold)
            if levels is not None:
                away = np.abs(relative(values, threshold, levels) - 1) * threshold
            spacing = self._spacing.get(name, threshold)
            fields["near"] = one_figure((away <= NEAR * spacing).mean())
        if self.membranes:
            fields["membranes"] = values
        return fields


def _steps_first(x: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W, T) as (1, T, C, H, W)."""
    return x.permute(0, 4, 1, 2, 3)


def _kind(node: Input | Node) -> str:
    """The name of a node's kind in `LayerRecording.kind`."""
    if isinstance(node, Population) and node.threshold is None:
        return "readout"
    return type(node).__name__.lower()
