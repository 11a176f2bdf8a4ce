"""Unroll currents: sums without a neuron become direct projections, or relays of sums."""

from __future__ import annotations

import dataclasses

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.export.lowering.compose import NotComposableError, compose
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import DECAY_UNITY, Current, Population, Projection, Relay


def unroll_currents(weighted: WeightedNetwork) -> WeightedNetwork:
    """Each `Current` is removed, sources first: what flows in is composed with what flows out.

    A residual stream becomes projections from every population that adds to it to every one that
    reads it; pooling or upsampling in front of a convolution merges with it. Where that is not
    exact and the current only counts spikes, such as average pooling in front of a padded
    convolution on a sheet of even size, it becomes a `Relay`. Delays add up, and a current's bias
    moves into its targets. Norms of currents must be folded already.

    Raises:
        LavasegError: two operators have no exact composition, or a bias does not reach all
            neurons of a channel alike; names the current and says what to change.
    """
    for node in weighted.network.ordered:
        if isinstance(node, Current):
            try:
                weighted = _without(weighted, node.name)
            except NotComposableError:
                if not _only_counts(weighted, node.name):
                    raise
                weighted = _relayed(weighted, node.name)
    return weighted


RELAY_GAIN = 2
"""The least even gain: a relay sends twice the number of spikes that it counts."""


def _only_counts(weighted: WeightedNetwork, name: str) -> bool:
    """Whether a current is, up to one factor for each channel, a whole number of spikes."""
    net = weighted.network
    gains = [weighted.weights[p.name] for p in net.incoming(name)]
    return (
        name not in weighted.biases
        and all(net.weight_shape(p) is None for p in net.incoming(name))
        and all(np.array_equal(gain, gains[0]) for gain in gains)
    )


def _relayed(weighted: WeightedNetwork, name: str) -> WeightedNetwork:
    """A current as a relay, its factor moved into what leaves it; one for each delay behind it."""
    net = weighted.network
    factor = weighted.weights[net.incoming(name)[0].name] / RELAY_GAIN
    delays = sorted({p.delay for p in net.outgoing(name)})
    relays = {delay: name if delay == delays[0] else f"{name}_late{delay}" for delay in delays}
    projections = [p for p in net.projections if name not in (p.source, p.target)]
    weights = {p.name: weighted.weights[p.name] for p in projections}
    for delay, relay in relays.items():
        for p in net.incoming(name):
            into = Projection(p.source, relay, p.operator, p.delay + delay)
            projections.append(into)
            weights[into.name] = np.full_like(factor, RELAY_GAIN)
    for p in net.outgoing(name):
        projections.append(dataclasses.replace(p, source=relays[p.delay], delay=0))
        weights[p.name] = p.operator.scale_inputs(
            net.shape(p.source), weighted.weights[p.name], factor
        )
    nodes = [node for node in net.nodes if node.name != name]
    nodes += [Relay(relay) for relay in relays.values()]
    network = dataclasses.replace(net, nodes=tuple(nodes), projections=tuple(projections))
    return weighted.replace(network=network, weights=weights)


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
            _add(kept, *_composed(weighted, into, out))
    biases = {key: value for key, value in weighted.biases.items() if key != name}
    if name in weighted.biases:
        for out in net.outgoing(name):
            biases[out.target] = biases.get(out.target, 0.0) + _passed_bias(weighted, out)
    network = dataclasses.replace(
        net,
        nodes=tuple(
            dataclasses.replace(node, bias=True)
            if node.name in biases and isinstance(node, Current | Population) and not node.bias
            else node
            for node in net.nodes
            if node.name != name
        ),
        projections=tuple(projection for projection, _ in kept.values()),
    )
    weights = {key: weight for key, (_, weight) in kept.items()}
    return weighted.replace(network=network, weights=weights, biases=biases)


def _composed(
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
    """A current's bias as it arrives behind `out`: (channels,), or (T, channels) as it was."""
    net = weighted.network
    bias = np.asarray(weighted.biases[out.source], np.float64)
    sheets = net.geometry(out).constant(weighted.weights[out.name], np.atleast_2d(bias))
    passed = sheets.reshape(*sheets.shape[:2], -1)
    low, high = passed.min(2), passed.max(2)
    target = net[out.target]
    changed = ""
    if (high - low > 1e-9 * np.maximum(1, np.abs(passed).max(2))).any():
        changed = "border"
    elif out.delay and bias.ndim == 1:
        changed = "delay"
    elif isinstance(target, Population) and target.current_decay != DECAY_UNITY:
        changed = "target's current_decay"
    if changed:
        raise LavasegError(
            f"current {out.source!r}: its norm or bias reaches {out.target!r} through "
            f"{out.name!r}, whose {changed} changes it: put the norm on the populations behind "
            "the current, or use no padding there"
        )
    middle = (low + high) / 2
    if bias.ndim == 1:
        return middle[0]
    late = np.zeros_like(middle)
    late[out.delay :] = middle[: max(len(middle) - out.delay, 0)]
    return late
