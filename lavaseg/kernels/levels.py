"""Integer neurons in compiled kernels for the CPU: the level of each current, and its slope.

A neuron with levels keeps nothing, so that time is one more axis: arrays are flat, contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from lavaseg.network import STATE_LIMIT, STATE_SCALE
from lavaseg.system.threads import over_blocks


def level_starts(threshold: float, levels: int, scale: int = STATE_SCALE) -> np.ndarray:
    """The least current at which each level begins, float32 (levels,), ascending.

    Membranes are whole state units, rounded towards zero, and lie within `STATE_LIMIT`. The first
    one above (k + 1/2) threshold is therefore a number that float32 holds, and one comparison with
    the current itself says what the integers would; infinity where there is none.

    Args:
        threshold: distance of the levels, in the unit of the current.
        scale: state units for each unit of the current, a power of two.
    """
    first = [math.floor((k + 0.5) * threshold * scale) + 1 for k in range(levels)]
    reached = [start / scale if start <= STATE_LIMIT else math.inf for start in first]
    return np.array(reached, np.float32)


_BLOCK = 1 << 16
"""Neurons of a block: calls of a compiled kernel cost as much as some thousand of them."""
_PIECE = 2048
"""Neurons of a block that are worked on at a time, so that they stay in the first cache."""


# Loops over levels stand outside of those over neurons, which begin at 0: so the compiler knows
# that no index counts from the end, and uses vector instructions.
@numba.njit(nogil=True, cache=True)
def _levels_block(x, sent, starts):  # type: ignore[no-untyped-def]
    for first in range(0, x.size, _PIECE):
        a, s = x[first : first + _PIECE], sent[first : first + _PIECE]
        s[:] = 0
        for k in range(starts.size):
            start = starts[k]
            for j in range(a.size):
                s[j] += np.float32(1) if a[j] >= start else np.float32(0)


@numba.njit(nogil=True, cache=True)
def _membrane_block(x, membrane, scale):  # type: ignore[no-untyped-def]
    limit, inverse = np.float32(STATE_LIMIT), np.float32(1) / scale
    for j in range(x.size):
        v = min(max(x[j] * scale, -limit), limit)
        membrane[j] = np.trunc(v) * inverse


@numba.njit(nogil=True, cache=True, fastmath=True)
def _slope_block(v, slope, levels, theta, shift, kind, width, height):  # type: ignore[no-untyped-def]
    slope[:] = 0
    inverse, half = np.float32(1) / width, np.float32(0.5) * width
    for k in range(levels):
        centre = (np.float32(k) + np.float32(0.5)) * theta + shift
        if kind == 1:
            for j in range(v.size):
                slope[j] += max(np.float32(1) - abs(v[j] - centre) * inverse, np.float32(0))
        elif kind == 2:
            for j in range(v.size):
                beside = v[j] - centre
                within = (beside > -half) & (beside <= half)
                slope[j] += np.float32(1) if within else np.float32(0)
        else:
            for j in range(v.size):
                slope[j] += np.exp(-abs(v[j] - centre) * inverse)
    factor = height / theta if kind != 0 else height / (np.float32(2) * width)
    for j in range(v.size):
        slope[j] *= factor


@numba.njit(nogil=True, cache=True)
def _backward_block(  # type: ignore[no-untyped-def]
    x, grad_sent, grad, scale, levels, theta, shift, kind, width, height
):
    membrane, slope = np.empty(_PIECE, np.float32), np.empty(_PIECE, np.float32)
    for first in range(0, x.size, _PIECE):
        a, g = x[first : first + _PIECE], grad[first : first + _PIECE]
        of_sent = grad_sent[first : first + _PIECE]
        v, s = membrane[: a.size], slope[: a.size]
        _membrane_block(a, v, scale)
        _slope_block(v, s, levels, theta, shift, kind, width, height)
        for j in range(a.size):
            g[j] = of_sent[j] * s[j]


def _over(function: Callable[..., object], *arrays: np.ndarray, settings: tuple[Any, ...]) -> None:
    """A kernel over blocks of flat arrays, on all cores."""
    over_blocks(
        arrays[0].size,
        lambda first, last: function(*(array[first:last] for array in arrays), *settings),
        _BLOCK,
    )


def levels_sent(current: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """What integer neurons send, whole numbers as float32, shaped like `current`.

    Args:
        current: a + bias, float32 (neurons,), contiguous.
        starts: as `level_starts` gives them.
    """
    sent = np.empty_like(current)
    _over(_levels_block, current, sent, settings=(starts,))
    return sent


def level_membranes(current: np.ndarray, scale: int = STATE_SCALE) -> np.ndarray:
    """The membranes of integer neurons, float32, shaped like `current`, in its unit.

    Args:
        current: a + bias, float32 (neurons,), contiguous.
        scale: state units for each unit of `current`, a power of two.
    """
    membrane = np.empty_like(current)
    _over(_membrane_block, current, membrane, settings=(np.float32(scale),))
    return membrane


def levels_backward(
    current: np.ndarray,
    grad_sent: np.ndarray | None,
    grad_membrane: np.ndarray | None,
    *,
    scale: int,
    levels: int,
    theta: float,
    shift: float,
    kind: int,
    width: float,
    height: float,
) -> np.ndarray:
    """The gradient of the current that `levels_sent` was given, by a surrogate for each level.

    Args:
        current: float32 (neurons,), contiguous.
        grad_sent: of what was sent, likewise, or None.
        grad_membrane: of the last membranes, float32 (seen,), or None.
        scale: state units for each unit of `current`.
        levels, theta: how many there are, and their distance.
        shift: from the middle between two levels to where the surrogate peaks.
        kind, width, height: of the surrogate, see `lavaseg.recipes.Surrogate`; the kind as 0 for
            slayer, 1 for triangle, 2 for rectangle, the width in the unit of the membrane.
    """
    grad = np.zeros_like(current) if grad_sent is None else np.empty_like(current)
    if grad_sent is not None:
        single = np.float32
        places = single(scale), levels, single(theta), single(shift)
        surrogate = kind, single(width), single(height)
        _over(_backward_block, current, grad_sent, grad, settings=(*places, *surrogate))
    if grad_membrane is not None:
        grad[current.size - grad_membrane.size :] += grad_membrane
    return grad
