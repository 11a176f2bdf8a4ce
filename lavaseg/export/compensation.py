"""Compensation: weights are rounded one after another, each making up for the errors before it.

What rounding one weight adds to a current is taken off again by the weights that see alike
inputs, as far as the second moments of these inputs tell (Hassibi & Stork 1993; Frantar et al.
2023, "GPTQ"). Neighbouring pixels nearly say the same, so little is left. The bias comes last.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from lavaseg.network import Conv, Projection
from lavaseg.network.integers import WEIGHT_MAX, WEIGHT_MIN

MOST_INPUTS = 1024
"""Inputs of a neuron up to which weights are compensated: the cost grows with their cube."""
ROWS = 16384
"""Neurons and steps that second moments are taken over, at most about."""
DAMPING = 1e-4
"""Part of itself that is added to each input's second moment: inputs that always agree would
leave the equations singular."""


class Compensation:
    """Second moments of what the convolutions of one population read.

    Args:
        read: projections, all convolutions without groups, and what their sources send,
            (N, C, H, W, T).
        bias: whether the population has a bias, which makes up for what is left of the mean.
    """

    def __init__(self, read: Mapping[Projection, torch.Tensor], bias: bool) -> None:
        self.names = [projection.name for projection in read]
        seen = torch.cat([_patches(p, sent) for p, sent in read.items()], 1)
        inputs = seen.shape[1]
        if bias:
            seen = torch.cat([seen, torch.ones(len(seen), 1)], 1)
        seen = seen.double()
        moments = seen.T @ seen / len(seen)
        self.mean = seen[:, :inputs].mean(0).numpy()
        order = torch.argsort(moments.diagonal()[:inputs], descending=True, stable=True)
        self.order = order.numpy()
        every = torch.cat([order, torch.arange(inputs, len(moments))])
        moments = moments[every][:, every]
        least = max(float(moments.diagonal().max()), 1.0) * 1e-9  # of inputs that are never there
        moments += torch.diag(DAMPING * moments.diagonal() + least)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
        upper = torch.linalg.cholesky(inverse, upper=True)
        self.passed = (upper / upper.diagonal()[:, None]).numpy()

    def rounded(
        self, weights: Mapping[str, np.ndarray], scale: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Weights as even integers, int16, and what their errors leave of each channel's mean.

        Args:
            weights: of the projections, (channels, inputs, height, width), in trained units.

        Returns:
            The weights, and the mean current that they lack, in trained units, (channels,).
        """
        shapes = [weights[name].shape for name in self.names]
        rows = [weights[name].reshape(len(weights[name]), -1) for name in self.names]
        exact = np.concatenate(rows, 1) * scale
        wanted = np.pad(exact[:, self.order], ((0, 0), (0, len(self.passed) - len(self.order))))
        found = np.zeros_like(exact)
        for index, column in enumerate(self.order):
            even = 2 * np.round(wanted[:, index] / 2)
            found[:, column] = np.clip(even, WEIGHT_MIN, WEIGHT_MAX)
            left = wanted[:, index] - found[:, column]
            wanted[:, index + 1 :] -= left[:, None] * self.passed[index, index + 1 :]
        lacking = (exact - found) @ self.mean / scale
        cuts = np.cumsum([np.prod(shape[1:]) for shape in shapes])[:-1]
        parts = np.split(found.astype(np.int16), cuts, axis=1)
        return {
            name: part.reshape(shape)
            for name, part, shape in zip(self.names, parts, shapes, strict=True)
        }, lacking


def compensable(projection: Projection) -> bool:
    """Whether a projection's weights can be compensated: they see one step."""
    return (
        not projection.delay
        and isinstance(projection.operator, Conv)
        and projection.operator.groups == 1
    )


def _patches(projection: Projection, sent: torch.Tensor) -> torch.Tensor:
    """What each of some neurons reads in a step, (rows, channels * height * width).

    The neurons depend on shapes alone, so that those of two projections are the same.
    """
    op = projection.operator
    assert isinstance(op, Conv)
    steps = sent.permute(0, 4, 1, 2, 3).flatten(0, 1)
    rng, found = np.random.default_rng(0), []
    for step in steps:
        columns = functional.unfold(
            step[None].float(), op.kernel, op.dilation, op.padding, op.stride
        )
        count = columns.shape[-1]
        kept = min(count, -(-ROWS // len(steps)))
        found.append(columns[0][:, np.sort(rng.permutation(count)[:kept])].T)
    return torch.cat(found)
