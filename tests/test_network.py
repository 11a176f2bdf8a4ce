"""The description: derived shapes, order, latency; and errors that name what is wrong."""

from __future__ import annotations

import json
import math
import os

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from lavaseg.network import (
    Conv,
    ConvTranspose,
    Current,
    Dense,
    Input,
    Network,
    NetworkError,
    OneToOne,
    Operator,
    Population,
    Projection,
    SumPool,
    Upsample,
)

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "100"))

extents = st.integers(1, 12)
shapes = st.tuples(st.sampled_from([1, 2, 4, 6]), extents, extents)
kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
small = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 3), st.integers(0, 3))
groups = st.sampled_from([1, 2])


def crops(factor: tuple[int, int]) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(*(st.integers(0, f - 1) for f in factor))


operators: st.SearchStrategy[Operator] = st.one_of(
    st.builds(Conv, st.sampled_from([2, 4]), kernels, small, paddings, small, groups),
    st.builds(ConvTranspose, st.sampled_from([2, 4]), kernels, small, paddings, groups=groups),
    st.builds(Dense, st.integers(1, 9)),
    st.builds(SumPool, kernels, small),
    small.flatmap(lambda f: st.builds(Upsample, st.just(f), crops(f))),
    st.just(OneToOne()),
)


def _torch_output(operator: Operator, x: torch.Tensor) -> torch.Tensor:
    """The same operator by torch, with weights of the shape that the description gives."""
    shape = operator.weight_shape(tuple(x.shape[1:]))
    weight = None if shape is None else torch.ones(shape)
    if isinstance(operator, Conv):
        return functional.conv2d(
            x, weight, None, operator.stride, operator.padding, operator.dilation, operator.groups
        )
    if isinstance(operator, ConvTranspose):
        return functional.conv_transpose2d(
            x,
            weight,
            None,
            operator.stride,
            operator.padding,
            operator.output_padding,
            operator.groups,
            operator.dilation,
        )
    if isinstance(operator, Dense):
        return functional.conv2d(x, weight)
    if isinstance(operator, SumPool):
        return functional.avg_pool2d(x, operator.kernel, operator.stride, operator.padding)
    if isinstance(operator, Upsample):
        larger = nn.Upsample(scale_factor=operator.factor)(x)
        down, right = operator.crop
        return larger[..., : larger.shape[-2] - down, : larger.shape[-1] - right]
    return x


@settings(max_examples=EXAMPLES, deadline=None)
@given(operators, shapes)
def test_derived_shape_is_that_of_the_torch_operator(
    operator: Operator, source: tuple[int, int, int]
) -> None:
    assume(source[0] % getattr(operator, "groups", 1) == 0)
    projection = Projection("input", "p", operator)
    try:
        network = Network(Input("input", source), (Population("p"),), (projection,), "p")
    except NetworkError:  # then torch refuses, too, or gives a sheet without neurons
        try:
            empty = _torch_output(operator, torch.ones(1, *source))
        except RuntimeError:
            return
        assert empty.numel() == 0
        return
    out = _torch_output(operator, torch.ones(1, *source))
    assert network.shape("p") == tuple(out.shape[1:])
    assert network.neurons("p") == out.numel()


@settings(max_examples=EXAMPLES, deadline=None)
@given(operators, shapes)
def test_description_survives_the_way_to_json_and_back(
    operator: Operator, source: tuple[int, int, int]
) -> None:
    nodes = (
        Population("a", 0.5, 1024, 128, "soft", "batch", bias=True),
        Current("c", "batch", bias=True),
        Population("b", 0.5, norm="batch", levels=4),
        Population("out", None),
    )
    projections = (
        Projection("input", "a", operator, delay=3),
        Projection("a", "c", Conv(2, (1, 1)), name="mix"),
        Projection("c", "b", OneToOne()),
        Projection("b", "out", OneToOne()),
    )
    try:
        network = Network(Input("input", source, 4), nodes, projections, "out")
    except NetworkError:
        assume(False)
        raise
    again = Network.from_dict(json.loads(json.dumps(network.to_dict())))
    assert again == network
    assert again.shapes == network.shapes


@pytest.mark.parametrize(
    ("operator", "layer"),
    [
        (
            Conv(8, (3, 5), (2, 1), (1, 2), (1, 2), 2),
            nn.Conv2d(4, 8, (3, 5), (2, 1), (1, 2), (1, 2), 2),
        ),
        (
            ConvTranspose(6, (4, 2), (2, 3), (1, 0), groups=2),
            nn.ConvTranspose2d(4, 6, (4, 2), (2, 3), (1, 0), groups=2),
        ),
    ],
    ids=["conv", "conv_transpose"],
)
def test_weight_shape_is_that_of_the_torch_layer(operator: Operator, layer: nn.Module) -> None:
    assert operator.weight_shape((4, 9, 7)) == tuple(layer.weight.shape)


def _branching() -> Network:
    """in -> a -> b -> out, and a -> out: a skip, delayed by one step."""
    return Network(
        Input("in", (2, 8, 8)),
        (Population("out", None), Population("a", bias=True), Population("b", norm="batch")),
        (
            Projection("a", "out", OneToOne(), delay=1),
            Projection("b", "out", OneToOne()),
            Projection("in", "a", Conv(3, padding=(1, 1))),
            Projection("a", "b", Conv(3, padding=(1, 1))),
        ),
        "out",
    )


def test_nodes_are_ordered_from_the_input_whatever_the_order_given() -> None:
    assert [node.name for node in _branching().ordered] == ["a", "b", "out"]


def test_latency_is_the_longest_path_and_shorter_ones_wait() -> None:
    net = _branching()
    assert dict(net.latencies) == {"in": 0, "a": 1, "b": 2, "out": 3}
    assert net.latency == 3
    assert dict(net.waits) == {"a_to_out": 2, "b_to_out": 0, "in_to_a": 0, "a_to_b": 0}


def test_current_adds_no_latency() -> None:
    net = Network(
        Input("in", (1, 2, 2)),
        (Current("sum"), Population("p")),
        (Projection("in", "sum", OneToOne(), delay=2), Projection("sum", "p", OneToOne())),
        "p",
    )
    assert dict(net.latencies) == {"in": 0, "sum": 0, "p": 1}


def test_only_a_plain_chain_is_a_sequence() -> None:
    chain = (Projection("in", "a", OneToOne()), Projection("a", "b", OneToOne()))
    nodes = (Population("a"), Population("b"))
    source = Input("in", (1, 2, 2))
    assert Network(source, nodes, chain, "b").is_sequence
    assert not _branching().is_sequence


def test_parameters_count_shared_weights_norms_and_biases() -> None:
    net = _branching()
    assert net.weight_count() == 3 * 2 * 9 + 3 * 3 * 9
    assert net.parameter_count(4) == net.weight_count() + 3 + 2 * 3
    own = net.replace_nodes({"b": {"norm": "bntt_shift", "clock": True}})
    assert own.parameter_count(4) == net.weight_count() + 3 + 3 * (1 + 4 + 4)
    assert net.macs() == (3 * 2 * 9 + 3 * 3 * 9) * 64 + 2 * 3 * 64


def test_replacing_a_field_leaves_the_original_alone() -> None:
    net = _branching()
    other = net.replace_nodes({"a": {"threshold": 7.0}})
    assert other["a"] == Population("a", 7.0, bias=True)
    assert net["a"] == Population("a", bias=True)


SOURCE = Input("in", (2, 8, 6))
P, Q = Population("p"), Population("q")
PQ = Projection("p", "q", OneToOne())


@pytest.mark.parametrize(
    ("nodes", "projections", "readout", "message"),
    [
        (
            (P, Q),
            (
                Projection("in", "p", Conv(3)),
                Projection("p", "q", OneToOne()),
                Projection("in", "q", Conv(3, padding=(1, 1)), name="skip"),
            ),
            "q",
            r"'q' gets different shapes: p_to_q gives \(3, 6, 4\), skip gives \(3, 8, 6\)",
        ),
        (
            (P,),
            (Projection("in", "p", Conv(3, (9, 1))),),
            "p",
            r"'in_to_p': conv maps in \(2, 8, 6\) to an empty sheet \(3, 0, 6\)",
        ),
        (
            (P,),
            (Projection("in", "p", Conv(3, groups=3)),),
            "p",
            "'in_to_p': 2 channels cannot be split into 3 groups",
        ),
        ((P,), (Projection("on", "p", OneToOne()),), "p", "there is no node 'on'.* in, p"),
        ((P,), (Projection("in", "p", OneToOne()),), "q", "readout 'q' is not a population"),
        (
            (Current("c"),),
            (Projection("in", "c", OneToOne()),),
            "c",
            "readout 'c' is not a population",
        ),
        ((P, P), (Projection("in", "p", OneToOne()),), "p", "'p' is used 2 times"),
        (
            (P,),
            (Projection("in", "p", OneToOne(), delay=(0, 2, 1)),),
            "p",
            "'in_to_p': it has 3 delays, expected one for each of the 2 channels of in",
        ),
        (
            (Current("c"), P),
            (Projection("in", "c", OneToOne()), Projection("c", "p", OneToOne(), (0, 1))),
            "p",
            "'c_to_p' leaves 'c', which has no neurons",
        ),
        (
            (Current("c"), P),
            (Projection("in", "c", OneToOne()), Projection("c", "p", OneToOne(), max_delay=3)),
            "p",
            "'c_to_p' leaves 'c', which has no neurons",
        ),
        (
            (P,),
            (Projection("in", "p", OneToOne()), Projection("in", "p", OneToOne())),
            "p",
            "'in_to_p' is used 2 times",
        ),
        (
            (P, Q),
            (Projection("in", "p", OneToOne()), Projection("q", "p", OneToOne())),
            "p",
            "'q' has no incoming",
        ),
        (
            (P, Q),
            (
                Projection("in", "p", OneToOne()),
                Projection("p", "q", OneToOne()),
                Projection("q", "p", OneToOne()),
            ),
            "q",
            "cycle through p, q",
        ),
        (
            (P,),
            (Projection("in", "p", OneToOne()), Projection("p", "in", OneToOne())),
            "p",
            "ends in the input",
        ),
        (
            (Population("1st"),),
            (Projection("in", "1st", OneToOne(), name="e"),),
            "1st",
            "name '1st'",
        ),
        (
            (Population("p", levels=4), Q),
            (
                Projection("in", "p", OneToOne()),
                Projection("p", "p", OneToOne(), delay=1),
                Projection("p", "q", OneToOne()),
            ),
            "q",
            "'p': levels 4 go with no memory from step to step, but it feeds back to itself",
        ),
    ],
)
def test_contradiction_is_named(
    nodes: tuple[Population, ...],
    projections: tuple[Projection, ...],
    readout: str,
    message: str,
) -> None:
    with pytest.raises(NetworkError, match=message):
        Network(SOURCE, nodes, projections, readout)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Population("p", 0), "'p': threshold must be positive, got 0"),
        (lambda: Population("p", current_decay=4097), "'p': current_decay .* got 4097"),
        (lambda: Population("p", voltage_decay=0.5), "'p': voltage_decay .* got 0.5"),
        (lambda: Population("p", reset="medium"), "'p': reset .* got 'medium'"),
        (lambda: Population("p", norm="layer"), "'p': norm .* got 'layer'"),
        (lambda: Current("c", norm="layer"), "current 'c': norm .* got 'layer'"),
        (lambda: Population("p", norm_scale=-1.0), "'p': norm_scale .* got -1.0"),
        (lambda: Population("p", levels=0), "'p': levels must be an integer from 1 to 15, got 0"),
        (lambda: Population("p", levels=16), "'p': levels must be .* 1 to 15, got 16"),
        (lambda: Population("p", levels=2.0), "'p': levels must be .* 1 to 15, got 2.0"),
        (lambda: Population("p", levels=True), "'p': levels must be .* 1 to 15, got True"),
        (lambda: Population("p", None, levels=4), "'p': levels 4 need a threshold"),
        (
            lambda: Population("p", levels=4, voltage_decay=4095),
            "'p': levels 4 go with no memory .* voltage_decay must be 4096, got 4095",
        ),
        (
            lambda: Population("p", levels=4, current_decay=0),
            "'p': levels 4 go with no memory .* current_decay must be 4096, got 0",
        ),
        (
            lambda: Population("p", levels=4, reset="soft"),
            "'p': levels 4 go with no memory .* reset must be 'hard', got 'soft'",
        ),
        (lambda: Projection("a", "b", OneToOne(), delay=63), "'a_to_b': delay must be 0 to 62"),
        (lambda: Projection("a", "b", OneToOne(), (1, 63)), "'a_to_b': delay .* got 63"),
        (lambda: Projection("a", "b", OneToOne(), (1, -1)), "'a_to_b': delay .* got -1"),
        (lambda: Projection("a", "b", OneToOne(), (1, 0.5)), "'a_to_b': delay .* got 0.5"),
        (lambda: Projection("a", "b", OneToOne(), ()), r"'a_to_b': delay .* got \(\)"),
        (lambda: Projection("a", "b", OneToOne(), max_delay=63), "'a_to_b': max_delay .* got 63"),
        (
            lambda: Projection("a", "b", OneToOne(), (1, 4), max_delay=3),
            "'a_to_b': it learns delays up to 3 steps and begins with 4",
        ),
        (lambda: Projection("a", "a", OneToOne(), (1, 2)), "'a_to_a' leads from 'a' to itself"),
        (lambda: Projection("a", "a", OneToOne(), 1, max_delay=2), "'a_to_a' leads from 'a' to"),
        (lambda: Input("in", (1, 0, 2)), r"'in': shape .* \(1, 0, 2\)"),
        (lambda: Input("in", (1, 2.5, 2)), r"'in': shape must be three .* \(1, 2.5, 2\)"),
        (lambda: Input("in", (1, 2, 2), 25), "'in': message_bits must be 0 to 24, got 25"),
        (lambda: Conv(0), "conv channels"),
        (lambda: Conv(3, groups=2), r"conv channels \(3\) must be a positive multiple .* \(2\)"),
        (lambda: Conv(3, (3, 3, 3)), "conv kernel must be one or two integers"),
        (lambda: Conv(3, stride=(0, 1)), "conv stride"),
        (lambda: Conv(3, (3.7, 3)), r"conv kernel must be one or two integers .* \(3.7, 3\)"),
        (lambda: Conv(3, "33"), "conv kernel must be one or two integers .* got 33"),
        (lambda: ConvTranspose(3, padding=(-1, 0)), "transposed conv padding"),
        (lambda: Dense(0), "dense features"),
        (lambda: Upsample(0), "upsample factor"),
        (lambda: Upsample(2, (0, 2)), r"upsample crop \(0, 2\) must be less than its factor"),
        (lambda: SumPool(kernel=(0, 1)), "pool kernel"),
    ],
)
def test_wrong_field_is_named(build: object, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        build()  # type: ignore[operator]


@pytest.mark.parametrize("levels", range(1, 16))
def test_levels_are_sent_in_as_few_bits_as_hold_them_and_nothing_is_kept(levels: int) -> None:
    population = Population("p", levels=levels)
    assert population.memoryless
    assert population.max_message == levels
    assert population.message_bits == math.ceil(math.log2(levels + 1))


def test_a_network_without_levels_is_the_plain_data_that_it_was() -> None:
    """Descriptions and files of binary networks are those of before there were levels."""
    network = Network(SOURCE, (P, Q), (Projection("in", "p", OneToOne()), PQ), "q")
    assert (P.voltage_decay, P.message_bits, P.max_message) == (0, 0, 1)
    assert "levels" not in json.dumps(network.to_dict())
    integer = network.replace_nodes({"p": {"levels": 3, "voltage_decay": 4096}})
    assert integer.to_dict()["nodes"][0]["levels"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": [{"node": "glia"}]}, "unknown node type 'glia'"),
        ({"nodes": [{"node": "population", "name": "p", "mass": 1}]}, "mass"),
        ({"readout": None}, "readout None"),
        ({"projections": [{"source": "in", "target": "p"}]}, "operator"),
        (
            {"projections": [{"source": "in", "target": "p", "operator": {"kind": "fft"}}]},
            "unknown operator 'fft'.*conv",
        ),
        ({"input": {"name": "in"}}, "not a network description"),
        ({"nodes": 3}, "not a network description"),
    ],
)
def test_wrong_plain_data_is_named(change: dict[str, object], message: str) -> None:
    data = Network(SOURCE, (P,), (Projection("in", "p", OneToOne()),), "p").to_dict()
    with pytest.raises(NetworkError, match=message):
        Network.from_dict({**data, **change})
