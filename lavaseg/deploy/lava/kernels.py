"""The arithmetic of the fast models, without Lava: convolution by matrix products, the LIF step.

Sheets are in Lava's order (width, height, channels). Every result is an exact integer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from lavaseg.neuron import STATE_LIMIT

Pair = tuple[int, int]

_BLOCK = 1 << 20
"""Elements of the matrix of windows that are gathered at a time: it stays in cache."""


@dataclass(frozen=True)
class _Workspace:
    """What one number format needs: weights, the padded input, and a view of all its windows."""

    weights: np.ndarray  # (groups, taps, outputs of a group)
    inner: np.ndarray  # the padded input without its border
    windows: np.ndarray  # (width, height, kernel w, kernel h, groups, inputs of a group)


class Convolution:
    """`lava.proc.conv.utils.conv` with the geometry fixed: the same integers, much sooner.

    A matrix product of the windows (im2col) and the weights, in float32 where every partial sum
    stays below 2**24 and so is exact, in float64 elsewhere.

    Args:
        input_shape: (width, height, channels).
        weight: int (out, kernel width, kernel height, channels / groups), a true convolution:
            the kernel is flipped, as Lava stores it.
        stride, padding, dilation: (width, height).
        groups: input and output channels are split into so many groups.

    Attributes:
        output_shape: (width, height, out).
        largest_sum: bound of a result for inputs of magnitude 1.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        weight: np.ndarray,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> None:
        out, *kernel, _ = weight.shape
        self._input_shape = input_shape
        self._stride, self._padding, self._dilation = stride, padding, dilation
        self._groups, self._kernel = groups, (kernel[0], kernel[1])
        sides = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(input_shape, kernel, stride, padding, dilation, strict=False)
        ]
        self.output_shape = (sides[0], sides[1], out)
        correlated = weight[:, ::-1, ::-1, :]
        self._matrix = correlated.reshape(groups, out // groups, -1).transpose(0, 2, 1)
        self.largest_sum = int(np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0))
        self._workspaces: dict[type, _Workspace] = {}

    def __call__(self, sheet: np.ndarray) -> np.ndarray:
        """The convolution of `sheet` (W, H, C), integers or bool, as int32 (W', H', out)."""
        peak = int(np.abs(sheet).max(initial=0))
        if peak == 0:
            return np.zeros(self.output_shape, np.int32)
        work = self._workspace(np.float32 if peak * self.largest_sum < 2**24 else np.float64)
        work.inner[...] = sheet
        if self._groups == self._input_shape[2] == self.output_shape[2]:
            return self._depthwise(work)
        return self._grouped(work)

    def _grouped(self, work: _Workspace) -> np.ndarray:
        """One matrix product for each group and block of columns."""
        width, height, out = self.output_shape
        groups, taps, _ = work.weights.shape
        result = np.empty(self.output_shape, np.int32)
        columns = max(1, _BLOCK // (height * groups * taps))
        for first in range(0, width, columns):
            part = work.windows[first : first + columns]
            gathered = part.transpose(4, 0, 1, 2, 3, 5).reshape(groups, -1, taps)
            product = np.matmul(gathered, work.weights)
            result[first : first + columns] = product.transpose(1, 0, 2).reshape(-1, height, out)
        return result

    def _depthwise(self, work: _Workspace) -> np.ndarray:
        """One channel a group: tap by tap, where matrices would be single columns."""
        total = np.zeros(self.output_shape, work.weights.dtype)
        taps = work.weights[:, :, 0].T
        for (x, y), weight in zip(np.ndindex(self._kernel), taps, strict=True):
            total += work.windows[:, :, x, y, :, 0] * weight
        return total.astype(np.int32)

    def _workspace(self, number: type) -> _Workspace:
        if number not in self._workspaces:
            self._workspaces[number] = self._make_workspace(number)
        return self._workspaces[number]

    def _make_workspace(self, number: type) -> _Workspace:
        width, height, channels = self._input_shape
        px, py = self._padding
        padded: np.ndarray = np.zeros((width + 2 * px, height + 2 * py, channels), number)
        sx, sy, sc = padded.strides
        fan = channels // self._groups
        windows = np.lib.stride_tricks.as_strided(
            padded,
            (*self.output_shape[:2], *self._kernel, self._groups, fan),
            (
                sx * self._stride[0],
                sy * self._stride[1],
                sx * self._dilation[0],
                sy * self._dilation[1],
                sc * fan,
                sc,
            ),
            writeable=False,
        )
        inner = padded[px : px + width, py : py + height]
        return _Workspace(np.ascontiguousarray(self._matrix, number), inner, windows)


_LIMIT = np.int32(STATE_LIMIT)


@numba.njit(inline="always")
def _decayed(state, keep):  # type: ignore[no-untyped-def]
    magnitude = (abs(np.int64(state)) * keep) >> 12
    return magnitude if state >= 0 else -magnitude


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
        keep_u, keep_v: 4096 - decay.
        limit: threshold in state units.
        spikes: bool, written.
    """
    for i in range(a.size):
        if clear:
            u[i] = 0
            v[i] = 0
        current = np.int32(_decayed(u[i], keep_u) + np.int32(np.int64(a[i]) << 6))
        if current > 8388608:
            current = np.int32(current - 16777216)
        elif current <= -8388608:
            current = np.int32(current + 16777216)
        if exponent[i] >= 0:
            bias = np.int64(mantissa[i]) << exponent[i]
        else:
            bias = np.int64(mantissa[i]) >> -exponent[i]
        membrane = np.int32(_decayed(v[i], keep_v) + np.int64(current) + np.int32(bias))
        membrane = min(max(membrane, -_LIMIT), _LIMIT)
        fired = membrane > limit
        u[i] = current
        v[i] = 0 if fired else membrane
        spikes[i] = fired


def compile_kernels() -> None:
    """Compile (or load from numba's cache) now, not within the first step of a run."""
    state, bias = np.zeros(0, np.int32), np.zeros(0, np.int16)
    lif_step(state, state, state, bias, bias, 0, 0, 0, False, np.zeros(0, bool))
