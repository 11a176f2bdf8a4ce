"""Quantisation-aware fine-tuning: train the folded network through its own rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lavaseg.export.lowering.quantise import Quantisation
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import STATE_SCALE
from lavaseg.network.integers import (
    BIAS_MANTISSA_MAX,
    WEIGHT_MAX,
    WEIGHT_MIN,
    RoundedNetwork,
)
from lavaseg.recipes import Surrogate
from lavaseg.training import SpikingNetwork


class _Round(torch.autograd.Function):
    """round(x) to multiples of `step` within limits; the gradient passes where none is hit."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: float, low: float, high: float) -> torch.Tensor:
        ctx.save_for_backward((x >= low) & (x <= high))
        return (torch.round(x / step) * step).clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.saved_tensors[0], None, None, None


FULL_SCALE = 256
"""Parameters are in this many weight units: 1 is the largest weight, in every layer, so that one
learning rate means the same everywhere, whatever the trained units were."""


def _round_weight(parameter: torch.Tensor) -> torch.Tensor:
    return _Round.apply(parameter * FULL_SCALE, 2.0, WEIGHT_MIN, WEIGHT_MAX)


def _bias_quantiser(exponent: int) -> Callable[[torch.Tensor], torch.Tensor]:
    step = 2**exponent / STATE_SCALE
    limit = BIAS_MANTISSA_MAX * step
    return lambda bias: _Round.apply(bias * FULL_SCALE, step, -limit, limit)


def quantised_model(
    net: RoundedNetwork,
    weighted: WeightedNetwork,
    quantisation: Quantisation,
    surrogate: Surrogate,
) -> SpikingNetwork:
    """A network that computes in integers and whose parameters are floats (see `FULL_SCALE`).

    SLAYER's `pre_hook_fx` rounds the weights before each use, as Loihi will hold them.

    Args:
        net: the integer network, for its description; with levels as they are.
        weighted: the folded float values that it was rounded from.
    """
    biased = {p.name: {"bias": p.name in net.biases} for p in net.network.populations}
    model = SpikingNetwork(
        net.network.replace_nodes(biased), surrogate, integer=True, steps=net.steps
    )
    with torch.no_grad():
        for projection in net.network.projections:
            if net.network.weight_shape(projection) is None:  # gains are rounded once, not trained
                gain = net.weights[projection.name].astype(np.float32)
                model.synapse(projection.name).set_values(torch.from_numpy(gain))
                continue
            synapse = model.synapse(projection.name).synapse
            unit = quantisation.scales[projection.target] / FULL_SCALE
            value = torch.from_numpy(weighted.weights[projection.name] * unit).float()
            synapse.weight.copy_(value.unsqueeze(-1))
            synapse.pre_hook_fx = _round_weight
        for name, bias in weighted.biases.items():
            unit = quantisation.scales[name] / FULL_SCALE
            model.biases[name].copy_(torch.from_numpy(np.asarray(bias) * unit).float())
            model.bias_hooks[name] = _bias_quantiser(quantisation.bias_exponent)
        for name, clock in weighted.clocks.items():
            unit = quantisation.scales[name] / FULL_SCALE
            model.clocks[name].copy_(torch.from_numpy(clock * unit).float())
            model.clock_hooks[name] = _round_weight
    return model


def tuned_values(
    model: SpikingNetwork, weighted: WeightedNetwork, quantisation: Quantisation
) -> WeightedNetwork:
    """The float values of a fine-tuned `quantised_model`, back in trained units."""
    weights, biases, clocks = {}, {}, {}
    for projection in weighted.network.projections:
        if weighted.network.weight_shape(projection) is None:
            weights[projection.name] = weighted.weights[projection.name]
            continue
        unit = FULL_SCALE / quantisation.scales[projection.target]
        parameter = model.synapse(projection.name).synapse.weight.detach().double()
        weights[projection.name] = parameter.squeeze(-1).numpy() * unit
    for name in weighted.biases:
        unit = FULL_SCALE / quantisation.scales[name]
        biases[name] = model.biases[name].detach().double().numpy() * unit
    for name in weighted.clocks:
        unit = FULL_SCALE / quantisation.scales[name]
        clocks[name] = model.clocks[name].detach().double().numpy() * unit
    return weighted.replace(weights=weights, biases=biases, clocks=clocks)
