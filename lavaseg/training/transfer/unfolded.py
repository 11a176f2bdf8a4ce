"""Norms where none was left: they begin as what they were folded into, with measured statistics.

In eval mode such a norm adds its shift to the current, as the bias did that export made of it. So
that the same holds in training, where a norm takes the statistics of its batch, it is written with
those of a few training samples, mean m and variance v:

    y = scale (x - m) / sqrt(v + eps) + bias    with scale = sqrt(v + eps), bias = shift + m

which is x + shift, whatever m and v are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lavaseg.data.base import Samples
from lavaseg.data.split import Subset
from lavaseg.network.steps import steps_taken
from lavaseg.recipes import Recipe
from lavaseg.training.batches import loader
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.norm import Norm, StepNorm

SAMPLES = 64
"""The most training samples, spread over all, that statistics are measured on."""


class _Moments:
    """Sums of what a norm is given, for each channel and, if it keeps them apart, for each step."""

    def __init__(self, norm: Norm) -> None:
        self.by_step = isinstance(norm, StepNorm)
        self.count = 0
        self.sums: list[torch.Tensor] = []

    def __call__(self, module: torch.nn.Module, arguments: Any) -> None:
        x = arguments[0].detach().double()  # (N, C, H, W, T)
        over = (0, 2, 3) if self.by_step else (0, 2, 3, 4)
        found = [x.sum(over), x.square().sum(over)]
        self.sums = [a + b for a, b in zip(self.sums, found, strict=True)] if self.sums else found
        self.count += x.numel() // found[0].numel()

    def _mean_of(self, sums: torch.Tensor) -> torch.Tensor:
        return (sums.mT if self.by_step else sums) / self.count

    @property
    def mean(self) -> torch.Tensor:
        """(channels,), or (T, channels)."""
        return self._mean_of(self.sums[0])

    @property
    def variance(self) -> torch.Tensor:
        """(channels,): of a norm by steps, the mean of theirs."""
        found = (self._mean_of(self.sums[1]) - self.mean.square()).clamp(min=0)
        return found.mean(0) if self.by_step else found


def restore_norms(
    model: SpikingNetwork, shifts: Mapping[str, np.ndarray], samples: Samples, recipe: Recipe
) -> int:
    """Give norms what they are to add, and statistics of training samples.

    Args:
        shifts: of each node, (channels,) or (T, channels); in the mean over T for a norm that has
            one for all steps.
        samples: of training.

    Returns:
        How many samples statistics were measured on.
    """
    norms = {name: model.norm(name) for name in shifts}
    for name, norm in norms.items():
        _set(norm, shifts[name])
    numbers = np.unique(np.linspace(0, len(samples) - 1, SAMPLES).astype(int))
    batches = loader(
        Subset(samples, numbers),
        recipe.encoder_object,
        batch_size=recipe.training.batch_size,
        seed=recipe.seed,
        shuffle=False,
    )
    moments = {name: _Moments(norm) for name, norm in norms.items()}
    hooks = [norms[name].register_forward_pre_hook(moments[name]) for name in norms]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for inputs, _ in batches:
                model(inputs)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    for name, norm in norms.items():
        _set(norm, shifts[name], moments[name].mean, moments[name].variance)
    return len(numbers)


@torch.no_grad()
def _set(
    norm: Norm,
    shift: np.ndarray,
    mean: torch.Tensor | None = None,
    variance: torch.Tensor | None = None,
) -> None:
    """A norm that adds `shift`, with these statistics; of nothing, it has a mean of 0 and spread 1.

    Its factor is sqrt(v + eps), by which it divides.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.bias is not None
    added = torch.from_numpy(np.asarray(shift, np.float64))
    if isinstance(norm, StepNorm):
        steps = steps_taken(len(added), len(norm.running_mean)) if added.ndim > 1 else None
        added = added.expand(norm.bias.shape) if steps is None else added[steps]
    elif added.ndim > 1:
        added = added.mean(0)
    mean = torch.zeros_like(added) if mean is None else mean
    variance = torch.ones(norm.running_var.shape) if variance is None else variance
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
    norm.bias.copy_(added + mean)
