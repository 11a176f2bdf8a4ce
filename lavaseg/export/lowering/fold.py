"""Fold averages, norms and the input's scale into weights and biases, exactly."""

from __future__ import annotations

import dataclasses
import math

from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import SumPool


def fold_norms(weighted: WeightedNetwork) -> WeightedNetwork:
    """Norms become per-channel factors of the incoming weights, and biases.

    In eval mode a norm is y = scale * x + shift; the shift is added to v at every step, as a
    bias is. A shift that differs from step to step gives a bias (T, channels).
    """
    net = weighted.network
    weights, biases, clocks = dict(weighted.weights), dict(weighted.biases), dict(weighted.clocks)
    for name, norm in weighted.norms.items():
        for projection in net.incoming(name):
            weights[projection.name] = projection.operator.scale_outputs(
                net.shape(projection.source), weights[projection.name], norm.scale
            )
        if name in clocks:
            clocks[name] = clocks[name] * norm.scale
        biases[name] = biases.get(name, 0.0) + norm.shift
    plain = {"norm": "none", "norm_scale": None, "bias": True}
    folded = net.replace_nodes(dict.fromkeys(weighted.norms, plain))
    return weighted.replace(network=folded, weights=weights, biases=biases, norms={}, clocks=clocks)


def fold_averages(weighted: WeightedNetwork) -> WeightedNetwork:
    """Average pooling becomes sum pooling, its division a part of the gain."""
    net = weighted.network
    weights, projections = dict(weighted.weights), []
    for projection in net.projections:
        operator = projection.operator
        if isinstance(operator, SumPool) and operator.average:
            weights[projection.name] = weights[projection.name] / math.prod(operator.kernel)
            projection = dataclasses.replace(
                projection, operator=dataclasses.replace(operator, average=False)
            )
        projections.append(projection)
    if tuple(projections) == net.projections:
        return weighted
    network = dataclasses.replace(net, projections=tuple(projections))
    return weighted.replace(network=network, weights=weights)


def fold_input_scale(weighted: WeightedNetwork) -> WeightedNetwork:
    """Graded messages enter as integers: their scale moves into the first weights."""
    net = weighted.network
    weights = dict(weighted.weights)
    for projection in net.outgoing(net.input.name):
        weights[projection.name] = weights[projection.name] * weighted.input_scale
    return weighted.replace(weights=weights, input_scale=1.0)
