"""Surrogates: derivatives of what neurons send, in torch and in a compiled backward pass."""

from __future__ import annotations

import numba
import numpy as np
import torch

from lavaseg.recipes import Surrogate

KINDS = {"slayer": 0, "triangle": 1, "rectangle": 2}
"""How compiled kernels call the kinds of `lavaseg.recipes.Surrogate`."""


def surrogate_derivative(
    v: torch.Tensor, theta: float, centre: float, surrogate: Surrogate
) -> torch.Tensor:
    """ds/dv of `surrogate` at membranes v, in the units of v (see `recipes.Surrogate`)."""
    distance = (v - centre).abs()
    width = surrogate.width * theta
    if surrogate.kind == "slayer":
        return surrogate.height / (2 * width) * torch.exp(-distance / width)
    if surrogate.kind == "triangle":
        return surrogate.height / theta * (1 - distance / width).clamp(min=0)
    return surrogate.height / theta * (distance <= width / 2)


def level_derivative(
    v: torch.Tensor, theta: float, levels: int, shift: float, surrogate: Surrogate
) -> torch.Tensor:
    """ds/dv of integer neurons at membranes v: a surrogate for each level, added up.

    Args:
        theta: distance of the levels.
        levels: how many there are; (k + 1/2) theta lies between k and k + 1.
        shift: from there to where a surrogate peaks.
    """
    total = torch.zeros_like(v)
    width = surrogate.width * theta
    for k in range(levels):
        beside = v - ((k + 0.5) * theta + shift)
        if surrogate.kind == "slayer":
            total += torch.exp(-beside.abs() / width) * theta / (2 * width)
        elif surrogate.kind == "triangle":
            total += (1 - beside.abs() / width).clamp(min=0)
        else:  # half open, so that what two of them touch counts once
            total += (beside > -width / 2) & (beside <= width / 2)
    return total * (surrogate.height / theta)


@numba.njit(nogil=True, cache=True, fastmath=True)
def backward_block(  # type: ignore[no-untyped-def]
    grad_spikes, grad_membrane, membrane, grad, kind, theta, centre, width, height, keep, blocks,
    has_spikes, has_membrane, first, last,
):  # fmt: skip
    carry = np.zeros(last - first, np.float32)
    unseen = membrane.shape[0] - grad_membrane.shape[0]  # steps whose membranes nobody looks at
    inverse_width = np.float32(1) / width
    for step in range(membrane.shape[0]):
        t = membrane.shape[0] - 1 - step
        for j in range(last - first):
            v = membrane[t, first + j]
            g = keep * carry[j]
            if blocks and v > theta:
                g = np.float32(0)
            if has_spikes:
                distance = abs(v - centre)
                if kind == 1:
                    slope = max(np.float32(1) - distance * inverse_width, np.float32(0))
                    slope *= height / theta
                elif kind == 2:
                    slope = height / theta if distance <= np.float32(0.5) * width else np.float32(0)
                else:
                    slope = height * np.float32(0.5) * inverse_width
                    slope *= np.exp(-distance * inverse_width)
                g += grad_spikes[t, first + j] * slope
            if has_membrane and t >= unseen:
                g += grad_membrane[t - unseen, first + j]
            carry[j] = g
            grad[t, first + j] = g
