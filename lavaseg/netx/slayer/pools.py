"""SLAYER's pool and unpool blocks as plain convolutions, exactly.

Both (lava.lib.dl.slayer.synapse.layer.Pool and Unpool) stack the channels of a sheet into one
tall picture of C * H rows and convolve that with one kernel. Pool first appends n % k rows or
columns of zeros to an extent n that its kernel k does not divide, so a 2 x 2 pool rounds 7 up to
4 (lava-dl#293). Where the stride does not divide the height, or with padding, windows drift from
channel to channel and can cover two of them. All of that is linear and invariant in space, hence
a convolution between the channels; where no window leaves its channel it is a depthwise one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Conv, ConvTranspose, Shape, Size
from lavaseg.network.grids import (
    AxisLayout,
    conv_axis,
    fitted_conv,
    fitted_transpose,
    transposed_axis,
)

MAX_WEIGHTS = 2**26
"""Weights of one convolution; drifting windows need one for each pair of channels."""


def pool(
    kernel: np.ndarray, source: Shape, stride: Size, padding: Size, dilation: Size
) -> tuple[Conv, np.ndarray]:
    """A convolution with the output of SLAYER's pool.

    Args:
        kernel: int (kernel height, kernel width).
        source: (channels, height, width) of what is pooled.

    Returns:
        The operator and its weights, int64 as `Conv.weight_shape` says.

    Raises:
        LavasegError: SLAYER itself cannot run this pool, or it needs too many weights.
    """
    channels, height, width = source
    pitch, wide = (n + n % k for n, k in zip(source[1:], kernel.shape, strict=True))
    stacked = Conv(1, kernel.shape, stride, padding, dilation)
    rows, columns = _unstacked(stacked.output_shape((1, channels * pitch, wide)), channels)
    starts = [dilation[0] * row - padding[0] for row in range(len(kernel))]
    links = list(_links(starts, channels, (rows, stride[0]), (pitch, height)))
    down = conv_axis(sorted({-at for *_, at in links} or {0}), stride[0], height, rows)
    across = [padding[1] - dilation[1] * column for column in range(kernel.shape[1])]
    right = conv_axis(sorted(across), stride[1], width, columns)
    pairs = [(out, into, row, down.places[-at]) for out, into, row, at in links]
    weight = _placed(kernel, channels, pairs, down, [right.places[tap] for tap in across], right)
    return fitted_conv(channels, channels // weight.shape[1], down, right), weight


def unpool(
    kernel: np.ndarray, source: Shape, stride: Size, padding: Size, dilation: Size
) -> tuple[ConvTranspose, np.ndarray]:
    """A transposed convolution with the output of SLAYER's unpool; see `pool`."""
    channels, height, width = source
    stacked = ConvTranspose(1, kernel.shape, stride, padding, dilation=dilation)
    rows, columns = _unstacked(stacked.output_shape((1, channels * height, width)), channels)
    starts = [dilation[0] * row - padding[0] for row in range(len(kernel))]
    links = list(_links(starts, channels, (height, stride[0]), (rows, rows)))
    down = transposed_axis(sorted({at for *_, at in links} or {0}), stride[0], height, rows)
    across = [dilation[1] * column - padding[1] for column in range(kernel.shape[1])]
    right = transposed_axis(across, stride[1], width, columns)
    pairs = [(into, out, row, down.places[at]) for into, out, row, at in links]
    weight = _placed(kernel, channels, pairs, down, [right.places[tap] for tap in across], right)
    operator = fitted_transpose(channels, channels // weight.shape[1], down, right)
    return operator, weight


def _unstacked(shape: Shape, channels: int) -> Size:
    """(rows, columns) of one channel in a stack of shape (1, rows, columns)."""
    _, rows, columns = shape
    if rows < channels or rows % channels or columns < 1:
        raise LavasegError(
            f"SLAYER itself fails: {channels} channels, one above the other, become {max(rows, 0)} "
            f"rows of {max(columns, 0)} columns, which are not {channels} sheets of equal height"
        )
    return rows // channels, columns


def _links(
    starts: list[int], channels: int, small: tuple[int, int], large: tuple[int, int]
) -> Iterator[tuple[int, int, int, int]]:
    """Which channels of the two stacks meet: (channel, other channel, row of the kernel, at).

    Row i of `channel` in the small stack meets row stride * i + at of the other one in the large
    stack; left out where that never lies inside.

    Args:
        starts: where each row of the kernel begins.
        small: (rows of a channel, stride).
        large: (rows from channel to channel, rows that are not filled up with zeros).
    """
    (count, stride), (pitch, extent) = small, large
    for channel in range(channels):
        first = channel * count * stride + starts[0]
        last = channel * count * stride + (count - 1) * stride + starts[-1]
        for other in range(max(0, first // pitch), min(channels - 1, last // pitch) + 1):
            for row, start in enumerate(starts):
                at = channel * count * stride + start - other * pitch
                i = max(0, -(at // stride))
                if i < count and stride * i + at < extent:
                    yield channel, other, row, at


def _placed(
    kernel: np.ndarray,
    channels: int,
    pairs: list[tuple[int, int, int, int]],
    down: AxisLayout,
    columns: list[int],
    right: AxisLayout,
) -> np.ndarray:
    """Weights (channel, other channel or 1, height, width) from (channel, other, row, place)."""
    depthwise = all(channel == other for channel, other, *_ in pairs)
    shape = (channels, 1 if depthwise else channels, down.kernel, right.kernel)
    if math.prod(shape) > MAX_WEIGHTS:
        raise LavasegError(
            f"its windows drift from channel to channel, which takes weights of shape {shape}: "
            "use a stride that equals the kernel and divides the height"
        )
    weight = np.zeros(shape, np.int64)
    for channel, other, row, place in pairs:
        weight[channel, 0 if depthwise else other, place, columns] += kernel[row]
    return weight
