"""Unroll currents: sums without a neuron become direct projections between populations."""

from __future__ import annotations

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.export.lowering.compose import NotComposableError, compose
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import Current, Network, Projection
from lavaseg.operators_torch import apply_operator


def unroll_currents(weighted: WeightedNetwork) -> WeightedNetwork:
    """Each `Current` is removed, sources first: what flows in is composed with what flows out.

    A residual stream becomes projections from every population that adds to it to every one that
    reads it; pooling or upsampling in front of a convolution merges with it. Delays add up, and a
    current's bias moves into its targets. Norms of currents must be folded already.

    Raises:
        LavasegError: two operators have no exact composition, or a bias does not reach all
            neurons of a channel alike; names the current and says what to change.
    """
    for node in weighted.network.ordered:
        if isinstance(node, Current):
            weighted = _without(weighted, node.name)
    return weighted


def _without(weighted: WeightedNetwork, name: str) -> WeightedNetwork:
    net = weighted.network
    if name in weighted.norms:
        raise LavasegError(f"current {name!r}: fold its norm before it is unrolled")
    kept = {
        p.name: (p, weighted.weights[p.name])
        for p in net.projections
        if name not in (p.source, p.target)
    }
    for into in net.incoming(name):
        for out in net.outgoing(name):
            _add(kept, *_joined(weighted, into, out))
    biases = {key: value for key, value in weighted.biases.items() if key != name}
    if name in weighted.biases:
        for out in net.outgoing(name):
            biases[out.target] = biases.get(out.target, 0.0) + _passed_bias(weighted, out)
    network = Network(
        net.input,
        tuple(node for node in net.nodes if node.name != name),
        tuple(projection for projection, _ in kept.values()),
        net.readout,
    ).replace_nodes({key: {"bias": True} for key in biases})
    weights = {key: weight for key, (_, weight) in kept.items()}
    return weighted.replace(network=network, weights=weights, biases=biases)


def _joined(
    weighted: WeightedNetwork, into: Projection, out: Projection
) -> tuple[Projection, np.ndarray]:
    """The projection that does `into`, then `out`."""
    try:
        operator, weight = compose(
            (into.operator, weighted.weights[into.name]),
            (out.operator, weighted.weights[out.name]),
            weighted.network.shape(into.source),
        )
    except NotComposableError as error:
        raise NotComposableError(
            f"current {into.target!r}: projections {into.name!r} ({into.operator.kind}) and "
            f"{out.name!r} ({out.operator.kind}) cannot become one: {error}; let the sizes divide, "
            "leave out padding behind the current, or make it a population"
        ) from None
    return Projection(into.source, out.target, operator, into.delay + out.delay), weight


def _add(
    kept: dict[str, tuple[Projection, np.ndarray]], projection: Projection, weight: np.ndarray
) -> None:
    """Add a projection, to one of the same kind between the same nodes if there is one."""
    for name, (other, values) in kept.items():
        same = (other.source, other.target, other.operator, other.delay)
        if same == (
            projection.source,
            projection.target,
            projection.operator,
            projection.delay,
        ):
            kept[name] = other, values + weight
            return
    base, name, index = projection.name, projection.name, 1
    while name in kept:
        index += 1
        name = f"{base}_{index}"
    renamed = Projection(
        projection.source, projection.target, projection.operator, projection.delay, name
    )
    kept[name] = renamed, weight


def _passed_bias(weighted: WeightedNetwork, out: Projection) -> np.ndarray:
    """What a current's bias becomes behind `out`, for each channel."""
    shape = weighted.network.shape(out.source)
    bias = np.asarray(weighted.biases[out.source], np.float64)
    sheet = torch.from_numpy(bias.reshape(1, -1, 1, 1)).expand(1, *shape)
    weight = torch.from_numpy(np.asarray(weighted.weights[out.name], np.float64))
    passed = apply_operator(out.operator, sheet, weight)[0].flatten(1).numpy()
    low, high = passed.min(1), passed.max(1)
    if out.delay or (high - low > 1e-9 * np.maximum(1, np.abs(passed).max(1))).any():
        raise LavasegError(
            f"current {out.source!r}: its norm or bias reaches {out.target!r} through "
            f"{out.name!r}, whose {'delay' if out.delay else 'border'} changes it: put the norm "
            "on the populations behind the current, or use no padding there"
        )
    return (low + high) / 2
