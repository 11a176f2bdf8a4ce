"""The arithmetic of the fast models, without Lava: sums of synapse processes, the LIF step.

Sheets are in Lava's order (width, height, channels). Every result is an exact integer.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy.sparse import csr_matrix

from lavaseg.kernels.bits import PackedSpikes
from lavaseg.kernels.sums import InputSums, synapses
from lavaseg.network import STATE_LIMIT, Conv, Size


class Convolution:
    """`lava.proc.conv.utils.conv` with the geometry fixed: the same integers, much faster.

    Args:
        input_shape: (width, height, channels).
        weight: int (out, kernel width, kernel height, channels / groups), a true convolution:
            the kernel is flipped, as Lava stores it.
        stride, padding, dilation: (width, height).
        groups: number of groups that input and output channels are split into.
        graded: spikes carry messages; else whatever is not 0 counts as 1.

    Attributes:
        small: no sum can pass 2^17.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        weight: np.ndarray,
        stride: Size = (1, 1),
        padding: Size = (0, 0),
        dilation: Size = (1, 1),
        groups: int = 1,
        *,
        graded: bool,
    ) -> None:
        correlated = weight[:, ::-1, ::-1, :].transpose(0, 3, 1, 2)
        operator = Conv(
            len(weight), weight.shape[1:3], stride, padding, dilation, groups
        )  # width and height in the place of height and width
        source = (input_shape[2], *input_shape[:2])
        part = synapses(operator.geometry(source), correlated)
        low, high = (
            np.maximum(sign * weight.astype(np.int64), 0).sum(axis=(1, 2, 3)) for sign in (-1, 1)
        )
        if graded:  # whatever messages may be: modulo 2^32
            low = np.full_like(low, 2**32)
        self._graded = graded
        self._sums = InputSums([part], low, high)
        self.small = self._sums.number is np.uint16

    def __call__(self, sheet: np.ndarray) -> np.ndarray:
        """The sums for `sheet` (W, H, C), integers, as int32 (W', H', out), modulo 2^32."""
        return self._sums.integers([PackedSpikes.of(sheet[None], self._graded)])[0]


class SparseProduct:
    """`weights.dot(spikes)`, where only the columns of inputs that spike are read.

    Args:
        weights: int (outputs, inputs).
        graded: spikes carry messages; else whatever is not 0 counts as 1.
    """

    def __init__(self, weights: csr_matrix, *, graded: bool) -> None:
        self._columns = weights.tocsc()
        self._graded = graded

    def __call__(self, spikes: np.ndarray) -> np.ndarray:
        """The sums for `spikes` (inputs,), integers, as int32 (outputs,), modulo 2^32."""
        found = np.zeros(self._columns.shape[0], np.int32)
        columns = self._columns
        _add_columns(columns.indptr, columns.indices, columns.data, spikes, self._graded, found)
        return found


@numba.njit(cache=True)
def _add_columns(starts, rows, values, spikes, graded, found):  # type: ignore[no-untyped-def]
    for i in range(spikes.size):
        if spikes[i] != 0:
            message = np.int32(spikes[i]) if graded else np.int32(1)
            for j in range(starts[i], starts[i + 1]):
                found[rows[j]] += values[j] * message


_LIMIT = np.int32(STATE_LIMIT)
_BLOCK = 2048


@numba.njit(inline="always")
def _decayed(state, keep):  # type: ignore[no-untyped-def]
    """(|state| * keep) >> 12 with the sign of `state`, for any int32; keep is uint32."""
    magnitude = np.uint32(state) if state >= 0 else np.uint32(np.uint32(0) - np.uint32(state))
    high = np.uint32(np.uint32(magnitude >> np.uint32(12)) * keep)
    low = np.uint32(np.uint32(np.uint32(magnitude & np.uint32(4095)) * keep) >> np.uint32(12))
    kept = np.int32(np.uint32(high + low))
    return kept if state >= 0 else np.int32(-kept)


@numba.njit(cache=True)
def lif_step(  # type: ignore[no-untyped-def]
    a, u, v, mantissa, exponent, keep_u, keep_v, limit, clear, spikes
):
    """One step of `lava.proc.lif.models.PyLifResetModelBitAcc` on flat arrays, in place.

    int32 additions wrap as NumPy's do, u wraps once at 24 bits, v is clipped.

    Args:
        a: int32, synaptic input.
        u, v: int32, current and membrane; set to zero first if `clear`.
        mantissa, exponent: int16, bias.
        keep_u, keep_v: uint32, 4096 - decay.
        limit: threshold in state units.
        spikes: bool, written.
    """
    if clear:
        u[:] = 0
        v[:] = 0
    for first in range(0, a.size, _BLOCK):
        part = slice(first, min(first + _BLOCK, a.size))
        _add_current(a[part], u[part], keep_u)
        bias = _scaled(mantissa[part], exponent[part])
        _integrate(u[part], v[part], bias, keep_v, np.int32(limit), spikes[part])


# Loops over few arrays, from 0 on: only then does the compiler use vector instructions, since it
# must check that arrays do not overlap and that no index counts from the end.


@numba.njit(cache=True)
def _add_current(a, u, keep):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        current = np.int32(_decayed(u[i], keep) + np.int32(a[i] << 6))
        if current > 8388608:
            current = np.int32(current - 16777216)
        elif current <= -8388608:
            current = np.int32(current + 16777216)
        u[i] = current


@numba.njit(cache=True)
def _scaled(mantissa, exponent):  # type: ignore[no-untyped-def]
    bias = np.empty(mantissa.size, np.int32)
    for i in range(bias.size):
        shift = np.int32(exponent[i])
        left = np.int32(np.int32(mantissa[i]) << max(shift, np.int32(0)))
        bias[i] = left >> max(np.int32(-shift), np.int32(0))
    return bias


@numba.njit(cache=True)
def _integrate(u, v, bias, keep, limit, spikes):  # type: ignore[no-untyped-def]
    for i in range(u.size):
        membrane = np.int32(np.int32(_decayed(v[i], keep) + u[i]) + bias[i])
        membrane = min(max(membrane, np.int32(-_LIMIT)), _LIMIT)
        fired = membrane > limit
        v[i] = np.int32(0) if fired else membrane
        spikes[i] = fired


def compile_kernels() -> None:
    """Compile (or load from numba's cache) now, not within the first step of a run."""
    state, bias, none = np.zeros(0, np.int32), np.zeros(0, np.int16), np.uint32(0)
    lif_step(state, state, state, bias, bias, none, none, 0, False, np.zeros(0, bool))
    for graded in (False, True):
        SparseProduct(csr_matrix((1, 1), dtype=np.int32), graded=graded)(np.zeros(1, np.int32))
        for weight in (1, 2**14):  # sums of 16 bits and of 32
            for groups in (1, 2):
                wide = np.full((2, 1, 1, 2 // groups), weight * 2)
                Convolution((1, 1, 2), wide, groups=groups, graded=graded)(
                    np.zeros((1, 1, 2), np.int32)
                )
