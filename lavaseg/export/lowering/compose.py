"""Compose two operators in sequence into one, exactly, borders included.

Every operator relates outputs to inputs along each axis (`lavaseg/network/geometry.py`). Two such
relations in sequence make a third, unless the sheet between them ends where the third would go on:
then composing would add what padding hides, and is refused.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Axis, Dense, Geometry, Operator, Shape
from lavaseg.network.grids import (
    AxisLayout,
    conv_axis,
    fitted_conv,
    fitted_transpose,
    matrix,
    transposed_axis,
)


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
    before = first[0].geometry(source)
    after = second[0].geometry(before.target)
    if before.one_to_one:
        return second[0], after.scale_inputs(second[1], first[1])
    if after.one_to_one:
        return first[0], before.scale_outputs(first[1], second[1])
    if isinstance(second[0], Dense):
        return second[0], _through(first, second[1], source)
    return _compose_geometries(before, before.expand(first[1]), after, after.expand(second[1]))


def _through(first: Weighted, dense: np.ndarray, source: Shape) -> np.ndarray:
    """Dense weights (F, C, H, W) on the result of `first`, as weights on what it reads."""
    flat = dense.transpose(0, 3, 2, 1).reshape(len(dense), -1)  # sheets in the matrix's order
    passed = matrix(*first, source).T @ np.asarray(flat, np.float64).T
    return passed.T.reshape(len(dense), *source[::-1]).transpose(0, 3, 2, 1)


def regrouped(weight: np.ndarray, groups: int) -> np.ndarray:
    """The same weights in fewer groups: blocks on the diagonal."""
    many, outputs, inputs, *kernel = weight.shape
    if many == groups:
        return weight
    each = many // groups
    wide = np.zeros((groups, each, outputs, each, inputs, *kernel))
    index = np.arange(each)
    split = weight.reshape(groups, each, outputs, inputs, *kernel)
    wide[:, index, :, index] = split.swapaxes(0, 1)
    return wide.reshape(groups, each * outputs, each * inputs, *kernel)


def _compose_geometries(
    first: Geometry, inner: np.ndarray, second: Geometry, outer: np.ndarray
) -> Weighted:
    """`inner` and `outer` are the two operators' weights as `Geometry.expand` gives them."""
    sums = []  # for each axis, the tap of each pair of taps, _NOTHING where it connects nothing
    scales = []
    axes = ((first.rows, second.rows), (first.columns, second.columns))
    for number, (before, after) in enumerate(axes):
        _check_border(before, after, _used(inner, number), _used(outer, number), number)
        if before.down > 1 and after.up > 1:
            raise NotComposableError("one reduces the sheet and the other enlarges it")
        down, up = before.down * after.down, before.up * after.up
        common = math.gcd(down, up)
        total = (
            np.asarray(before.taps)[None, :] * after.up
            + np.asarray(after.taps)[:, None] * before.down
        )
        sums.append(np.where(total % common == 0, total // common, _NOTHING))
        scales.append((down // common, up // common))
    enlarges = any(up > 1 for _, up in scales)
    if enlarges and any(down > 1 for down, _ in scales):
        raise NotComposableError("together they scale the sheet by a fraction")
    rows, columns = (
        (transposed_axis if enlarges else conv_axis)(
            sorted(set(total[total != _NOTHING].tolist()) or {0}),
            max(scale),
            before.size,
            after.wanted,
        )
        for total, scale, (before, after) in zip(sums, scales, axes, strict=True)
    )
    weight = _products(inner, outer, sums, (rows, columns))
    groups, outputs = weight.shape[:2]
    fitted = fitted_transpose if enlarges else fitted_conv
    operator = fitted(groups * outputs, groups, rows, columns)
    return operator, operator.geometry(first.source).collapse(weight)


_NOTHING = np.iinfo(np.int64).min


def _used(form: np.ndarray, axis: int) -> np.ndarray:
    """Whether any weight stands at each place of the kernel along one axis."""
    others = (0, 1, 2, 4 - axis)
    return np.abs(form).max(others, initial=0) > 0


def _check_border(
    first: Axis, second: Axis, first_used: np.ndarray, second_used: np.ndarray, number: int
) -> None:
    """Refuse if a path leads through places outside of the sheet between the two."""
    between = first.wanted
    taps, next_taps = np.asarray(first.taps)[first_used], np.asarray(second.taps)[second_used]
    written = np.arange(first.size)[:, None] * first.up + taps[None, :]
    reached = written[written % first.down == 0] // first.down
    ghosts = np.unique(reached[(reached < 0) | (reached >= between)])
    read = ghosts[:, None] * second.up + next_taps[None, :]
    hits = read[read % second.down == 0] // second.down
    if ((hits >= 0) & (hits < second.wanted)).any():
        raise NotComposableError(
            f"the sheet between them ({between} along its {('height', 'width')[number]}) is padded "
            "with zeros where one operator would see more of the input"
        )


def _products(
    inner: np.ndarray,
    outer: np.ndarray,
    sums: list[np.ndarray],
    layouts: tuple[AxisLayout, AxisLayout],
) -> np.ndarray:
    """Weights of the composed kernel, (groups, outputs, inputs, height, width)."""
    groups = math.gcd(len(inner), len(outer))
    left, right = regrouped(outer, groups), regrouped(inner, groups)
    kernel = (layouts[0].kernel, layouts[1].kernel)
    shape = (groups, left.shape[1], right.shape[2], *kernel)
    if left.strides[1] == 0:  # all outputs are alike
        left = left[:, :1]
    if right.strides[2] == 0:  # all inputs are alike
        right = right[:, :, :1]
    result = np.zeros((groups, left.shape[1], right.shape[2], *kernel))
    rows, columns = sums
    for (y2, y1), (x2, x1) in itertools.product(np.ndindex(rows.shape), np.ndindex(columns.shape)):
        if _NOTHING in (rows[y2, y1], columns[x2, x1]):
            continue
        y, x = layouts[0].places[int(rows[y2, y1])], layouts[1].places[int(columns[x2, x1])]
        result[..., y, x] += left[..., y2, x2] @ right[..., y1, x1]
    return result if result.shape == shape else np.broadcast_to(result, shape)
