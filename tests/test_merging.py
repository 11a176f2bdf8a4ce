"""Re-parameterised branches: what trains side by side is one convolution on hardware."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from weighted_nets import assert_unchanged, with_values

from lavaseg.export.lowering import fold_averages, fold_norms, lower, merge_parallel
from lavaseg.export.lowering.counted import unrolled
from lavaseg.export.lowering.merge import summed
from lavaseg.export.lowering.unroll import unroll_currents
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.models import build
from lavaseg.models.blocks import Sketch, conv1x1, conv3x3, rep_conv
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    OneToOne,
    Operator,
    Population,
    Projection,
    Shape,
    SumPool,
    Upsample,
)


def pairs(draw: st.DrawFn, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def divisors(*numbers: int) -> list[int]:
    return [n for n in range(1, min(numbers) + 1) if not any(number % n for number in numbers)]


@st.composite
def beside(draw: st.DrawFn) -> tuple[Shape, Operator, Operator]:
    """Two operators of any kind from one sheet to sheets of one shape."""
    source = (draw(st.integers(1, 4)), *pairs(draw, 2, 9))
    channels, stride = draw(st.sampled_from([source[0], 2, 4])), pairs(draw, 1, 3)
    enlarges = draw(st.booleans())

    def one() -> Operator:
        groups = draw(st.sampled_from(divisors(source[0], channels)))
        kernel, padding, dilation = pairs(draw, 1, 4), pairs(draw, 0, 3), pairs(draw, 1, 3)
        plain = source[0] == channels and draw(st.booleans())
        if enlarges:
            if plain:
                return Upsample(stride)
            return ConvTranspose(
                channels, kernel, stride, padding, dilation=dilation, groups=groups
            )
        if plain:
            return OneToOne() if stride == (1, 1) else SumPool(kernel, stride, padding)
        return Conv(channels, kernel, stride, padding, dilation, groups)

    return source, one(), one()


@settings(max_examples=10 * EXAMPLES, deadline=None)
@given(beside(), st.integers(0, 99))
def test_together_is_the_sum_of_two_operators(
    drawn: tuple[Shape, Operator, Operator], seed: int
) -> None:
    source, *operators = drawn
    shapes = [operator.output_shape(source) for operator in operators]
    if shapes[0] != shapes[1] or min(shapes[0]) < 1:
        return
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=op.weight_shape(source) or source[:1]) for op in operators]
    found = summed((operators[0], weights[0]), (operators[1], weights[1]), source)
    if found is None:
        assert operators[0] != operators[1]
        return
    operator, weight = found
    assert weight.shape == (operator.weight_shape(source) or source[:1])
    assert weight.size <= sum(each.size for each in weights)
    x = torch.from_numpy(rng.normal(size=(2, *source)))
    wanted, *others = (
        apply_operator(op, x, torch.from_numpy(np.asarray(values)))
        for op, values in [found, *zip(operators, weights, strict=True)]
    )
    torch.testing.assert_close(wanted, sum(others), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        (conv3x3(4), conv1x1(4), conv3x3(4)),
        (conv1x1(4), conv3x3(4), conv3x3(4)),
        (conv3x3(4), OneToOne(), conv3x3(4)),
        (conv3x3(4, groups=4), OneToOne(), conv3x3(4, groups=4)),
        (conv3x3(4, dilation=2), conv1x1(4), conv3x3(4, dilation=2)),
        (conv3x3(4, 2), conv1x1(4, 2), conv3x3(4, 2)),
        (Conv(4, (1, 3), padding=(0, 1)), Conv(4, (1, 1)), Conv(4, (1, 3), padding=(0, 1))),
        (conv3x3(4, groups=4), conv1x1(4), None),  # a dense 3x3 has twice their weights
        (conv3x3(4), conv3x3(4, dilation=2), None),  # 25 places for 17 taps
        (conv3x3(4, 2), conv3x3(4), None),
        (OneToOne(), SumPool((3, 3), (1, 1), (1, 1)), None),
        (Dense(4), Conv(4, (6, 6)), None),
    ],
)
def test_operators_merge_where_that_has_no_more_weights(
    first: Operator, second: Operator, merged: Operator | None
) -> None:
    source = (4, 6, 6)
    values = [np.ones(op.weight_shape(source) or source[:1]) for op in (first, second)]
    found = summed((first, values[0]), (second, values[1]), source)
    assert (found[0] if found else None) == merged


@st.composite
def branched_networks(draw: st.DrawFn) -> Network:
    """Layers that train as branches, of any stride, dilation and width, grouped or chained."""
    width = draw(st.sampled_from([2, 4]))
    sketch = Sketch(Input("input", (draw(st.sampled_from([width, 3])), *pairs(draw, 3, 9))))
    source = "input"
    for index in range(draw(st.integers(1, 3))):
        groups = draw(st.sampled_from(divisors(sketch.shapes[source][0], width)))
        conv = conv3x3(width, draw(st.integers(1, 2)), draw(st.integers(1, 3)), groups)
        source = rep_conv(sketch, f"p{index}", source, conv, chain=draw(st.booleans()))
    sketch.readout("readout", (source, conv1x1(2)))
    return sketch.network("readout")


@settings(max_examples=EXAMPLES, deadline=None)
@given(branched_networks(), st.integers(0, 99))
def test_branches_with_norms_become_one_convolution_exactly(network: Network, seed: int) -> None:
    before = with_values(network, seed)
    after = lower(before)
    wide = [p.operator for p in network.projections if p.target.endswith("_wide")]
    if all(conv.groups == 1 for conv in wide):  # type: ignore[attr-defined]
        layers = [p for p in after.network.projections if p.target != "readout"]
        assert len({p.target for p in layers}) == len(layers)
        assert {p.operator.kernel for p in layers} == {(3, 3)}  # type: ignore[attr-defined]
    assert all(isinstance(node, Population) for node in after.network.nodes)
    assert_unchanged(before, after)


def test_projections_with_other_ends_delays_or_channels_are_not_merged() -> None:
    p, q = Population("p"), Population("q", None)
    conv = Conv(2, (1, 1))
    net = Network(
        Input("in", (2, 5, 5)),
        (p, q),
        (
            Projection("in", "p", conv, name="a"),
            Projection("in", "p", conv3x3(2), 1, name="b"),
            Projection("in", "p", conv3x3(2), (1, 0), name="c"),
            Projection("in", "q", conv, name="d"),
            Projection("p", "q", conv, name="e"),
        ),
        "q",
    )
    weighted = with_values(net)
    assert merge_parallel(weighted) is weighted


def test_equal_operators_between_the_same_nodes_are_added_up() -> None:
    conv = Conv(2, (1, 1))
    net = Network(
        Input("in", (2, 5, 5)),
        (Population("q", None),),
        (Projection("in", "q", conv, name="a"), Projection("in", "q", conv, name="b")),
        "q",
    )
    before = with_values(net)
    after = merge_parallel(before)
    assert [p.name for p in after.network.projections] == ["a"]
    assert_unchanged(before, after)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("spiking_deeplab", {"width": 2, "channels": None}),
        ("spike_brgnet", {"width": 2, "blocks": (1, 1), "output_stride": 2}),
    ],
)
def test_branches_cost_nothing_once_exported(model: str, options: dict[str, Any]) -> None:
    """Projections, weights and operations are those of the network that trained without them."""
    sheet = Input("input", (3, 24, 32))
    plain, branched = (
        unrolled(build(model, sheet, 3, **options, branches=branches)) for branches in (False, True)
    )
    assert [(p.source, p.target, p.operator) for p in sorted_by_ends(branched)] == [
        (p.source, p.target, p.operator) for p in sorted_by_ends(plain)
    ]


def sorted_by_ends(network: Network) -> list[Projection]:
    return sorted(network.projections, key=lambda p: (p.source, p.target, repr(p.operator)))


def test_the_sum_of_branches_starts_with_the_spread_of_one_norm() -> None:
    sketch = Sketch(Input("input", (4, 6, 6)), threshold=0.5)
    first = rep_conv(sketch, "first", "input", conv3x3(4))
    rep_conv(sketch, "second", first, conv3x3(8, 2))
    for name, branches in (("first", 3), ("second", 2)):
        scales = [
            node.norm_scale
            for node in sketch.nodes
            if node.name.startswith(f"{name}_") and node.norm == "batch"
        ]
        assert len(scales) == branches
        assert math.sqrt(sum((scale or 0) ** 2 for scale in scales)) == pytest.approx(0.5)


def test_a_merged_network_is_folded_and_unrolled_first() -> None:
    """The step alone finds nothing to merge between currents, whose norms differ."""
    sketch = Sketch(Input("input", (4, 6, 6)))
    rep_conv(sketch, "p", "input", conv3x3(4))
    sketch.readout("readout", ("p", conv1x1(2)))
    weighted = with_values(sketch.network("readout"))
    assert merge_parallel(weighted) is weighted
    ready = unroll_currents(fold_norms(fold_averages(weighted)))
    assert len(ready.network.incoming("p")) == 3
    assert len(merge_parallel(ready).network.incoming("p")) == 1
