"""The common form of all operators: what it connects with what, and the matrix that it is.

Along each axis an operator connects output o with input i where o * down = i * up + tap, with one
weight for each tap: a convolution has up = 1 and taps padding - dilation * k, a transposed one has
down = 1 and taps dilation * k - padding; pooling, upsampling and one-to-one are the two of them
with each channel apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    OneToOne,
    Operator,
    Resize,
    Shape,
    SumPool,
    Upsample,
    why_not_integer,
)


@dataclass(frozen=True)
class Grid:
    """o * down = i * up + tap along both axes.

    Args:
        taps: for each axis one number for each place of the kernel.
        weight: (groups, outputs of a group, inputs of a group, kernel height, kernel width).
    """

    down: tuple[int, int]
    up: tuple[int, int]
    taps: tuple[np.ndarray, np.ndarray]
    weight: np.ndarray


def grid(operator: Operator, weight: np.ndarray, source: Shape) -> Grid:
    """An operator with its weights, or its gain, in the common form.

    Args:
        source: shape of the sheet that it reads.

    Raises:
        LavasegError: a bilinear resize, which has no such form.
    """
    if isinstance(operator, Resize):
        raise LavasegError(f"no synapses are shared: {why_not_integer(operator)}")
    if isinstance(operator, Dense):
        operator = Conv(operator.features, source[1:])
    if isinstance(operator, OneToOne):
        operator = SumPool((1, 1), (1, 1))
    if isinstance(operator, (SumPool, Upsample)):  # each channel apart, one gain for all taps
        kernel = operator.kernel if isinstance(operator, SumPool) else operator.factor
        weight = np.tile(weight.reshape(-1, 1, 1, 1), (1, 1, *kernel))
        if isinstance(operator, SumPool):
            operator = Conv(source[0], kernel, operator.stride, operator.padding, groups=source[0])
        else:
            operator = ConvTranspose(source[0], kernel, kernel, groups=source[0])
    steps = tuple(
        d * np.arange(k) - p
        for d, k, p in zip(operator.dilation, operator.kernel, operator.padding, strict=True)
    )
    grouped = weight.reshape(operator.groups, -1, *weight.shape[1:])
    if isinstance(operator, ConvTranspose):
        return Grid((1, 1), operator.stride, (steps[0], steps[1]), grouped.swapaxes(1, 2))
    return Grid(operator.stride, (1, 1), (-steps[0], -steps[1]), grouped)


def fan_out(operator: Operator, source: Shape) -> np.ndarray:
    """Synapses that leave each source neuron; exact, at borders too.

    Structural synapses are counted: a weight that happens to be zero is one too.

    Args:
        operator: the linear map.
        source: shape of the source sheet (channels, height, width).

    Returns:
        int64 (C, H, W); a view, since every channel is the same.
    """
    shape = operator.weight_shape(source) or source[:1]
    form = grid(operator, np.broadcast_to(np.int8(0), shape), source)
    target = operator.output_shape(source)
    rows, columns = (
        np.bincount(_links(form, axis, source[axis + 1], target[axis + 1])[1], minlength=size)
        for axis, size in enumerate(source[1:])
    )
    sheet = (form.weight.shape[1] * rows[:, None] * columns[None, :]).astype(np.int64)
    return np.broadcast_to(sheet, source)


def matrix(operator: Operator, weight: np.ndarray, source: Shape) -> csr_matrix:
    """An operator as a matrix over flattened sheets in Lava's order (width, height, channels).

    Args:
        source: (channels, height, width).
        weight: its weights in torch's orientation, or its gain.

    Returns:
        int32 (target neurons, source neurons); weights of zero are left out.
    """
    form = grid(operator, weight, source)
    channels, *target = operator.output_shape(source)
    (to_y, from_y, ky), (to_x, from_x, kx) = (
        _links(form, axis, source[axis + 1], target[axis]) for axis in (0, 1)
    )
    groups, outputs, inputs = form.weight.shape[:3]
    # all synapses as one grid: group, output and input of the group, link along y, link along x
    group, out, into = np.ogrid[:groups, :outputs, :inputs]
    values = form.weight[:, :, :, ky[:, None], kx[None, :]]
    pixels_to = (to_x[None, :] * target[0] + to_y[:, None]) * channels
    pixels_from = (from_x[None, :] * source[1] + from_y[:, None]) * source[0]
    rows = pixels_to + (group * outputs + out)[..., None, None]
    columns = pixels_from + (group * inputs + into)[..., None, None]
    present = values != 0
    entries = (
        values[present].astype(np.int32),
        (
            np.broadcast_to(rows, values.shape)[present],
            np.broadcast_to(columns, values.shape)[present],
        ),
    )
    size = (channels * target[0] * target[1], source[0] * source[1] * source[2])
    return csr_matrix(entries, shape=size, dtype=np.int32)


def _links(
    form: Grid, axis: int, size: int, wanted: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(output, input, place in the kernel) of each connection along one axis, int64 (links,)."""
    place, taps = np.arange(len(form.taps[axis])), form.taps[axis]
    reached = np.arange(size)[:, None] * form.up[axis] + taps[None, :]
    output, rest = np.divmod(reached, form.down[axis])
    inside = (rest == 0) & (output >= 0) & (output < wanted)
    source, tap = np.nonzero(inside)
    return output[inside], source, place[tap]
