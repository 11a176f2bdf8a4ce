"""Merge parallel projections: linear maps side by side between the same two nodes are one map."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection

import numpy as np

from lavaseg.export.lowering.compose import Weighted, regrouped
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import Axis, Dense, Geometry, Projection, Shape
from lavaseg.network.delays import Delay
from lavaseg.network.geometry import elementwise
from lavaseg.network.grids import (
    AxisLayout,
    conv_axis,
    fitted_conv,
    fitted_transpose,
    transposed_axis,
)


def merge_parallel(weighted: WeightedNetwork) -> WeightedNetwork:
    """Projections with equal ends and delays become one where that has no more weights than they.

    The branches of a re-parameterised convolution, 3x3 and 1x1 and identity, become one 3x3 (Ding
    et al. 2021, RepVGG, Figure 4); so do all others whose strides are equal: the kernel of the sum
    has the taps of both. A depthwise 3x3 beside a dense 1x1 stays, since together they would be a
    dense 3x3. Norms must be folded, and currents unrolled, already.
    """
    net = weighted.network
    bound = {p.shares for p in net.projections}
    weights: dict[str, np.ndarray] = {}
    kept: dict[tuple[str, str, Delay], list[Projection]] = {}
    for projection in net.projections:
        source = net.shape(projection.source)
        ends = (projection.source, projection.target, projection.delay)
        beside = kept.setdefault(ends, [])
        new = projection.operator, weighted.weights[projection.name]
        for index, other in enumerate(beside):
            if not all(_plain(p, bound) for p in (projection, other)):
                continue
            merged = summed((other.operator, weights[other.name]), new, source)
            if merged is not None:
                beside[index] = dataclasses.replace(other, operator=merged[0])
                weights[other.name] = merged[1]
                break
        else:
            beside.append(projection)
            weights[projection.name] = new[1]
    found = {p.name: p for projections in kept.values() for p in projections}
    if len(found) == len(net.projections):
        return weighted
    projections = tuple(found[p.name] for p in net.projections if p.name in found)
    network = dataclasses.replace(net, projections=projections)
    return weighted.replace(network=network, weights=weights)


def _plain(projection: Projection, bound: Collection[str | None]) -> bool:
    """Whether a projection has weights of its own alone."""
    return projection.shares is None and projection.name not in bound


def summed(first: Weighted, second: Weighted, source: Shape) -> Weighted | None:
    """The operator that gives the sum of two, float64; None where it would have more weights.

    Args:
        source: shape of the sheet that both read.
    """
    if first[0] == second[0]:
        return first[0], elementwise(np.add, first[1], second[1])
    operators = first[0], second[0]
    if any(operator.trains_only or isinstance(operator, Dense) for operator in operators):
        return None
    geometries = [operator.geometry(source) for operator in operators]
    layouts = _axes(*geometries)
    if layouts is None:
        return None
    rows, columns = layouts
    groups = math.gcd(*(geometry.groups for geometry in geometries))
    channels, one = geometries[0].channels, geometries[0]
    count = channels * (source[0] // groups) * rows.kernel * columns.kernel
    if count > sum(values.size for values in (first[1], second[1])):
        return None
    fitted = fitted_transpose if max(one.enlarges) > 1 else fitted_conv
    operator = fitted(channels, groups, rows, columns)
    forms = [
        (geometry, regrouped(geometry.expand(values), groups))
        for geometry, (_, values) in zip(geometries, (first, second), strict=True)
    ]
    return operator, operator.geometry(source).collapse(_sum(forms, rows, columns))


def _axes(first: Geometry, second: Geometry) -> tuple[AxisLayout, AxisLayout] | None:
    """Rows and columns of a kernel with the taps of both; None where their strides differ."""
    pairs = (first.rows, second.rows), (first.columns, second.columns)
    if any((one.down, one.up) != (two.down, two.up) for one, two in pairs):
        return None
    enlarges = max(first.enlarges) > 1
    if enlarges and max(first.rows.down, first.columns.down) > 1:
        return None
    rows, columns = (_axis(one, two, enlarges=enlarges) for one, two in pairs)
    return rows, columns


def _axis(one: Axis, two: Axis, *, enlarges: bool) -> AxisLayout:
    layout = transposed_axis if enlarges else conv_axis
    taps = sorted({*one.taps, *two.taps})
    return layout(taps, max(one.down, one.up), one.size, one.wanted)


def _sum(
    forms: list[tuple[Geometry, np.ndarray]], rows: AxisLayout, columns: AxisLayout
) -> np.ndarray:
    """Weights of the merged kernel, (groups, outputs, inputs, height, width).

    Axes along which all weights of both are one number repeated (stride 0) stay so, as in a trial.
    """
    kernel = rows.kernel, columns.kernel
    shape = (*forms[0][1].shape[:3], *kernel)
    alike = [all(form.strides[axis] == 0 for _, form in forms) for axis in range(3)]
    small = [1 if same else extent for same, extent in zip(alike, shape[:3], strict=True)]
    result = np.zeros((*small, *kernel))
    for geometry, form in forms:
        part = form[tuple(slice(extent) for extent in small)]
        y = [rows.places[int(tap)] for tap in geometry.rows.taps]
        x = [columns.places[int(tap)] for tap in geometry.columns.taps]
        result[..., np.ix_(y, x)[0], np.ix_(y, x)[1]] += part
    return result if result.shape == shape else np.broadcast_to(result, shape)
