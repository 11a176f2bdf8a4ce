"""The neuron of `lavaseg.kernels.neuron` as torch operations, step by step, for any device."""

from __future__ import annotations

import functools
from types import ModuleType

import torch

from lavaseg.network import DECAY_UNITY, STATE_LIMIT


def _decayed(state: torch.Tensor, decay: int) -> torch.Tensor:
    return state.sign() * ((state.abs() * (DECAY_UNITY - decay)) >> 12)


def filter_current_steps(synaptic: torch.Tensor, decay: int, scale: int) -> torch.Tensor:
    """`neuron.filter_current` for (steps, ...), float."""
    u = torch.zeros_like(synaptic[0], dtype=torch.int64)
    out = torch.empty_like(synaptic)
    for t, a in enumerate(synaptic):
        u = _decayed(u, decay) + (a * scale).to(torch.int64)
        out[t] = u / scale
    return out


def fire_steps(
    current: torch.Tensor, threshold: float | None, decay: int, soft_reset: bool, scale: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`neuron.fire` for (steps, ...), float: spikes, membranes, last membrane (int64)."""
    limit = 0 if threshold is None else int(threshold * scale)
    v = torch.zeros_like(current[0], dtype=torch.int64)
    spikes, membrane = torch.zeros_like(current), torch.empty_like(current)
    for t, a in enumerate(current):
        v = (_decayed(v, decay) + (a * scale).to(torch.int64)).clamp(-STATE_LIMIT, STATE_LIMIT)
        membrane[t] = v / scale
        if threshold is not None:
            fired = v > limit
            spikes[t] = fired
            v = torch.where(fired, v - limit if soft_reset else torch.zeros_like(v), v)
    return spikes, membrane, v


def levels_sent(current: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """`levels.levels_sent` for any shape, float."""
    return torch.bucketize(current, starts, right=True, out_int32=True).to(current.dtype)


def level_membranes(current: torch.Tensor, scale: int) -> torch.Tensor:
    """`levels.level_membranes` for any shape, float."""
    return (current * scale).clamp(-STATE_LIMIT, STATE_LIMIT).trunc() / scale


@functools.cache
def triton_kernels() -> ModuleType | None:
    """`lavaseg.kernels.neuron_triton_torch`, or None where Triton is missing (it comes with torch
    for CUDA on Linux)."""
    try:
        from lavaseg.kernels import neuron_triton_torch
    except ImportError:
        return None
    return neuron_triton_torch
