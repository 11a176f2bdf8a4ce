"""Lowering: each step leaves what every population receives unchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from weighted_nets import assert_unchanged, with_values

from lavaseg.errors import LavasegError
from lavaseg.export.lowering import fold_averages, fold_norms, lower, unroll_currents
from lavaseg.export.lowering.compose import NotComposableError, compose
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.models import build
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Current,
    Dense,
    Input,
    Network,
    Node,
    OneToOne,
    Operator,
    Population,
    Projection,
    Relay,
    Shape,
    SumPool,
    Upsample,
)

# -- two operators -------------------------------------------------------------------------------


def operators(draw: st.DrawFn, shape: Shape) -> Operator:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    groups = draw(st.sampled_from([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
    channels = groups * draw(st.integers(1, 2))
    operator: Operator = draw(
        st.sampled_from(
            [
                Conv(channels, pair(1, 3), pair(1, 2), pair(0, 1), pair(1, 2), groups),
                ConvTranspose(
                    channels, pair(1, 3), pair(1, 3), pair(0, 1), (0, 0), pair(1, 2), groups
                ),
                Dense(draw(st.integers(1, 4))),
                OneToOne(),
                SumPool(pair(1, 3), pair(1, 2), pair(0, 1)),
                Upsample(pair(1, 2)),
                Upsample(2, pair(0, 1)),
            ]
        )
    )
    return operator if min(operator.output_shape(shape)) >= 1 else OneToOne()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_composition_is_one_operator_after_the_other(data: st.DataObject) -> None:
    draw = data.draw
    source = draw(st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    first = st.composite(lambda d: operators(d, source))
    one = draw(first())
    between = one.output_shape(source)
    two = draw(st.composite(lambda d: operators(d, between))())
    a = rng.normal(size=one.weight_shape(source) or source[:1])
    b = rng.normal(size=two.weight_shape(between) or between[:1])
    try:
        operator, weight = compose((one, a), (two, b), source)
    except NotComposableError:
        assert not isinstance(one, OneToOne)
        assert not isinstance(two, (OneToOne, Dense))
        return
    x = torch.from_numpy(rng.normal(size=(2, *source)))
    middle = apply_operator(one, x, torch.from_numpy(a))
    wanted = apply_operator(two, middle, torch.from_numpy(b))
    assert weight.shape == (operator.weight_shape(source) or source[:1])
    found = apply_operator(operator, x, torch.from_numpy(weight))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (SumPool((2, 2), (2, 2)), Conv(3, (3, 3), padding=(1, 1)), Conv(3, (6, 6), (2, 2), (2, 2))),
        (Upsample((2, 2)), Conv(3, (1, 1)), ConvTranspose(3, (2, 2), (2, 2))),
        (
            Upsample((2, 2)),
            Conv(3, (3, 3), padding=(1, 1)),
            ConvTranspose(3, (4, 4), (2, 2), (1, 1)),
        ),
        (OneToOne(), SumPool(), SumPool()),
        (SumPool((2, 2), (2, 2)), Dense(4), Dense(4)),
    ],
)
def test_usual_pairs_compose_without_waste(
    first: Operator, second: Operator, expected: Operator
) -> None:
    source = (2, 8, 6)
    between = first.output_shape(source)
    a = np.ones(first.weight_shape(source) or source[:1])
    b = np.ones(second.weight_shape(between) or between[:1])
    assert compose((first, a), (second, b), source)[0] == expected


def test_padding_between_that_would_see_more_is_refused() -> None:
    """3/2/1 pooling of an even sheet: the padded row behind its last one would be half seen."""
    pool, conv = SumPool((3, 3), (2, 2), (1, 1)), Conv(1, (3, 3), padding=(1, 1))
    weight = np.ones((1, 1, 3, 3))
    with pytest.raises(NotComposableError, match=r"padded with zeros"):
        compose((pool, np.ones(1)), (conv, weight), (1, 8, 8))
    assert compose((pool, np.ones(1)), (conv, weight), (1, 9, 9))[0].kind == "conv"


# -- steps ---------------------------------------------------------------------------------------


def test_averages_become_sums() -> None:
    pool = SumPool((3, 2), (2, 2), (1, 1), average=True)
    net = Network(
        Input("in", (2, 7, 6)), (Population("out", None),), (Projection("in", "out", pool),), "out"
    )
    before = with_values(net)
    after = fold_averages(before)
    assert not after.network.projections[0].operator.average  # type: ignore[union-attr]
    assert_unchanged(before, after)


def residual(norm: str = "batch") -> Network:
    nodes: tuple[Node, ...] = (
        Current("s0", norm="batch", bias=True),
        Population("a"),
        Current("s1", norm="batch"),
        Population("b", norm="batch"),
        Current("s2"),
        Population("c", norm="batch", bias=True),
        Current("big", bias=norm == "batch"),
        Population("out", None),
    )
    projections = (
        Projection("in", "s0", Conv(3, (3, 3), (2, 2), (1, 1))),
        Projection("s0", "a", OneToOne()),
        Projection("a", "s1", Conv(3, (3, 3), padding=(1, 1))),
        Projection("s0", "s1", OneToOne(), delay=1),
        Projection("s1", "b", OneToOne()),
        Projection("s1", "s2", OneToOne()),
        Projection("b", "s2", SumPool((3, 3), (1, 1), (1, 1), average=True)),
        Projection("s2", "c", Conv(4, (1, 1))),
        Projection("c", "big", Upsample((2, 2)), delay=2),
        Projection("big", "out", Conv(2, (1, 1))),
    )
    return Network(Input("in", (2, 8, 6)), nodes, projections, "out")


def test_a_residual_stream_is_unrolled() -> None:
    net = residual().replace_nodes({"s0": {"norm": "none", "bias": False}})
    before = with_values(net)
    after = unroll_currents(fold_norms(fold_averages(before)))
    assert all(isinstance(node, Population) for node in after.network.nodes)
    assert_unchanged(before, after)


def test_a_bias_that_a_delay_or_border_changes_is_named() -> None:
    with pytest.raises(LavasegError, match=r"current 's0'.*'s0_to_s1', whose delay"):
        unroll_currents(fold_norms(fold_averages(with_values(residual()))))
    net = Network(
        Input("in", (1, 4, 4)),
        (Current("s", bias=True), Population("out", None)),
        (
            Projection("in", "s", Conv(2, (1, 1))),
            Projection("s", "out", Conv(2, (3, 3), padding=(1, 1))),
        ),
        "out",
    )
    with pytest.raises(LavasegError, match=r"current 's'.*'s_to_out', whose border"):
        unroll_currents(with_values(net))


def pooled(first: Operator) -> Network:
    """`first` on a sheet of even size, then a padded convolution: no single operator."""
    return Network(
        Input("in", (2, 8, 6)),
        (Current("pool"), Population("a"), Population("out", None)),
        (
            Projection("in", "pool", first, delay=1),
            Projection("pool", "a", Conv(2, (3, 3), padding=(1, 1)), delay=2),
            Projection("pool", "out", Conv(2, (3, 3), padding=(1, 1))),
            Projection("a", "out", OneToOne()),
        ),
        "out",
    )


def test_pooling_that_no_convolution_takes_over_is_relayed() -> None:
    """The papers' average pooling 3/2/1, exact at the borders of sheets of even size."""
    before = with_values(pooled(SumPool((3, 3), (2, 2), (1, 1), average=True)))
    after = unroll_currents(fold_averages(before))
    relays = [node.name for node in after.network.nodes if isinstance(node, Relay)]
    assert relays == ["pool", "pool_late2"]
    for projection in after.network.projections:
        if projection.target in relays:
            np.testing.assert_array_equal(after.weights[projection.name], [2, 2])
    assert_unchanged(before, after)


def test_delays_between_relays_move_in_front_of_the_first() -> None:
    """A relay in front of a relay with a delay on both sides, and of a current that vanishes."""
    pool = SumPool((3, 3), (2, 2), (1, 1), average=True)
    conv = Conv(2, (3, 3), padding=(1, 1))
    net = Network(
        Input("in", (2, 16, 12)),
        (
            Current("a"),
            Current("b"),
            Current("c"),
            Population("q"),
            Population("r"),
            Population("out", None),
        ),
        (
            Projection("in", "a", pool),
            Projection("a", "b", pool, delay=1),
            Projection("a", "c", OneToOne(), delay=1),
            Projection("a", "q", conv),
            Projection("c", "q", conv, delay=1),
            Projection("b", "r", conv, delay=2),
            Projection("q", "r", Conv(2, (3, 3), (2, 2), (1, 1))),
            Projection("r", "out", OneToOne()),
        ),
        "out",
    )
    before = with_values(net)
    after = unroll_currents(fold_averages(before))
    relays = {node.name for node in after.network.nodes if isinstance(node, Relay)}
    assert relays == {"a", "a_late2", "a_late3", "b"}
    assert not any(p.delay for name in relays for p in after.network.outgoing(name))
    assert_unchanged(before, after)


def test_pooling_is_taken_over_where_sizes_are_odd() -> None:
    net = Network(
        Input("in", (2, 9, 7)),
        (Current("pool"), Population("out", None)),
        (
            Projection("in", "pool", SumPool((3, 3), (2, 2), (1, 1), average=True)),
            Projection("pool", "out", Conv(2, (3, 3), padding=(1, 1))),
        ),
        "out",
    )
    before = with_values(net)
    after = unroll_currents(fold_averages(before))
    (projection,) = after.network.projections
    assert projection.operator == Conv(2, (7, 7), (2, 2), (3, 3))
    assert_unchanged(before, after)


def test_projections_that_cannot_be_joined_are_named() -> None:
    """A weighted sum is no count: neither a single operator nor a relay."""
    net = pooled(Conv(2, (3, 3), (2, 2), (1, 1)))
    with pytest.raises(NotComposableError, match=r"current 'pool'.*'in_to_pool'.*'pool_to_a'"):
        unroll_currents(with_values(net))


def test_upsampling_what_was_pooled_is_relayed() -> None:
    net = Network(
        Input("in", (2, 8, 6)),
        (Current("small"), Population("out", None)),
        (
            Projection("in", "small", SumPool((2, 2), (2, 2))),
            Projection("small", "out", Upsample((2, 2))),
        ),
        "out",
    )
    before = with_values(net)
    after = unroll_currents(before)
    assert [type(node) for node in after.network.nodes] == [Population, Relay]
    assert_unchanged(before, after)


def test_equal_paths_are_added_up() -> None:
    net = Network(
        Input("in", (2, 3, 3)),
        (Current("s"), Current("t"), Population("out", None)),
        (
            Projection("in", "s", OneToOne()),
            Projection("in", "t", OneToOne()),
            Projection("s", "t", OneToOne()),
            Projection("t", "out", OneToOne()),
        ),
        "out",
    )
    before = with_values(net)
    after = unroll_currents(before)
    (projection,) = after.network.projections
    np.testing.assert_array_equal(after.weights[projection.name], [2, 2])
    assert_unchanged(before, after)


@pytest.mark.parametrize("model", ["spiking_unet", "spiking_resnet"])
def test_models_with_branches_are_lowered_unchanged(model: str) -> None:
    before = with_values(build(model, Input("in", (3, 8, 12)), 2))
    after = lower(before)
    assert all(isinstance(node, Population) for node in after.network.nodes)
    assert not after.norms
    assert_unchanged(before, after)
