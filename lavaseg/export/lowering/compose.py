"""Compose two operators in sequence into one, exactly, borders included.

Every operator relates outputs to inputs along each axis (`lavaseg/grids.py`). Two such relations
in sequence make a third, unless the sheet between them ends where the third would go on: then
composing would add what padding hides, and is refused.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.export.lowering.fold import scale_inputs, scale_outputs
from lavaseg.grids import Grid, grid
from lavaseg.network import Conv, ConvTranspose, Dense, OneToOne, Operator, Shape
from lavaseg.operators_torch import apply_operator


class NotComposableError(LavasegError):
    """Two operators whose sequence is no single operator."""


Weighted = tuple[Operator, np.ndarray]
"""An operator with its weights, or its gain."""


def compose(first: Weighted, second: Weighted, source: Shape) -> Weighted:
    """The operator that does `first`, then `second`; float64.

    Args:
        source: shape of the sheet that `first` reads.

    Raises:
        NotComposableError: no operator does that; the message says why.
    """
    if isinstance(first[0], OneToOne):
        return second[0], scale_inputs(*second, first[1])
    if isinstance(second[0], OneToOne):
        return first[0], scale_outputs(*first, second[1])
    between = first[0].output_shape(source)
    if isinstance(second[0], Dense):
        return second[0], _through(first, second[1], source)
    return _compose_grids(grid(*first, source), grid(*second, between), source, between, second[0])


def _through(first: Weighted, dense: np.ndarray, source: Shape) -> np.ndarray:
    """Dense weights (F, C, H, W) on the result of `first`, as weights on what it reads."""
    sheet = torch.zeros((len(dense), *source), dtype=torch.float64, requires_grad=True)
    result = apply_operator(first[0], sheet, torch.from_numpy(np.asarray(first[1], np.float64)))
    (result * torch.from_numpy(dense)).sum().backward()
    assert sheet.grad is not None
    return sheet.grad.numpy()


def _regrouped(weight: np.ndarray, groups: int) -> np.ndarray:
    """The same weights in fewer groups: blocks on the diagonal."""
    many, outputs, inputs, *kernel = weight.shape
    each = many // groups
    wide = np.zeros((groups, each, outputs, each, inputs, *kernel))
    index = np.arange(each)
    split = weight.reshape(groups, each, outputs, inputs, *kernel)
    wide[:, index, :, index] = split.swapaxes(0, 1)
    return wide.reshape(groups, each * outputs, each * inputs, *kernel)


def _compose_grids(
    first: Grid, second: Grid, source: Shape, between: Shape, last: Operator
) -> Weighted:
    target = last.output_shape(between)
    sums = []  # for each axis, the tap of each pair of taps, None where it connects nothing
    axes = []
    for axis in (0, 1):
        sides = source[axis + 1], between[axis + 1], target[axis + 1]
        _check_border(first, second, axis, sides)
        down, up = first.down[axis] * second.down[axis], first.up[axis] * second.up[axis]
        if first.down[axis] > 1 and second.up[axis] > 1:
            raise NotComposableError("one reduces the sheet and the other enlarges it")
        common = math.gcd(down, up)
        total = (
            first.taps[axis][None, :] * second.up[axis]
            + second.taps[axis][:, None] * first.down[axis]
        )
        sums.append(np.where(total % common == 0, total // common, _NOTHING))
        axes.append((down // common, up // common))
    transposed = any(up > 1 for _, up in axes)
    if any(down > 1 for down, _ in axes) and any(up > 1 for _, up in axes):
        raise NotComposableError("together they scale the sheet by a fraction")
    layouts = [
        (transposed_axis if transposed else conv_axis)(
            sorted(set(total[total != _NOTHING].tolist()) or {0}), max(scale), n, wanted
        )
        for total, scale, n, wanted in zip(sums, axes, source[1:], target[1:], strict=True)
    ]
    weight = _products(first, second, sums, layouts)
    groups, outputs, inputs, *kernel = weight.shape
    geometry = {
        "kernel": (kernel[0], kernel[1]),
        "stride": (max(axes[0]), max(axes[1])),
        "padding": (layouts[0].padding, layouts[1].padding),
        "dilation": (layouts[0].dilation, layouts[1].dilation),
    }
    channels = groups * outputs
    if not transposed:
        return (
            Conv(channels, groups=groups, **geometry),
            weight.reshape(channels, inputs, *kernel),
        )
    operator = ConvTranspose(
        channels,
        output_padding=(layouts[0].extra, layouts[1].extra),
        groups=groups,
        **geometry,
    )
    turned = np.ascontiguousarray(weight.swapaxes(1, 2))
    return operator, turned.reshape(groups * inputs, outputs, *kernel)


_NOTHING = np.iinfo(np.int64).min


def _check_border(first: Grid, second: Grid, axis: int, sides: tuple[int, int, int]) -> None:
    """Refuse if a path leads through places outside of the sheet between the two."""
    n, between, wanted = sides
    others = (0, 1, 2, 4 - axis)
    used_first = first.taps[axis][np.abs(first.weight).max(others, initial=0) > 0]
    used_second = second.taps[axis][np.abs(second.weight).max(others, initial=0) > 0]
    written = np.arange(n)[:, None] * first.up[axis] + used_first[None, :]
    reached = written[written % first.down[axis] == 0] // first.down[axis]
    ghosts = np.unique(reached[(reached < 0) | (reached >= between)])
    read = ghosts[:, None] * second.up[axis] + used_second[None, :]
    hits = read[read % second.down[axis] == 0] // second.down[axis]
    if ((hits >= 0) & (hits < wanted)).any():
        raise NotComposableError(
            f"the sheet between them ({between} along its {('height', 'width')[axis]}) is padded "
            "with zeros where one operator would see more of the input"
        )


@dataclass(frozen=True)
class AxisLayout:
    """Where each tap lies in the kernel of one axis."""

    places: dict[int, int]
    kernel: int
    padding: int
    dilation: int
    extra: int = 0


def _spacing(taps: list[int]) -> int:
    return math.gcd(*(tap - taps[0] for tap in taps)) or 1


def conv_axis(taps: list[int], stride: int, n: int, wanted: int) -> AxisLayout:
    """The convolution that has these taps; zeros are added where its size asks for them."""
    low, high, space = taps[0], taps[-1], _spacing(taps)

    def size(padding: int, reach: int) -> int:
        return (n + 2 * padding - reach - 1) // stride + 1

    if high >= 0 and size(high, high - low) == wanted:
        places = {tap: (high - tap) // space for tap in taps}
        return AxisLayout(places, (high - low) // space + 1, high, space)
    padding = max(high, 0)
    least = min(low, padding)
    while size(padding, padding - least) < wanted:
        padding += 1
    reach = padding - least
    while size(padding, reach) > wanted:
        reach += 1
    return AxisLayout({tap: padding - tap for tap in taps}, reach + 1, padding, 1)


def transposed_axis(taps: list[int], stride: int, n: int, wanted: int) -> AxisLayout:
    """The transposed convolution that has these taps."""
    low, high, space = taps[0], taps[-1], _spacing(taps)
    extra = wanted - ((n - 1) * stride + low + high + 1)
    if low <= 0 and 0 <= extra < max(stride, space):
        places = {tap: (tap - low) // space for tap in taps}
        return AxisLayout(places, (high - low) // space + 1, -low, space, extra)
    padding = max(-low, 0)
    high = max(high, -padding)
    padding += max(0, (n - 1) * stride - padding + high + 1 - wanted)
    reach = wanted - 1 - (n - 1) * stride + 2 * padding
    return AxisLayout({tap: tap + padding for tap in taps}, reach + 1, padding, 1)


def _products(
    first: Grid, second: Grid, sums: list[np.ndarray], layouts: list[AxisLayout]
) -> np.ndarray:
    """Weights of the composed kernel, (groups, outputs, inputs, height, width)."""
    groups = math.gcd(len(first.weight), len(second.weight))
    left, right = _regrouped(second.weight, groups), _regrouped(first.weight, groups)
    kernel = (layouts[0].kernel, layouts[1].kernel)
    result = np.zeros((groups, left.shape[1], right.shape[2], *kernel))
    rows, columns = sums
    for (y2, y1), (x2, x1) in itertools.product(np.ndindex(rows.shape), np.ndindex(columns.shape)):
        if _NOTHING in (rows[y2, y1], columns[x2, x1]):
            continue
        y, x = layouts[0].places[int(rows[y2, y1])], layouts[1].places[int(columns[x2, x1])]
        result[..., y, x] += left[..., y2, x2] @ right[..., y1, x1]
    return result
