"""The energy account counts each synapse that a spike really crosses, and says what it charges."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lavaseg.errors import LavasegError
from lavaseg.models.size import synaptic_memory
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Current,
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
from lavaseg.network.grids import fan_out
from lavaseg.results.energy import (
    CMOS_45NM,
    LOIHI_1,
    account,
    describe,
    format_energy,
    kim_energy,
    mfs_seg_energy,
    on_device,
    same_shape,
    to_dict,
)


def unrolled(operator: Operator, source: Shape) -> np.ndarray:
    """Synapses of each source neuron, from torch's own operator fed with one spike at a time."""
    neurons = int(np.prod(source))
    spikes = torch.eye(neurons).reshape(neurons, *source)
    f = torch.nn.functional
    weight_shape = operator.weight_shape(source)
    if isinstance(operator, Conv):
        out = f.conv2d(
            spikes,
            torch.ones(weight_shape),
            None,
            operator.stride,
            operator.padding,
            operator.dilation,
            operator.groups,
        )
    elif isinstance(operator, ConvTranspose):
        out = f.conv_transpose2d(
            spikes,
            torch.ones(weight_shape),
            None,
            operator.stride,
            operator.padding,
            operator.output_padding,
            operator.groups,
            operator.dilation,
        )
    elif isinstance(operator, Dense):
        out = f.linear(spikes.flatten(1), torch.ones(operator.features, neurons))
    elif isinstance(operator, SumPool):
        weight = torch.ones(source[0], 1, *operator.kernel)
        out = f.conv2d(spikes, weight, None, operator.stride, operator.padding, groups=source[0])
    elif isinstance(operator, Upsample):
        out = f.interpolate(spikes, scale_factor=operator.factor, mode="nearest")
        down, right = operator.crop
        out = out[..., : out.shape[-2] - down, : out.shape[-1] - right]
    else:
        out = spikes
    return (out != 0).flatten(1).sum(1).reshape(source).numpy()


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def operators(draw: st.DrawFn) -> tuple[Operator, Shape]:
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    source = (groups * draw(st.integers(1, 2)), draw(st.integers(1, 8)), draw(st.integers(1, 8)))
    channels = groups * draw(st.integers(1, 2))
    window = {
        "kernel": draw(pairs(1, 4)),
        "stride": draw(pairs(1, 3)),
        "padding": draw(pairs(0, 3)),
    }
    kind = draw(st.sampled_from(["conv", "conv_transpose", "dense", "pool", "up", "one"]))
    operator: Operator
    if kind == "conv":
        operator = Conv(channels, **window, dilation=draw(pairs(1, 3)), groups=groups)
    elif kind == "conv_transpose":
        dilation, extra = draw(pairs(1, 3)), draw(pairs(0, 2))
        largest = [max(s, d) for s, d in zip(window["stride"], dilation, strict=True)]
        assume(all(e < m for e, m in zip(extra, largest, strict=True)))  # torch's own rule
        operator = ConvTranspose(
            channels, **window, output_padding=extra, dilation=dilation, groups=groups
        )
    elif kind == "dense":
        operator = Dense(channels)
    elif kind == "pool":
        operator = SumPool(**window)
    elif kind == "up":
        crop = tuple(draw(st.integers(0, factor - 1)) for factor in window["stride"])
        operator = Upsample(window["stride"], crop)
    else:
        operator = OneToOne()
    assume(min(operator.output_shape(source)) >= 1)
    return operator, source


@settings(max_examples=300, deadline=None)
@given(operators())
def test_fan_out_equals_the_synapses_of_torchs_operator(case: tuple[Operator, Shape]) -> None:
    operator, source = case
    counted = fan_out(operator, source)
    assert counted.dtype == np.int64
    np.testing.assert_array_equal(counted, unrolled(operator, source))


def small(message_bits: int = 0) -> Network:
    """A padded conv, a strided one and a 1x1 read-out."""
    return Network(
        Input("picture", (2, 6, 6), message_bits),
        (Population("conv1"), Population("conv2"), Population("out", threshold=None)),
        (
            Projection("picture", "conv1", Conv(4, 3, padding=1)),
            Projection("conv1", "conv2", Conv(3, 3, stride=2, padding=1)),
            Projection("conv2", "out", Conv(2, 1)),
        ),
        "out",
    )


def random_counts(network: Network, most: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.integers(0, most + 1, shape)
        for name, shape in network.shapes.items()
        if name != network.readout
    }


def test_operations_equal_spikes_pushed_through_torch() -> None:
    network = small()
    counts = random_counts(network, 10)
    result = account(network, counts, samples=2, steps=5)
    for projection, row in zip(network.projections, result.projections, strict=True):
        operator = projection.operator
        assert isinstance(operator, Conv)
        spikes = torch.from_numpy(counts[projection.source]).double()[None]
        weight = torch.ones(network.weight_shape(projection), dtype=torch.double)
        arrived = torch.nn.functional.conv2d(
            spikes, weight, None, operator.stride, operator.padding
        )
        assert row.operations == int(arrived.sum())
    assert result.synaptic_operations == sum(p.operations for p in result.projections) / 2


def test_border_synapses_are_not_charged() -> None:
    network = small()
    every = {name: np.full(s, 1) for name, s in network.shapes.items() if name != "out"}
    first = account(network, every, samples=1, steps=1).projections[0]
    assert first.operations == first.synapses == 2 * 4 * (2 * 2 + 4 * 3) ** 2
    assert first.dense_macs == 2 * 4 * 9 * 36
    assert first.synapses < first.dense_macs


def test_spikes_that_wait_are_charged() -> None:
    """conv1's spikes pass one relay for the skip to `out`; a delay is held back by a clock."""
    skip = Projection("conv1", "out", Conv(2, 3, stride=2, padding=1))
    network = small()
    branched = Network(network.input, network.nodes, (*network.projections, skip), "out")
    counts = random_counts(network, 10)
    result = account(branched, counts, samples=2, steps=5)
    (delay,) = result.delays
    assert (delay.source, delay.relays, delay.neurons) == ("conv1", 1, 144)
    assert delay.operations == counts["conv1"].sum()
    projections = sum(p.operations for p in result.projections)
    assert result.synaptic_operations == (projections + delay.operations) / 2
    plain = account(network, counts, samples=2, steps=5)
    assert result.neuron_updates == plain.neuron_updates + 5 * 144

    late = Projection("conv1", "out", skip.operator, delay=2)
    branched = Network(network.input, network.nodes, (*network.projections, late), "out")
    (delay,) = account(branched, counts, samples=2, steps=5).delays
    assert (delay.delay, delay.relays) == (2, 3)
    assert delay.operations == 3 * counts["conv1"].sum() + 2 * 2 * 144


def test_channels_that_are_late_by_different_steps_are_charged_once() -> None:
    """Only their waiting is added: rows of relays, and what gathers them."""
    network = small()
    first, second, third = network.projections
    late = dataclasses.replace(second, delay=(1, 0, 3, 1))
    split = Network(network.input, network.nodes, (first, late, third), "out")
    counts = random_counts(network, 10)
    plain, delayed = (account(n, counts, samples=2, steps=5) for n in (network, split))
    assert sum(p.operations for p in delayed.projections) == plain.synaptic_operations * 2
    assert sum(p.synapses for p in delayed.projections) == sum(
        p.synapses for p in plain.projections
    )
    assert sum(p.spikes for p in delayed.projections) == sum(p.spikes for p in plain.projections)
    assert delayed.dense_macs == plain.dense_macs
    assert split.macs() == network.macs()
    assert split.weight_count() == network.weight_count()
    assert synaptic_memory(split, 5) == synaptic_memory(network, 5)
    _, height, width = network.shape(second.source)
    (delay,) = delayed.delays
    assert (delay.delay, delay.relays) == (3, 1)
    assert delay.neurons == (1 + 0 + 3 + 1 + 4) * height * width
    spikes = counts[second.source].sum((1, 2))
    passed = 2 * spikes[0] + spikes[1] + 4 * spikes[2] + 2 * spikes[3]
    held = 2 * (1 + 0 + 3 + 1) * height * width
    assert delay.operations == passed + held


def test_graded_input_is_charged_as_macs_and_binary_input_as_accumulates() -> None:
    counts = random_counts(small(), 4)
    binary = account(small(), counts, samples=1, steps=4)
    graded = account(small(message_bits=8), counts, samples=1, steps=4)
    assert binary.multiply_accumulates == 0
    assert graded.multiply_accumulates == graded.projections[0].operations
    difference = (
        on_device(graded, CMOS_45NM).picojoules[0] - on_device(binary, CMOS_45NM).picojoules[0]
    )
    assert difference == pytest.approx((4.6 - 0.9) * graded.projections[0].operations)
    one_bit = account(small(message_bits=1), counts, samples=1, steps=4)
    assert one_bit.multiply_accumulates == 0


def test_exact_energy_is_the_operations_at_horowitz_energies() -> None:
    network = small()
    result = account(network, random_counts(network, 12), samples=3, steps=4)
    energy = on_device(result, CMOS_45NM)
    assert energy.picojoules[0] == pytest.approx(0.9 * result.synaptic_operations)
    assert energy.reference is None  # it needs the description
    synapses = sum(p.synapses for p in result.projections)
    work = describe(network, random_counts(network, 12), samples=3, steps=4)
    energy = on_device(result, CMOS_45NM, work)
    assert energy.reference == pytest.approx(4.6 * synapses)
    assert energy.ratio == pytest.approx(energy.reference / energy.picojoules[1])


def test_loihi_1_charges_every_neuron_at_every_step_as_a_range() -> None:
    network = small()
    result = account(network, random_counts(network, 4), samples=1, steps=4)
    updates = 4 * (4 * 36 + 3 * 9 + 2 * 9)
    assert result.neuron_updates == updates
    low, high = on_device(result, LOIHI_1).picojoules
    assert low == pytest.approx(23.6 * result.synaptic_operations + 52 * updates)
    assert high == pytest.approx(23.6 * result.synaptic_operations + 81 * updates)


def test_no_figure_is_given_where_a_device_has_no_graded_spikes() -> None:
    network = small(message_bits=8)
    estimate = on_device(account(network, random_counts(network, 4), samples=1, steps=4), LOIHI_1)
    assert estimate.picojoules is None
    assert "graded" in estimate.definition


def test_layers_without_weights_cost_additions_in_the_reference() -> None:
    network = Network(
        Input("picture", (1, 4, 4)),
        (Population("pool"), Population("out", threshold=None)),
        (Projection("picture", "pool", SumPool()), Projection("pool", "out", Conv(2, 1))),
        "out",
    )
    work = describe(network, random_counts(network, 2), samples=1, steps=2)
    assert work.real_pass == pytest.approx(16 * 0.9 + 8 * 4.6)
    assert same_shape(work).picojoules == (pytest.approx(8 * 4.6),) * 2  # papers count MACs alone
    assert work.macs == 8


def test_several_projections_into_one_population_add_up() -> None:
    network = Network(
        Input("picture", (1, 4, 4)),
        (Population("a"), Population("out", threshold=None)),
        (
            Projection("picture", "a", Conv(2, 1)),
            Projection("picture", "out", Conv(2, 1)),
            Projection("a", "out", OneToOne()),
        ),
        "out",
    )
    counts = {"picture": np.ones((1, 4, 4), int), "a": np.ones((2, 4, 4), int)}
    result = account(network, counts, samples=1, steps=1)
    assert result.operations_into("out") == 2 * 16 + 32
    work = describe(network, counts, samples=1, steps=1)
    assert work.macs == 2 * (2 * 16)  # an addition is no MAC


def test_silence_costs_nothing_and_has_no_ratio() -> None:
    network = small()
    counts = {name: np.zeros(s, int) for name, s in network.shapes.items()}
    work = describe(network, counts, samples=1, steps=1)
    for energy in (
        on_device(account(network, counts, samples=1, steps=1), CMOS_45NM, work),
        kim_energy(work),
        mfs_seg_energy(work),
    ):
        assert energy.picojoules == (0.0, 0.0)
        assert energy.ratio is None


def test_every_estimate_carries_its_definition_and_source_into_json() -> None:
    network = small()
    counts = random_counts(network, 4)
    result, work = (f(network, counts, samples=1, steps=4) for f in (account, describe))
    plain = json.loads(json.dumps(to_dict(work, result)))
    assert [e["name"] for e in plain["energy"]] == ["cmos-45nm", "kim", "mfs-seg", "ann", "loihi-1"]
    assert all(e["definition"] and e["source"] for e in plain["energy"])
    assert sum(row["operations"] for row in plain["projections"]) == plain["synaptic_operations"]
    assert not any("loihi 2" in e["title"].lower() for e in plain["energy"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1": None}, "'conv1' are missing"),
        ({"conv1": np.zeros((4, 6, 5), int)}, r"'conv1' must be integers of shape \(4, 6, 6\)"),
        ({"conv1": np.zeros((4, 6, 6))}, "'conv1' must be integers"),
        ({"conv1": np.full((4, 6, 6), 9)}, "'conv1' reach from 9 to 9, possible are 0 to 8"),
        ({"conv1": np.full((4, 6, 6), -1)}, "'conv1' reach from -1"),
    ],
)
def test_wrong_counts_are_named(change: dict[str, np.ndarray | None], message: str) -> None:
    network = small()
    counts = {**random_counts(network, 4), **change}
    given_counts = {name: value for name, value in counts.items() if value is not None}
    with pytest.raises(LavasegError, match=message):
        account(network, given_counts, samples=2, steps=4)


def test_a_current_must_be_unrolled_first() -> None:
    network = small()
    network = dataclasses.replace(network, nodes=(Current("conv1"), *network.nodes[1:]))
    with pytest.raises(LavasegError, match=r"'conv1' carries no spikes"):
        account(network, random_counts(network, 1), samples=1, steps=1)


@pytest.mark.parametrize(
    ("picojoules", "text"),
    [
        (0, "0 pJ"),
        (12.3, "12.3 pJ"),
        (4.56e3, "4.56 nJ"),
        (7.8e6, "7.8 µJ"),
        (1.2e10, "12 mJ"),
        (999.7, "1 nJ"),
    ],
)
def test_energies_are_written_with_their_unit(picojoules: float, text: str) -> None:
    assert format_energy(picojoules) == text
