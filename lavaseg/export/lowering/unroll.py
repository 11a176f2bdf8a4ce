"""Unroll currents: sums without a neuron become direct projections, or relays of sums."""

from __future__ import annotations

import dataclasses

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.export.lowering.compose import NotComposableError, compose
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import DECAY_UNITY, Current, Population, Projection, Relay
from lavaseg.network.geometry import elementwise


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
    currents = [node.name for node in weighted.network.ordered if isinstance(node, Current)]
    if not currents:
        return weighted
    rest = _Unrolling(weighted)
    for name in currents:
        try:
            rest.remove(name)
        except NotComposableError:
            if not rest.only_counts(name):
                raise
            rest.relay(name)
    return rest.finished()


RELAY_GAIN = 2
"""The least even gain: a relay sends twice the number of spikes that it counts."""


class _Unrolling:
    """A network while its currents are removed, one after the other.

    It becomes a `Network` only at the end: checking a whole graph takes longer than a removal.
    """

    def __init__(self, weighted: WeightedNetwork) -> None:
        self.weighted = weighted
        self.nodes = list(weighted.network.nodes)
        self.projections = list(weighted.network.projections)
        self.weights, self.biases = dict(weighted.weights), dict(weighted.biases)
        self.shapes = dict(weighted.network.shapes)
        self.relays: list[str] = []

    def finished(self) -> WeightedNetwork:
        """The network without currents."""
        for name in reversed(self.relays):  # what leaves a relay late is late in front of it
            self._delay_in_front(name)
        nodes = tuple(
            dataclasses.replace(node, bias=True)
            if isinstance(node, Population) and node.name in self.biases and not node.bias
            else node
            for node in self.nodes
        )
        network = dataclasses.replace(
            self.weighted.network, nodes=nodes, projections=tuple(self.projections)
        )
        return self.weighted.replace(network=network, weights=self.weights, biases=self.biases)

    def incoming(self, name: str) -> list[Projection]:
        return [p for p in self.projections if p.target == name]

    def outgoing(self, name: str) -> list[Projection]:
        return [p for p in self.projections if p.source == name]

    def only_counts(self, name: str) -> bool:
        """Whether a current is, up to one factor for each channel, a whole number of spikes."""
        incoming = self.incoming(name)
        gains = [self.weights[p.name] for p in incoming]
        return (
            name not in self.biases
            and all(p.operator.weight_shape(self.shapes[p.source]) is None for p in incoming)
            and all(np.array_equal(gain, gains[0]) for gain in gains)
        )

    def relay(self, name: str) -> None:
        """A current becomes a relay; its factor moves behind it."""
        incoming, outgoing = self.incoming(name), self.outgoing(name)
        factor = self.weights[incoming[0].name] / RELAY_GAIN
        projections = [p for p in self.projections if p.target != name]
        weights = dict(self.weights)
        for p in incoming:
            projections.append(p)
            weights[p.name] = np.full_like(factor, RELAY_GAIN)
        for p in outgoing:
            weights[p.name] = p.operator.scale_inputs(
                self.shapes[p.source], self.weights[p.name], factor
            )
        self.nodes = [node for node in self.nodes if node.name != name]
        self.nodes.append(Relay(name))
        self.relays.append(name)
        self.projections, self.weights = projections, weights

    def _delay_in_front(self, name: str) -> None:
        """Relays for each delay behind a relay, whose spikes are as late in front of it."""
        delays = sorted({p.longest for p in self.outgoing(name)})
        if delays in ([], [0]):
            return
        relays = {delay: name if delay == delays[0] else f"{name}_late{delay}" for delay in delays}
        incoming = self.incoming(name)
        weights = {p.name: self.weights[p.name] for p in self.projections if p.target != name}
        moved = [
            dataclasses.replace(p, source=relays[p.longest], delay=0) if p.source == name else p
            for p in self.projections
            if p.target != name
        ]
        for delay, relay in relays.items():
            self.shapes[relay] = self.shapes[name]
            for p in incoming:
                into = p.name if relay == name else f"{p.name}_late{delay}"
                delayed = dataclasses.replace(p, target=relay, delay=p.later(delay), name=into)
                moved.append(delayed)
                weights[into] = self.weights[p.name]
        self.nodes += [Relay(relay) for relay in relays.values() if relay != name]
        self.projections, self.weights = moved, weights

    def remove(self, name: str) -> None:
        """Compose a current's inputs with its outputs, and remove it; on failure nothing changes.

        Raises:
            NotComposableError: two operators have no exact composition.
            LavasegError: its bias does not reach all neurons of a channel alike.
        """
        if name in self.weighted.norms:
            raise LavasegError(f"current {name!r}: fold its norm before it is unrolled")
        incoming, outgoing = self.incoming(name), self.outgoing(name)
        kept = {
            p.name: (p, self.weights[p.name])
            for p in self.projections
            if name not in (p.source, p.target)
        }
        for into in incoming:
            for out in outgoing:
                _add(kept, *self._joined(into, out))
        biases = {key: value for key, value in self.biases.items() if key != name}
        if name in self.biases:
            for out in outgoing:
                biases[out.target] = biases.get(out.target, 0.0) + self._passed_bias(out)
        self.nodes = [node for node in self.nodes if node.name != name]
        self.projections = [projection for projection, _ in kept.values()]
        self.weights = {key: weight for key, (_, weight) in kept.items()}
        self.biases = biases

    def _joined(self, into: Projection, out: Projection) -> tuple[Projection, np.ndarray]:
        """The projection that does `into`, then `out`."""
        try:
            operator, weight = compose(
                (into.operator, self.weights[into.name]),
                (out.operator, self.weights[out.name]),
                self.shapes[into.source],
            )
        except NotComposableError as error:
            raise NotComposableError(
                f"current {into.target!r}: projections {into.name!r} ({into.operator.kind}) and "
                f"{out.name!r} ({out.operator.kind}) cannot become one: {error}; let the sizes "
                "divide, leave out padding behind the current, or make it a population"
            ) from None
        return Projection(into.source, out.target, operator, into.later(out.longest)), weight

    def _passed_bias(self, out: Projection) -> np.ndarray:
        """A current's bias as it arrives behind `out`: (channels,), or (T, channels) as it was."""
        bias = np.asarray(self.biases[out.source], np.float64)
        sheets = out.operator.geometry(self.shapes[out.source]).constant(
            self.weights[out.name], np.atleast_2d(bias)
        )
        passed = sheets.reshape(*sheets.shape[:2], -1)
        low, high = passed.min(2), passed.max(2)
        target = next(node for node in self.nodes if node.name == out.target)
        changed = ""
        if (high - low > 1e-9 * np.maximum(1, np.abs(passed).max(2))).any():
            changed = "border"
        elif out.longest and bias.ndim == 1:
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
        late[out.longest :] = middle[: max(len(middle) - out.longest, 0)]
        return late


def _add(
    kept: dict[str, tuple[Projection, np.ndarray]], projection: Projection, weight: np.ndarray
) -> None:
    """Add a projection, to one of the same kind between the same nodes if there is one."""
    ends = (projection.source, projection.target, projection.delay)
    for name, (other, values) in kept.items():
        if (
            (other.source, other.target, other.delay) == ends  # quicker to compare
            and other.operator == projection.operator
        ):
            kept[name] = other, elementwise(np.add, values, weight)
            return
    base, name, index = projection.name, projection.name, 1
    while name in kept:
        index += 1
        name = f"{base}_{index}"
    renamed = Projection(
        projection.source, projection.target, projection.operator, projection.delay, name
    )
    kept[name] = renamed, weight
