"""Forms of an operator: its matrix, its fan-out, its phases; and the operator of given taps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.network.base import Shape, Size
from lavaseg.network.geometry import Axis, Geometry
from lavaseg.network.operators import Conv, ConvTranspose, Operator

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def fan_out(operator: Operator, source: Shape) -> np.ndarray:
    """Synapses that leave each source neuron; exact, at borders too.

    Structural synapses are counted: a weight that happens to be zero is one too.

    Args:
        operator: the linear map.
        source: shape of the source sheet (channels, height, width).

    Returns:
        int64 (C, H, W), a view, since every channel is the same.
    """
    geometry = operator.geometry(source)
    rows, columns = (
        np.bincount(axis.links()[1], minlength=axis.size)
        for axis in (geometry.rows, geometry.columns)
    )
    outputs = geometry.channels // geometry.groups
    sheet = (outputs * rows[:, None] * columns[None, :]).astype(np.int64)
    return np.broadcast_to(sheet, source)


def matrix(operator: Operator, weight: np.ndarray, source: Shape) -> csr_matrix:
    """An operator as a matrix over flattened sheets in Lava's order (width, height, channels).

    Args:
        source: (channels, height, width).
        weight: its weights in torch's orientation, or its gain.

    Returns:
        (target neurons, source neurons), int32 of integers and float64 of floats; weights of zero
        are left out.
    """
    from scipy.sparse import csr_matrix  # only export and Lava's graph need it

    number = np.int32 if np.issubdtype(weight.dtype, np.integer) else np.float64
    geometry = operator.geometry(source)
    form = geometry.expand(weight)
    channels, *target = geometry.target
    to_y, from_y, ky = geometry.rows.links()
    to_x, from_x, kx = geometry.columns.links()
    groups, outputs, inputs = form.shape[:3]
    # all synapses as one grid: group, output and input of the group, link along y, link along x
    group, out, into = np.ogrid[:groups, :outputs, :inputs]
    values = form[:, :, :, ky[:, None], kx[None, :]]
    pixels_to = (to_x[None, :] * target[0] + to_y[:, None]) * channels
    pixels_from = (from_x[None, :] * source[1] + from_y[:, None]) * source[0]
    rows = pixels_to + (group * outputs + out)[..., None, None]
    columns = pixels_from + (group * inputs + into)[..., None, None]
    present = values != 0
    entries = (
        values[present].astype(number),
        (
            np.broadcast_to(rows, values.shape)[present],
            np.broadcast_to(columns, values.shape)[present],
        ),
    )
    size = (channels * target[0] * target[1], source[0] * source[1] * source[2])
    return csr_matrix(entries, shape=size, dtype=number)


@dataclass(frozen=True)
class Phases:
    """An enlarging operator as a convolution at the size of its source.

    Output (r * j + p, q * k + o) is what phase (p, o) of the convolution gives at (j, k).

    Args:
        weight: (groups * r * q * outputs, inputs, kernel height, kernel width), stride 1.
        padding: (height, width).
        groups, outputs: of the operator, and output channels of each group.
        factor: (r, q).
    """

    weight: np.ndarray
    padding: Size
    groups: int
    outputs: int
    factor: Size


def phases(operator: Operator, weight: np.ndarray, source: Shape) -> Phases | None:
    """The phase form of a transposed convolution or upsampling.

    Returns:
        None if the larger sheet is no whole number of phases.
    """
    geometry = operator.geometry(source)
    axes = [_phase_axis(axis) for axis in (geometry.rows, geometry.columns)]
    if any(axis is None for axis in axes):
        return None
    offsets, paddings, kernels = zip(*(axis for axis in axes if axis is not None), strict=True)
    form = geometry.expand(weight)
    groups, outputs, inputs = form.shape[:3]
    spread = np.zeros((groups, *geometry.enlarges, outputs, inputs, *kernels), weight.dtype)
    rows, columns = offsets
    for (p, ky), y in np.ndenumerate(rows):
        for (o, kx), x in np.ndenumerate(columns):
            if y >= 0 and x >= 0:
                spread[:, p, o, :, :, y, x] = form[..., ky, kx]
    return Phases(
        spread.reshape(-1, inputs, *kernels),
        (paddings[0], paddings[1]),
        groups,
        outputs,
        geometry.enlarges,
    )


def phase_kernel(geometry: Geometry) -> Size | None:
    """Kernel (height, width) of the phase form of an enlarging operator, as `phases` makes it."""
    axes = (_phase_axis(geometry.rows), _phase_axis(geometry.columns))
    return None if axes[0] is None or axes[1] is None else (axes[0][2], axes[1][2])


def _phase_axis(axis: Axis) -> tuple[np.ndarray, int, int] | None:
    """Along one axis: the place in the kernel of each phase and tap (-1: none), padding, kernel."""
    if axis.wanted % axis.up:
        return None
    size, r, steps = axis.size, axis.up, axis.wanted // axis.up
    # output r * j + phase sees input j + offset, where the tap allows a whole offset
    offset, rest = np.divmod(np.arange(r)[:, None] - np.asarray(axis.taps)[None, :], r)
    lowest, highest = int(offset[rest == 0].min()), int(offset[rest == 0].max())
    padding = max(-lowest, highest + steps - size, -((size - steps) // 2), 0)
    return np.where(rest == 0, offset + padding, -1), padding, size + 2 * padding + 1 - steps


# --------------------------------------------------------------------------------------------
# From taps back to an operator


@dataclass(frozen=True)
class AxisLayout:
    """Where each tap lies in the kernel of one axis."""

    places: dict[int, int]
    kernel: int
    stride: int
    padding: int
    dilation: int
    extra: int = 0


def _spacing(taps: Sequence[int]) -> int:
    return math.gcd(*(tap - taps[0] for tap in taps)) or 1


def conv_axis(taps: Sequence[int], stride: int, n: int, wanted: int) -> AxisLayout:
    """The convolution that has these taps; zeros are added where its size asks for them.

    Args:
        taps: rising.
        n, wanted: extents of the sheet that is read and of the one that is written.
    """
    low, high, space = taps[0], taps[-1], _spacing(taps)

    def size(padding: int, reach: int) -> int:
        return (n + 2 * padding - reach - 1) // stride + 1

    if high >= 0 and size(high, high - low) == wanted:
        places = {tap: (high - tap) // space for tap in taps}
        return AxisLayout(places, (high - low) // space + 1, stride, high, space)
    padding = max(high, 0)
    least = min(low, padding)
    while size(padding, padding - least) < wanted:
        padding += 1
    reach = padding - least
    while size(padding, reach) > wanted:
        reach += 1
    return AxisLayout({tap: padding - tap for tap in taps}, reach + 1, stride, padding, 1)


def transposed_axis(taps: Sequence[int], stride: int, n: int, wanted: int) -> AxisLayout:
    """The transposed convolution that has these taps; arguments as of `conv_axis`."""
    low, high, space = taps[0], taps[-1], _spacing(taps)
    extra = wanted - ((n - 1) * stride + low + high + 1)
    if low <= 0 and 0 <= extra < max(stride, space):
        places = {tap: (tap - low) // space for tap in taps}
        return AxisLayout(places, (high - low) // space + 1, stride, -low, space, extra)
    padding = max(-low, 0)
    high = max(high, -padding)
    padding += max(0, (n - 1) * stride - padding + high + 1 - wanted)
    reach = wanted - 1 - (n - 1) * stride + 2 * padding
    return AxisLayout({tap: tap + padding for tap in taps}, reach + 1, stride, padding, 1)


def fitted_conv(channels: int, groups: int, rows: AxisLayout, columns: AxisLayout) -> Conv:
    """The convolution with these axes."""
    return Conv(
        channels,
        (rows.kernel, columns.kernel),
        (rows.stride, columns.stride),
        (rows.padding, columns.padding),
        (rows.dilation, columns.dilation),
        groups,
    )


def fitted_transpose(
    channels: int, groups: int, rows: AxisLayout, columns: AxisLayout
) -> ConvTranspose:
    """The transposed convolution with these axes."""
    return ConvTranspose(
        channels,
        (rows.kernel, columns.kernel),
        (rows.stride, columns.stride),
        (rows.padding, columns.padding),
        (rows.extra, columns.extra),
        (rows.dilation, columns.dilation),
        groups,
    )
