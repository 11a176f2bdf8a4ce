"""Random networks with integer neurons, as trained: residual currents, branches, every operator."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from conftest import _any_operator, _operator_between
from hypothesis import assume
from hypothesis import strategies as st

from lavaseg.encoders import Direct, Encoder, Poisson
from lavaseg.export.lowering import choose_quantisation, lower, rounded, unroll_levels
from lavaseg.export.lowering.compose import NotComposableError
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import (
    Conv,
    Current,
    Dense,
    Input,
    Network,
    Operator,
    Population,
    Projection,
    Shape,
    SumPool,
)
from lavaseg.network.integers import Bias, IntegerNetwork, RoundedNetwork
from lavaseg.network.levels import integer_neurons
from lavaseg.results.activity import Activity

FORMS = ("binary", "graded")


@dataclass(frozen=True)
class Levelled:
    """A network in integers whose populations have levels, and what hardware holds of it."""

    described: RoundedNetwork

    def unrolled(self, form: str) -> IntegerNetwork:
        """The integer network in one form."""
        return unroll_levels(self.described, form)  # type: ignore[arg-type]


@st.composite
def levelled_networks(
    draw: st.DrawFn, *, most_nodes: int = 7, most_levels: int = 8, most_steps: int = 4
) -> Levelled:
    """Strategy of networks that are lowered and rounded, but not unrolled.

    Most populations have 1 to 8 levels, some are binary, remember and may feed back; a sample has 1
    to 4 steps. Branches between the same two nodes merge, as re-parameterised ones do, and pools
    may take means.
    """
    bits = draw(st.sampled_from([0, 0, 1, 4, 8]))
    steps = draw(st.integers(1, most_steps))
    encoder: Encoder = Direct(steps, bits=bits) if bits else Poisson(steps)
    sheet = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    source = Input("input", sheet, bits)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes: dict[str, Shape] = {source.name: source.shape}
    nodes: list[Population | Current] = []
    projections: list[Projection] = []
    weights: dict[str, np.ndarray] = {}
    biases: dict[str, np.ndarray] = {}
    clocks: dict[str, np.ndarray] = {}
    count = draw(st.integers(2, most_nodes))
    for index in range(count):
        name = f"p{index}"
        first = list(shapes)[-1] if draw(st.integers(0, 2)) else draw(st.sampled_from(list(shapes)))
        operators = {first: _any_operator(draw, shapes[first])}
        shape = operators[first].output_shape(shapes[first])
        for other in draw(st.lists(st.sampled_from(list(shapes)), unique=True, max_size=2)):
            if other != first:
                operators[other] = _operator_between(draw, shapes[other], shape)
        shapes[name] = shape
        node = _node(draw, name, index == count - 1, most_levels)
        nodes.append(node)
        for other, operator in operators.items():
            delay: int | tuple[int, ...] = draw(st.sampled_from([0, 0, 0, 0, 1, 2]))
            sends = next((n for n in nodes if n.name == other), None)
            if not isinstance(sends, Current) and draw(st.integers(0, 5)) == 0:
                some = st.sampled_from([0, 1, 3])
                delay = tuple(draw(some) for _ in range(shapes[other][0]))
            beside = [operator]
            if isinstance(operator, Conv) and draw(st.integers(0, 3)) == 0:
                beside.append(_operator_between(draw, shapes[other], shape))
            for number, part in enumerate(beside):
                called = f"{other}_to_{name}{'_beside' * number}"
                projections.append(Projection(other, name, _mean(draw, part), delay, called))
                weights[called] = _weights(rng, part, shapes[other])
        if _may_feed_back(node) and draw(st.integers(0, 2)) == 0:
            loop = _operator_between(draw, shape, shape)
            projections.append(Projection(name, name, loop, draw(st.integers(1, 3))))
            weights[projections[-1].name] = _weights(rng, loop, shape)
        if isinstance(node, Population) and node.bias:
            biases[name] = rng.uniform(-0.6, 1.0, shape[0])
        if isinstance(node, Population) and node.clock:
            clocks[name] = rng.uniform(-0.5, 0.7, (steps, shape[0]))
    network = Network(source, tuple(nodes), tuple(projections), nodes[-1].name)
    weighted = WeightedNetwork(network, weights, biases, clocks=clocks)
    try:
        weighted = lower(weighted)
    except NotComposableError:  # refused on export
        assume(False)
    classes = tuple(f"class{i}" for i in range(shapes[nodes[-1].name][0]))
    return Levelled(rounded(weighted, choose_quantisation(weighted), encoder, classes))


def _node(draw: st.DrawFn, name: str, last: bool, most_levels: int) -> Population | Current:
    if last:
        return Population(name, None, bias=draw(st.booleans()))
    kind = draw(st.sampled_from(["levels", "levels", "levels", "binary", "current"]))
    threshold = draw(st.floats(0.2, 3.0))
    if kind == "levels":
        levels = draw(st.integers(1, most_levels))
        clock = draw(st.integers(0, 5)) == 0
        return Population(name, threshold, bias=draw(st.booleans()), clock=clock, levels=levels)
    if kind == "binary":
        leak = draw(st.sampled_from([0, 128, 4096]))
        return Population(name, threshold, voltage_decay=leak, bias=draw(st.booleans()))
    return Current(name)


def _mean(draw: st.DrawFn, operator: Operator) -> Operator:
    """The operator; a pool may take means."""
    pools = isinstance(operator, SumPool) and draw(st.booleans())
    return dataclasses.replace(operator, average=True) if pools else operator  # type: ignore[call-arg]


def _may_feed_back(node: Population | Current) -> bool:
    fires = isinstance(node, Population) and node.threshold is not None
    return fires and node.levels is None


def _weights(rng: np.random.Generator, operator: object, source: Shape) -> np.ndarray:
    """Weights with which an input that is there half of the time gives currents of about 1."""
    geometry = operator.geometry(source)  # type: ignore[attr-defined]
    shape = geometry.weight_shape
    if shape is None:
        found = rng.uniform(0.2, 1.0, source[0])
        if rng.random() < 0.7:  # counts of spikes, of which a relay may be made
            found[:] = found[0]
    else:
        fan = np.prod(geometry.kernel) * source[0] / geometry.groups
        found = rng.uniform(-1.0, 2.0, shape) / np.sqrt(fan)
    return found


def integers_sent(net: IntegerNetwork, activity: Activity) -> dict[str, np.ndarray]:
    """What each population with levels sent, as its slots did together, int64 (N, T, C, H, W)."""
    found = {}
    for item in integer_neurons(net.network, net.weights):
        slots = [activity.spikes[slot].astype(np.int64) for slot in item.slots]
        for below, above in itertools.pairwise(slots):
            assert (above <= below).all(), f"{item.name}: a higher level without a lower one"
        found[item.name] = sum(slots[1:], slots[0])
        for relay in item.relays:
            delays = {p.delay for p in net.network.incoming(relay)}
            if delays == {0}:
                np.testing.assert_array_equal(activity.spikes[relay], found[item.name])
    return found


def equal_everywhere(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    """Raise unless all values of both are equal."""
    assert one.keys() == other.keys()
    for name, expected in one.items():
        np.testing.assert_array_equal(other[name], expected, name)


def small(levels: int = 3, steps: int = 2, delay: int = 0, **fields: object) -> RoundedNetwork:
    """Input -> a (levels) -> b (levels) -> read-out, with a skip from a to the read-out."""
    rng = np.random.default_rng(0)
    network = Network(
        Input("input", (2, 6, 6), 4),
        (
            Population("a", 40, bias=True, levels=levels, **fields),  # type: ignore[arg-type]
            Population("b", 30, levels=levels),
            Population("out", None),
        ),
        (
            Projection("input", "a", Conv(3, 3, padding=1)),
            Projection("a", "b", Conv(4, 3, padding=1), delay),
            Projection("a", "out", Conv(2, 1)),
            Projection("b", "out", Conv(2, 1)),
        ),
        "out",
    )
    weights = {
        p.name: (2 * rng.integers(-4, 8, network.synapse_shape(p))).astype(np.int16)
        for p in network.projections
    }
    bias = Bias(np.array([5, -7, 40], np.int16))
    return RoundedNetwork(
        network, weights, Direct(steps, bits=4), ("x", "y"), {"a": bias}, {"a": 2.0, "out": 1.0}
    )


def weighted(threshold: float = 1.0, levels: int = 4, bias: float = 0.0) -> WeightedNetwork:
    """Input -> a (levels) -> read-out, with the read-out's weights of 1."""
    network = Network(
        Input("input", (1, 2, 2)),
        (Population("a", threshold, bias=True, levels=levels), Population("out", None)),
        (Projection("input", "a", Conv(1, 1)), Projection("a", "out", Dense(2))),
        "out",
    )
    weights = {p.name: np.ones(network.synapse_shape(p)) for p in network.projections}
    return WeightedNetwork(network, weights, {"a": np.full(1, bias)})
