"""A network with its trained float weights: what the lowering steps turn into integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.network import Network

if TYPE_CHECKING:
    from lavaseg.training import SpikingNetwork


@dataclass(frozen=True)
class Affine:
    """A folded-out norm: y = scale * x + shift for each channel, float64 (channels,)."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class WeightedNetwork:
    """A description and its trained values, all float64 in trained units.

    Args:
        weights: for each projection, in torch's orientation; the gain of each channel for an
            operator without trained weights (`Network.synapse_shape`).
        biases: for each node that has one, (channels,).
        norms: for each node that has one.
        input_scale: the network expects messages times this.
    """

    network: Network
    weights: Mapping[str, np.ndarray]
    biases: Mapping[str, np.ndarray] = field(default_factory=dict)
    norms: Mapping[str, Affine] = field(default_factory=dict)
    input_scale: float = 1.0

    def replace(self, **changes: object) -> WeightedNetwork:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    @classmethod
    def from_model(cls, model: SpikingNetwork) -> WeightedNetwork:
        """The values of a trained float network, norms as they act in eval mode."""

        def array(tensor: object) -> np.ndarray:
            return tensor.detach().cpu().double().numpy()  # type: ignore[attr-defined]

        net = model.network
        norms = {}
        for name, norm in model.norms.items():
            scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
            norms[name] = Affine(scale, array(norm.bias) - scale * array(norm.running_mean))
        return cls(
            net,
            {
                p.name: np.ones(net.synapse_shape(p))
                if net.weight_shape(p) is None
                else array(model.synapse(p.name).weight)
                for p in net.projections
            },
            {name: array(bias) for name, bias in model.biases.items()},
            norms,
            model.input_scale,
        )
