"""A network with its trained float weights: what the lowering steps turn into integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Network
from lavaseg.recipes import Surrogate

if TYPE_CHECKING:
    from lavaseg.training import SpikingNetwork


@dataclass(frozen=True)
class FoldedNorm:
    """A folded-out norm: y = scale * x + shift for each channel, float64.

    Both (channels,), or (T, channels) where they differ from step to step.
    """

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class WeightedNetwork:
    """A description and its trained values, all float64 in trained units.

    Args:
        weights: for each projection, in torch's orientation; the gain of each channel for an
            operator without trained weights (`Network.synapse_shape`).
        biases: for each node that has one, (channels,); (T, channels) for one that differs from
            step to step, until `split_clocks` makes a bias and a clock of it.
        norms: for each node that has one.
        input_scale: the network expects messages times this.
        clocks: for each population that has one, (T, channels).
    """

    network: Network
    weights: Mapping[str, np.ndarray]
    biases: Mapping[str, np.ndarray] = field(default_factory=dict)
    norms: Mapping[str, FoldedNorm] = field(default_factory=dict)
    input_scale: float = 1.0
    clocks: Mapping[str, np.ndarray] = field(default_factory=dict)

    def replace(self, **changes: object) -> WeightedNetwork:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def to_model(self, surrogate: Surrogate | None = None) -> SpikingNetwork:
        """A float network that computes with these values, in eval mode.

        Raises:
            LavasegError: norms are not folded, or biases that differ from step to step not split.
        """
        from lavaseg.training import SpikingNetwork

        stepped = [name for name, bias in self.biases.items() if bias.ndim > 1]
        for name in (*self.norms, *stepped):
            raise LavasegError(f"the norm of {name!r} is not folded yet: lower the network first")
        steps = next((len(clock) for clock in self.clocks.values()), None)
        biased = self.network.replace_nodes({name: {"bias": True} for name in self.biases})
        model = SpikingNetwork(biased, surrogate, steps=steps)
        model.input_scale = self.input_scale
        model.set_values(self.weights, self.biases, self.clocks)
        return model.eval()

    @classmethod
    def from_model(cls, model: SpikingNetwork) -> WeightedNetwork:
        """The values of a trained float network, norms as they act in eval mode.

        A channel whose norm never saw its input vary keeps its shift alone (`as_deployed`).
        """
        from lavaseg.training.norm import as_deployed

        def array(tensor: object) -> np.ndarray:
            return tensor.detach().cpu().double().numpy()  # type: ignore[attr-defined]

        net = model.learned()
        return cls(
            net,
            {
                p.name: np.ones(net.synapse_shape(p)) if values is None else array(values)
                for p, values in ((p, model.synapse(p.name).values) for p in net.projections)
            },
            {name: array(bias) for name, bias in model.biases.items()},
            {name: FoldedNorm(*map(array, as_deployed(model.norm(name)))) for name in model.norms},
            model.input_scale,
            {name: array(clock) for name, clock in model.clocks.items()},
        )
