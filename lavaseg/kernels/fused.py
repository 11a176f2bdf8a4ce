"""The neuron of `lavaseg.kernels.neuron` in compiled kernels for the CPU: filter, fire, respond.

Arrays of `filter_current` and `fire`, which training uses, are (steps, neurons), contiguous: the
kernel walks over a block of neurons that stays in cache while time runs inside, so that each value
is read once. `respond_to_sums` is the simulator's: whole numbers in, bits out.
"""

from __future__ import annotations

import numba
import numpy as np

from lavaseg.kernels.bits import WORD, word
from lavaseg.network import STATE_LIMIT, STATE_SCALE
from lavaseg.system.threads import over_blocks

_FAR = np.float32(2**30)
"""A current, in state units, that takes every membrane to its limit."""


# |x| < 2^23, so |x| * keep needs 35 bits; splitting x at 12 bits keeps every product within 32,
# where the compiler can use vector instructions. Exact: floor(x k / 2^12) for x, k >= 0.
@numba.njit(inline="always")
def _decayed(x, keep):  # type: ignore[no-untyped-def]
    magnitude = abs(x)
    shifted = (magnitude >> 12) * keep + (((magnitude & 4095) * keep) >> 12)
    return shifted if x >= 0 else -shifted


@numba.njit(nogil=True, cache=True)
def _filter_block(x, out, state, scale, keep, first, last):  # type: ignore[no-untyped-def]
    u, inverse = state[first:last], np.float32(1.0) / scale
    for t in range(x.shape[0]):
        a, filtered = x[t, first:last], out[t, first:last]
        for j in range(u.size):
            u[j] = np.int32(_decayed(u[j], keep)) + np.int32(a[j] * scale)
            filtered[j] = np.float32(u[j]) * inverse


@numba.njit(nogil=True, cache=True)
def _fire_block(  # type: ignore[no-untyped-def]
    x, spikes, membrane, state, scale, keep, limit, fires, soft, record, first, last
):
    v = state[first:last]
    inverse = np.float32(1.0) / scale  # a power of two: the product is exact
    lost = limit if soft else np.int32(0)
    for t in range(x.shape[0]):
        a, s = x[t, first:last], spikes[t, first:last]
        # loops of one kind of operation each, over slices: the compiler uses vector instructions
        if keep == 0:
            v[:] = 0
        elif keep != 4096:
            for j in range(v.size):
                v[j] = np.int32(_decayed(v[j], keep))
        for j in range(v.size):
            # u + bias arrives as one number, far beyond any limit at most; the cast truncates
            # towards zero, as SLAYER's does
            arriving = min(max(a[j] * scale, -_FAR), _FAR)
            y = np.int32(v[j] + np.int32(arriving))
            v[j] = min(max(y, np.int32(-STATE_LIMIT)), np.int32(STATE_LIMIT))
        if record:
            potential = membrane[t, first:last]
            for j in range(v.size):
                potential[j] = np.float32(v[j]) * inverse
        if not fires:
            s[:] = 0
            continue
        for j in range(v.size):
            fired = v[j] > limit
            s[j] = np.float32(1.0) if fired else np.float32(0.0)
            after = np.int32(v[j] - lost) if soft else np.int32(0)
            v[j] = after if fired else v[j]


@numba.njit(nogil=True, cache=True)
def respond_to_sums(  # type: ignore[no-untyped-def]
    sums,
    offset,
    scale,
    bias,
    keep_current,
    keep_voltage,
    limit,
    soft,
    words,
    counts,
    membrane,
    first_sheet,
    first_row,
):
    """The equations in integers throughout, for some rows of one sample.

    Args:
        sums: integers (steps, rows, columns, channels or more); (sums - offset) * scale is 64 a.
        offset, bias: int32 (channels,); the bias in state units.
        scale: int32.
        keep_current, keep_voltage: int32, 4096 - decay.
        limit: int32, threshold in state units.
        soft: subtract the threshold from what fired, instead of clearing it.
        words: uint64 (sheets, height, width, words), spikes as bits (`word`), written for
            `steps` sheets from `first_sheet` on.
        counts: uint16 (height, width, channels), zeros; spikes of each neuron.
        membrane: int32 (height, width, channels), the membrane after the last step.
        first_row: where the rows begin in these.
    """
    size = offset.size
    fired = np.zeros(WORD * words.shape[3], np.uint8)
    u = np.empty(size, np.int32)
    for y in range(sums.shape[1]):
        for x in range(sums.shape[2]):
            v, count = membrane[first_row + y, x], counts[first_row + y, x]
            u[:] = 0
            v[:] = 0
            for t in range(sums.shape[0]):
                # a loop for each of few arrays: with more, the compiler does not use vectors,
                # since it must check that they do not overlap
                arrived = sums[t, y, x]
                for c in range(size):
                    a = np.int32(np.int32(np.int32(arrived[c]) - offset[c]) * scale)
                    if keep_current != 0:
                        a = np.int32(a + np.int32(_decayed(u[c], keep_current)))
                    u[c] = a
                for c in range(size):
                    kept = v[c] if keep_voltage == 4096 else np.int32(_decayed(v[c], keep_voltage))
                    potential = np.int32(np.int32(kept + u[c]) + bias[c])
                    potential = min(max(potential, np.int32(-STATE_LIMIT)), np.int32(STATE_LIMIT))
                    spike = potential > limit
                    after = np.int32(potential - limit) if soft else np.int32(0)
                    v[c] = after if spike else potential
                    fired[c] = spike
                for c in range(size):
                    count[c] += fired[c]
                for w in range(words.shape[3]):
                    words[first_sheet + t, first_row + y, x, w] = word(fired, WORD * w)


def filter_current(
    synaptic: np.ndarray, *, decay: int, scale: int = STATE_SCALE, state: np.ndarray | None = None
) -> np.ndarray:
    """The current filter u of the equations.

    Args:
        synaptic: float32 (steps, neurons), contiguous, in weight units.
        decay: d_u in 1/4096.
        scale: state units for each unit of `synaptic`, a power of two (64: Loihi's own).
        state: u before the first step, in state units, int32 (neurons,); that after the last one
            is left there. None: zeros.

    Returns:
        u / scale, float32 (steps, neurons); exact while |u| < 2^24.
    """
    out = np.empty_like(synaptic)
    keep = np.int32(4096 - decay)
    if state is None:
        state = np.zeros(synaptic.shape[1], np.int32)
    over_blocks(
        synaptic.shape[1],
        lambda first, last: _filter_block(
            synaptic, out, state, np.float32(scale), keep, first, last
        ),
    )
    return out


def fire(
    current: np.ndarray,
    *,
    threshold: float | None,
    voltage_decay: int,
    soft_reset: bool = False,
    scale: int = STATE_SCALE,
    record: bool = True,
    state: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Integrate `current` (u + bias), fire and reset: the fused kernel.

    Args:
        current: float32 (steps, neurons), contiguous, in weight units.
        threshold: in the unit of `current`; None never fires.
        voltage_decay: d_v in 1/4096.
        scale: state units for each unit of `current`, a power of two.
        record: also return the membrane at every step.
        state: membranes before the first step, in state units, int32 (neurons,). None: zeros.

    Returns:
        spikes (float32 0/1, (steps, neurons)); membranes before reset in the unit of `current`
        (float32, same shape, or None); the last membrane after reset in state units (int32).
    """
    steps, count = current.shape
    spikes = np.empty((steps, count), np.float32)
    membrane = np.empty((steps, count) if record else (1, 1), np.float32)
    last_membrane = np.zeros(count, np.int32) if state is None else state.copy()
    limit = np.int32(0 if threshold is None else int(threshold * scale))
    keep = np.int32(4096 - voltage_decay)
    over_blocks(
        count,
        lambda first, last: _fire_block(
            current,
            spikes,
            membrane,
            last_membrane,
            np.float32(scale),
            keep,
            limit,
            threshold is not None,
            soft_reset,
            record,
            first,
            last,
        ),
    )
    return spikes, membrane if record else None, last_membrane
