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
    """The gradient of the currents of the neurons `first` to `last`, over all steps, last first."""
    carry = np.zeros(last - first, np.float32)
    unseen = membrane.shape[0] - grad_membrane.shape[0]  # steps whose membranes nobody looks at
    inverse, half = np.float32(1) / width, np.float32(0.5) * width
    factor = height / theta if kind != 0 else height * np.float32(0.5) * inverse
    # loops of one kind of operation each, over slices: the compiler uses vector instructions
    for step in range(membrane.shape[0]):
        t = membrane.shape[0] - 1 - step
        v, g = membrane[t, first:last], grad[t, first:last]
        for j in range(carry.size):
            passed = np.float32(0) if blocks and v[j] > theta else keep
            carry[j] *= passed
        if has_spikes:
            of_spikes = grad_spikes[t, first:last]
            if kind == 1:
                for j in range(carry.size):
                    slope = max(np.float32(1) - abs(v[j] - centre) * inverse, np.float32(0))
                    carry[j] += of_spikes[j] * slope * factor
            elif kind == 2:
                for j in range(carry.size):
                    slope = factor if abs(v[j] - centre) <= half else np.float32(0)
                    carry[j] += of_spikes[j] * slope
            else:
                for j in range(carry.size):
                    carry[j] += of_spikes[j] * factor * np.exp(-abs(v[j] - centre) * inverse)
        if has_membrane and t >= unseen:
            seen = grad_membrane[t - unseen, first:last]
            for j in range(carry.size):
                carry[j] += seen[j]
        g[:] = carry
