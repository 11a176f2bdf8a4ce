"""The neuron of `lavaseg.kernels.neuron` in Triton kernels for NVIDIA GPUs: time runs inside.

Arrays are (steps, neurons), contiguous, on the device. Each program walks over time with a block of
neurons in registers, so that every value is read once and nothing is launched for each step. The
steps are those of `lavaseg.kernels.fused`, in int32.
"""

# Triton reads types of arguments from values; annotations of its language are not types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import torch
import triton
import triton.language as tl

from lavaseg.network import DECAY_UNITY, STATE_LIMIT

BLOCK = 512


@triton.jit
def _decayed(x, keep):
    # |x| < 2^23: split at 12 bits, every product stays within 32 (see lavaseg.kernels.fused)
    magnitude = tl.abs(x)
    shifted = (magnitude >> 12) * keep + (((magnitude & 4095) * keep) >> 12)
    return tl.where(x >= 0, shifted, -shifted)


@triton.jit
def _filter(x, out, neurons, steps, scale, inverse, keep, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < neurons
    u = tl.zeros((block,), tl.int32)
    for _ in range(steps):
        a = tl.load(x + at, mask=inside, other=0.0)
        u = _decayed(u, keep) + (a * scale).to(tl.int32)
        tl.store(out + at, u.to(tl.float32) * inverse, mask=inside)
        x += neurons
        out += neurons


@triton.jit
def _fire(
    x, spikes, membrane, neurons, steps, scale, inverse, keep, limit, bound,
    fires: tl.constexpr, soft: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < neurons
    v = tl.zeros((block,), tl.int32)
    for _ in range(steps):
        a = tl.load(x + at, mask=inside, other=0.0)
        y = (a * scale).to(tl.int32) + _decayed(v, keep)
        y = tl.minimum(tl.maximum(y, -bound), bound)
        tl.store(membrane + at, y.to(tl.float32) * inverse, mask=inside)
        v = y
        if fires:
            fired = y > limit
            tl.store(spikes + at, fired.to(tl.float32), mask=inside)
            v = tl.where(fired, y - limit if soft else 0, y)
        x += neurons
        membrane += neurons
        spikes += neurons


@triton.jit
def _backward(
    grad_spikes, grad_membrane, membrane, grad, neurons, steps, seen, last, last_seen, theta,
    centre, width, height, keep, kind: tl.constexpr, blocks: tl.constexpr, has_spikes: tl.constexpr,
    has_membrane: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < neurons
    carry = tl.zeros((block,), tl.float32)
    membrane += last
    grad += last
    if has_spikes:
        grad_spikes += last
    if has_membrane:
        grad_membrane += last_seen
    for done in range(steps):
        v = tl.load(membrane + at, mask=inside, other=0.0)
        g = keep * carry
        if blocks:
            g = tl.where(v > theta, 0.0, g)
        if has_spikes:
            distance = tl.abs(v - centre)
            if kind == 1:
                slope = tl.maximum(1.0 - distance / width, 0.0) * (height / theta)
            elif kind == 2:
                slope = tl.where(distance <= 0.5 * width, height / theta, 0.0)
            else:
                slope = height / (2.0 * width) * tl.exp(-distance / width)
            g += tl.load(grad_spikes + at, mask=inside, other=0.0) * slope
            grad_spikes -= neurons
        if has_membrane:
            if done < seen:
                g += tl.load(grad_membrane + at, mask=inside, other=0.0)
            grad_membrane -= neurons
        tl.store(grad + at, g, mask=inside)
        carry = g
        membrane -= neurons
        grad -= neurons


@triton.jit
def _levels(x, starts, sent, count, levels: tl.constexpr, block: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    a = tl.load(x + at, mask=inside, other=0.0)
    s = tl.zeros((block,), tl.float32)
    for k in range(levels):
        s += tl.where(a >= tl.load(starts + k), 1.0, 0.0)
    tl.store(sent + at, s, mask=inside)


@triton.jit
def _levels_backward(
    x, grad_sent, grad_membrane, grad, count, unseen, scale, inverse, bound, theta, shift, width,
    factor, levels: tl.constexpr, kind: tl.constexpr, has_sent: tl.constexpr,
    has_membrane: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < count
    g = tl.zeros((block,), tl.float32)
    if has_sent:
        a = tl.load(x + at, mask=inside, other=0.0)
        v = tl.minimum(tl.maximum(a * scale, -bound), bound).to(tl.int32).to(tl.float32) * inverse
        slope = tl.zeros((block,), tl.float32)
        for k in range(levels):
            beside = v - ((k + 0.5) * theta + shift)
            if kind == 1:
                slope += tl.maximum(1.0 - tl.abs(beside) / width, 0.0)
            elif kind == 2:
                within = (beside > -0.5 * width) & (beside <= 0.5 * width)
                slope += tl.where(within, 1.0, 0.0)
            else:
                slope += tl.exp(-tl.abs(beside) / width)
        g += tl.load(grad_sent + at, mask=inside, other=0.0) * slope * factor
    if has_membrane:
        seen = inside & (at >= unseen)
        g += tl.load(grad_membrane + at - unseen, mask=seen, other=0.0)
    tl.store(grad + at, g, mask=inside)


def _programs(neurons: int) -> tuple[int]:
    return (triton.cdiv(neurons, BLOCK),)


def filter_current(x: torch.Tensor, decay: int, scale: int) -> torch.Tensor:
    """`lavaseg.kernels.fused.filter_current` of float32 (steps, ...), contiguous, on a GPU."""
    out, neurons = torch.empty_like(x), x[0].numel()
    _filter[_programs(neurons)](
        x, out, neurons, len(x), float(scale), 1.0 / scale, DECAY_UNITY - decay, BLOCK
    )
    return out


def fire(
    x: torch.Tensor, threshold: float | None, decay: int, soft_reset: bool, scale: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`lavaseg.kernels.fused.fire` of float32 (steps, ...), contiguous: spikes and membranes."""
    spikes = torch.zeros_like(x) if threshold is None else torch.empty_like(x)
    membrane, neurons = torch.empty_like(x), x[0].numel()
    _fire[_programs(neurons)](
        x,
        spikes,
        membrane,
        neurons,
        len(x),
        float(scale),
        1.0 / scale,
        DECAY_UNITY - decay,
        0 if threshold is None else int(threshold * scale),
        STATE_LIMIT,
        threshold is not None,
        soft_reset,
        BLOCK,
    )
    return spikes, membrane


def fire_backward(
    grad_spikes: torch.Tensor | None,
    grad_membrane: torch.Tensor | None,
    membrane: torch.Tensor,
    *,
    theta: float,
    centre: float,
    kind: int,
    width: float,
    height: float,
    keep: float,
    blocks: bool,
) -> torch.Tensor:
    """The gradient of the current that `fire` was given, (steps, ...), by a surrogate.

    Args:
        grad_spikes: float32 (steps, ...), contiguous, or None.
        grad_membrane: of the last steps, float32 (seen, ...), contiguous, or None.
        membrane: before reset, float32 (steps, ...), contiguous.
        theta, centre: threshold, and the membrane at which the surrogate peaks.
        kind, width, height: of the surrogate, see `lavaseg.recipes.Surrogate`; the kind as 0 for
            slayer, 1 for triangle, 2 for rectangle, the width in the unit of the membrane.
        keep: part of the membrane that a step keeps.
        blocks: a reset stops the gradient.
    """
    grad, neurons = torch.empty_like(membrane), membrane[0].numel()
    seen = 0 if grad_membrane is None else len(grad_membrane)
    _backward[_programs(neurons)](
        membrane if grad_spikes is None else grad_spikes,
        membrane if grad_membrane is None else grad_membrane,
        membrane,
        grad,
        neurons,
        len(membrane),
        seen,
        neurons * (len(membrane) - 1),
        neurons * max(seen - 1, 0),
        float(theta),
        float(centre),
        float(width),
        float(height),
        float(keep),
        kind,
        blocks,
        grad_spikes is not None,
        grad_membrane is not None,
        BLOCK,
    )
    return grad


def levels_sent(x: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """`lavaseg.kernels.levels.levels_sent` of float32, any shape, contiguous, on a GPU."""
    sent = torch.empty_like(x)
    _levels[_programs(x.numel())](x, starts, sent, x.numel(), len(starts), BLOCK)
    return sent


def levels_backward(
    x: torch.Tensor,
    grad_sent: torch.Tensor | None,
    grad_membrane: torch.Tensor | None,
    *,
    scale: int,
    levels: int,
    theta: float,
    shift: float,
    kind: int,
    width: float,
    height: float,
) -> torch.Tensor:
    """`lavaseg.kernels.levels.levels_backward` of float32 (steps, ...), contiguous, on a GPU."""
    grad, count = torch.empty_like(x), x.numel()
    _levels_backward[_programs(count)](
        x,
        x if grad_sent is None else grad_sent,
        x if grad_membrane is None else grad_membrane,
        grad,
        count,
        count - (0 if grad_membrane is None else grad_membrane.numel()),
        float(scale),
        1.0 / scale,
        float(STATE_LIMIT),
        float(theta),
        float(shift),
        float(width),
        float(height / theta if kind else height / (2 * width)),
        levels,
        kind,
        grad_sent is not None,
        grad_membrane is not None,
        BLOCK,
    )
    return grad
