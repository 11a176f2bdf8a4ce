"""The CUBA-LIF neuron of Loihi in exact integers: its equations, a plain reference.

State is kept in Loihi's units: one weight unit is 64 state units. With a[t] the synaptic input
in weight units (integers), d_u and d_v the decays in 1/4096, and >>0 a shift towards zero::

    u[t] = (u[t-1] * (4096 - d_u)) >>0 12  +  64 a[t]
    v[t] = clip((v[t-1] * (4096 - d_v)) >>0 12  +  u[t] + b)        to +-(2^23 - 1)
    s[t] = v[t] > 64 threshold;   v[t] <- 0 where s (hard), v[t] - 64 threshold (soft)

(Source: lava.proc.lif.models.AbstractPyLifModelFixed; its u wraps at 24 bits, which export
proves cannot happen.) The CPU runs `lavaseg.kernels.fused`, other devices `neuron_torch`.

Integer neurons with D levels keep nothing from step to step (`lavaseg.kernels.levels`)::

    v[t] = clip(64 a[t] + b)
    s[t] = number of k in 0 .. D - 1 with v[t] > 64 (k + 1/2) threshold
"""

from __future__ import annotations

import numpy as np

from lavaseg.network.base import STATE_LIMIT, STATE_SCALE


def decay(state: np.ndarray, decay: int) -> np.ndarray:
    """One step of decay: (state * (4096 - decay)) >> 12, rounded towards zero, in int64."""
    product = np.abs(state.astype(np.int64)) * (4096 - decay)
    return np.sign(state) * (product >> 12)


def reference(
    synaptic: np.ndarray,
    *,
    threshold: int | None,
    current_decay: int = 4096,
    voltage_decay: int = 0,
    bias: np.ndarray | int = 0,
    soft_reset: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The equations above, step by step: slow, and plain enough to check by eye.

    Args:
        synaptic: a, integers, (steps, ...).
        threshold: mantissa in weight units; None never fires.
        bias: in state units, broadcast against one step.

    Returns:
        spikes (bool) and membranes before reset (int64, state units), both shaped like `synaptic`.
    """
    u = np.zeros(synaptic.shape[1:], np.int64)
    v = np.zeros_like(u)
    spikes = np.zeros(synaptic.shape, bool)
    membrane = np.zeros(synaptic.shape, np.int64)
    for t, a in enumerate(synaptic.astype(np.int64)):
        u = decay(u, current_decay) + STATE_SCALE * a
        v = np.clip(decay(v, voltage_decay) + u + bias, -STATE_LIMIT, STATE_LIMIT)
        membrane[t] = v
        if threshold is not None:
            spikes[t] = v > STATE_SCALE * threshold
            v = np.where(spikes[t], v - STATE_SCALE * threshold if soft_reset else 0, v)
    return spikes, membrane


def levels_reference(
    synaptic: np.ndarray, *, threshold: int, levels: int, bias: np.ndarray | int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The equations of integer neurons.

    Args:
        synaptic: a, integers, (steps, ...).
        threshold: distance of the levels, in weight units.
        bias: in state units, broadcast against one step.

    Returns:
        What is sent, 0 .. levels, and membranes (int64, state units), both shaped like `synaptic`.
    """
    v = np.clip(STATE_SCALE * synaptic.astype(np.int64) + bias, -STATE_LIMIT, STATE_LIMIT)
    above = [2 * v > (2 * k + 1) * STATE_SCALE * threshold for k in range(levels)]
    return np.sum(above, 0), v
