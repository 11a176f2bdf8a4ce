"""Integer neurons in compiled kernels for the CPU: the level of each current, and its slope.

A neuron with levels keeps nothing, so that time is one more axis: arrays are flat, contiguous.
"""

from __future__ import annotations

import math

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


# Loops over levels stand outside of those over neurons, which then use vector instructions.
@numba.njit(nogil=True, cache=True)
def _levels_block(x, sent, starts, first, last):  # type: ignore[no-untyped-def]
    for j in range(first, last):
        sent[j] = np.float32(1) if x[j] >= starts[0] else np.float32(0)
    for k in range(1, starts.size):
        start = starts[k]
        for j in range(first, last):
            sent[j] += np.float32(1) if x[j] >= start else np.float32(0)


@numba.njit(nogil=True, cache=True)
def _membrane_block(x, membrane, scale, first, last):  # type: ignore[no-untyped-def]
    limit, inverse = np.float32(STATE_LIMIT), np.float32(1) / scale
    for j in range(first, last):
        v = min(max(x[j] * scale, -limit), limit)
        membrane[j] = np.trunc(v) * inverse


@numba.njit(nogil=True, cache=True, fastmath=True)
def _slope_block(  # type: ignore[no-untyped-def]
    membrane, grad, levels, theta, shift, kind, width, height, first, last
):
    for j in range(first, last):
        grad[j] = np.float32(0)
    for k in range(levels):
        centre = (np.float32(k) + np.float32(0.5)) * theta + shift
        if kind == 1:
            inverse = np.float32(1) / width
            for j in range(first, last):
                distance = abs(membrane[j] - centre)
                grad[j] += max(np.float32(1) - distance * inverse, np.float32(0))
        elif kind == 2:
            half = np.float32(0.5) * width
            for j in range(first, last):
                beside = membrane[j] - centre
                grad[j] += np.float32(1) if -half < beside <= half else np.float32(0)
        else:
            inverse = np.float32(1) / width
            for j in range(first, last):
                grad[j] += np.exp(-abs(membrane[j] - centre) * inverse)
    factor = height / theta if kind in (1, 2) else height / (np.float32(2) * width)
    for j in range(first, last):
        grad[j] *= factor


@numba.njit(nogil=True, cache=True)
def _backward_block(  # type: ignore[no-untyped-def]
    x, grad_sent, grad_membrane, grad, scale, levels, theta, shift, kind, width, height, unseen,
    has_sent, first, last,
):  # fmt: skip
    if has_sent:
        membrane = np.empty(last - first, np.float32)
        slope = np.empty(last - first, np.float32)
        _membrane_block(x[first:last], membrane, scale, 0, last - first)
        _slope_block(membrane, slope, levels, theta, shift, kind, width, height, 0, last - first)
        for j in range(first, last):
            grad[j] = grad_sent[j] * slope[j - first]
    else:
        for j in range(first, last):
            grad[j] = np.float32(0)
    if grad_membrane.size:
        for j in range(max(first, unseen), last):
            grad[j] += grad_membrane[j - unseen]


def levels_sent(current: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """What integer neurons send, whole numbers as float32, shaped like `current`.

    Args:
        current: a + bias, float32 (neurons,), contiguous.
        starts: as `level_starts` gives them.
    """
    sent = np.empty_like(current)
    over_blocks(current.size, lambda first, last: _levels_block(current, sent, starts, first, last))
    return sent


def level_membranes(current: np.ndarray, scale: int = STATE_SCALE) -> np.ndarray:
    """The membranes of integer neurons, float32, shaped like `current`, in its unit.

    Args:
        current: a + bias, float32 (neurons,), contiguous.
        scale: state units for each unit of `current`, a power of two.
    """
    membrane, unit = np.empty_like(current), np.float32(scale)
    over_blocks(
        current.size, lambda first, last: _membrane_block(current, membrane, unit, first, last)
    )
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
    grad, none = np.empty_like(current), np.zeros(0, np.float32)
    of_membrane = none if grad_membrane is None else grad_membrane
    over_blocks(
        current.size,
        lambda first, last: _backward_block(
            current,
            none if grad_sent is None else grad_sent,
            of_membrane,
            grad,
            np.float32(scale),
            levels,
            np.float32(theta),
            np.float32(shift),
            kind,
            np.float32(width),
            np.float32(height),
            current.size - of_membrane.size,
            grad_sent is not None,
            first,
            last,
        ),
    )
    return grad
