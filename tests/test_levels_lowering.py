"""Integer neurons on hardware: names, thresholds, shared weights, costs, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from fuzzing import Spikes
from levelled import (
    FORMS,
    small,
    weighted,
)

from lavaseg.deploy import simulate
from lavaseg.encoders import Direct, Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.calibration import calibrate
from lavaseg.export.lowering import (
    check_deployable,
    choose_quantisation,
    deployed,
    lower,
    rounded,
    unroll_levels,
)
from lavaseg.export.lowering.levels import cheaper_form
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import (
    Conv,
    Current,
    Input,
    Network,
    NetworkError,
    OneToOne,
    Population,
    Projection,
    Relay,
    SumPool,
)
from lavaseg.network.integers import IntegerNetwork, RangeError
from lavaseg.network.levels import integer_neurons
from lavaseg.network.ranges import message_ranges
from lavaseg.netx import describe, read, stock_loadable, write
from lavaseg.results.energy import account
from lavaseg.results.energy.described import describe as describe_work


@pytest.mark.parametrize("delay", [0, 1])
def test_thresholds_lie_in_the_middle_between_levels(delay: int) -> None:
    for form in FORMS:
        net = unroll_levels(small(delay=delay), form)  # type: ignore[arg-type]
        found = integer_neurons(net.network, net.weights)
        assert [(item.name, item.form, len(item.slots)) for item in found] == [
            ("a", form, 3),
            ("b", form, 3),
        ]
        thresholds = [net.network[slot].threshold for slot in found[0].slots]  # type: ignore[union-attr]
        assert thresholds == [20, 60, 100]


def test_the_relays_of_a_graded_form_send_as_few_bits_as_hold_the_levels() -> None:
    for levels in range(2, 16):
        net = unroll_levels(small(levels), "graded")
        _, most = message_ranges(net.network, net.weights)["a"]
        assert most == levels
        assert int(most).bit_length() == int(np.ceil(np.log2(levels + 1)))


def test_one_level_is_a_binary_population_above_half_of_the_threshold(
    random_spikes: Spikes,
) -> None:
    net = unroll_levels(small(1))
    assert not any(isinstance(node, Relay) for node in net.network.nodes)
    assert net.network["a"] == Population("a", 20, voltage_decay=4096, bias=True)


@pytest.mark.parametrize("form", FORMS)
def test_shared_weights_are_stored_once_in_memory_and_in_the_file(
    form: str, tmp_path: Path
) -> None:
    net = unroll_levels(small(delay=1), form)  # type: ignore[arg-type]
    write(net, tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net") as file:
        stored = set(file["lavaseg/weights"])
    assert {"a_to_b", "a_to_out", "b_to_out", "input_to_a"} <= stored
    assert len(stored) == len({p.stored_as for p in net.network.projections})
    found = read(tmp_path / "a.net")
    assert found.network == net.network
    for p in net.network.projections:
        np.testing.assert_array_equal(found.weights[p.name], net.weights[p.name])
        if p.shares is not None:
            assert found.weights[p.name] is found.weights[p.shares]
    assert not stock_loadable(net)[0]
    assert net.network.weight_count() == small().network.weight_count()


def test_info_has_one_row_for_each_population_with_levels() -> None:
    described = small()
    for form in FORMS:
        rows = describe(unroll_levels(described, form))  # type: ignore[arg-type]
        assert [row["layer"] for row in rows] == ["input", "a", "b", "out"]
        assert [row["levels"] for row in rows] == [None, 3, 3, None]
        assert rows[1]["form"] == form
        assert rows[1]["threshold"] == 40
        assert rows[2]["operator"] == "conv 3x3 from a"
        assert rows[3]["operator"] == "conv 1x1 from a + conv 1x1 from b"
        total = sum(row["parameters"] for row in rows)
        assert total == sum(weight.size for weight in described.weights.values()) + 3


def test_names_that_are_taken_get_a_number() -> None:
    described = small()
    renamed = {"b": "a_sum"}
    network = dataclasses.replace(
        described.network,
        nodes=tuple(
            dataclasses.replace(n, name=renamed.get(n.name, n.name))
            for n in described.network.nodes
        ),
        projections=tuple(
            dataclasses.replace(
                p,
                source=renamed.get(p.source, p.source),
                target=renamed.get(p.target, p.target),
            )
            for p in described.network.projections
        ),
    )
    for form in FORMS:
        net = unroll_levels(dataclasses.replace(described, network=network), form)  # type: ignore[arg-type]
        assert {"a_sum_2", "a_sum_sum"} <= set(net.network.shapes)


def test_both_forms_are_charged_for_what_they_do(random_spikes: Spikes) -> None:
    described = small()
    nets = {form: unroll_levels(described, form) for form in FORMS}  # type: ignore[arg-type]
    spikes = random_spikes(nets["binary"], 4)
    found = {}
    for form, net in nets.items():
        activity = simulate(net, spikes)
        counts = {name: count.sum(0, dtype=np.int64) for name, count in activity.counts.items()}
        found[form] = {p.name: p for p in account(net.network, counts, 4, 2).projections}
        work = describe_work(described.network, counts, 4, 2)
        slots = [activity.counts[f"a_{k}"].sum() for k in (1, 2, 3)]
        assert work.layers[1].arriving == pytest.approx(sum(slots) / 4 / (3 * 6 * 6))
    binary, graded = found["binary"], found["graded"]
    # each slot's spikes cross the weights of their own projection
    crossed = [binary[name].operations for name in ("a_to_out", "a_to_out_2", "a_to_out_3")]
    assert crossed == [2 * count for count in slots]
    # one message does where any slot spikes, and each slot's spike one more on its way there
    assert graded["a_to_out"].operations == crossed[0]
    assert graded["a_to_out"].analog
    assert not binary["a_to_out"].analog
    assert [graded[f"a_{k}_to_a"].operations for k in (1, 2, 3)] == slots
    # what sums sends to each of the slots
    assert binary["a_sum_to_a_3"].operations == binary["a_sum_to_a_1"].operations > 0


def test_auto_takes_what_needs_fewer_neurons_and_synapses() -> None:
    def network(side: int, channels: int) -> Network:
        return Network(
            Input("input", (1, side, side)),
            (Population("a", 1.0, levels=4), Population("out", None)),
            (
                Projection("input", "a", Conv(channels, 3, padding=1)),
                Projection("a", "out", Conv(8, 3, padding=1)),
            ),
            "out",
        )

    # 4 copies of 8 * c * 9 weights against one, c * side * side relay neurons and 4 c synapses
    for side, channels, form in ((16, 4, "binary"), (14, 4, "graded")):
        described = network(side, channels)
        assert cheaper_form(described, described.populations[0]) == form
        found = integer_neurons(deployed(described))
        assert [item.form for item in found] == [form]
        others = [integer_neurons(deployed(described, other))[0].form for other in FORMS]  # type: ignore[arg-type]
        assert others == list(FORMS)


def test_what_shares_weights_must_fit_what_has_them() -> None:
    net = unroll_levels(small(), "binary")
    network = net.network

    def changed(name: str, **fields: object) -> Network:
        parts = tuple(
            dataclasses.replace(p, **fields) if p.name == name else p  # type: ignore[arg-type]
            for p in network.projections
        )
        return dataclasses.replace(network, projections=parts)

    for shares in ("a_to_b_3", "a_to_b_2", "nothing"):
        with pytest.raises(NetworkError, match=f"'a_to_b_2' shares the weights of '{shares}'"):
            changed("a_to_b_2", shares=shares)
    with pytest.raises(NetworkError, match=r"'a_to_b_2' .* 'a_to_b', which has another"):
        changed("a_to_b_2", operator=Conv(4, 3, padding=2, dilation=2))
    weights = {**net.weights, "a_to_b_2": 2 * net.weights["a_to_b"]}
    with pytest.raises(LavasegError, match="'a_to_b_2' shares the weights of 'a_to_b', but other"):
        dataclasses.replace(net, weights=weights)


def test_a_gain_of_one_is_for_what_hands_on_alone() -> None:
    net = unroll_levels(small(), "graded")
    for name, value in (("a_sum_to_a_1", 3), ("a_to_out", 1)):
        weights = dict(net.weights)
        weights[name] = np.full_like(net.weights[name], value)
        weights |= {p.name: weights[name] for p in net.network.projections if p.shares == name}
        with pytest.raises(RangeError, match=f"'{name}': weights must be even"):
            dataclasses.replace(net, weights=weights)


def test_thresholds_of_levels_are_even_and_the_highest_fits() -> None:
    for levels in (1, 4, 15):
        for threshold in (0.3, 1.0, 977.0):
            given_ = weighted(threshold, levels)
            net = rounded(given_, choose_quantisation(given_), Poisson(1), ("x", "y"))
            found = net.network.populations[0].threshold
            assert found is not None
            assert found % 2 == 0
            assert found >= 2
            unroll_levels(net)
            assert (levels - 0.5) * found < 2**17


def test_calibration_judges_scales_by_levels() -> None:
    """A weight that nothing ever meets takes all of the 8 bits, so that the other one rounds to 0.

    Then all neurons send what the bias gives, 1: most are right that they send, but not what.
    """
    given_ = weighted(levels=15)
    network = dataclasses.replace(given_.network, input=Input("input", (2, 2, 2), 8))
    weights = {
        "input_to_a": np.array([[[[0.06]], [[25.0]]]]),
        "a_to_out": np.ones((2, 1, 2, 2)),
    }
    given_ = given_.replace(network=network, weights=weights, biases={"a": np.full(1, 0.6)})
    messages = torch.zeros(8, 2, 2, 2, 1)
    messages[:, 0] = torch.arange(32.0).view(8, 2, 2, 1) * 7
    plain = choose_quantisation(given_).scales["a"]
    quantisation, fits = calibrate(given_, messages)
    (fit,) = (fit for fit in fits if fit.population == "a")
    assert quantisation.scales["a"] > plain
    levels = np.clip(np.ceil(0.06 * messages[:, 0].numpy() + 0.6 - 0.5), 0, 15)
    assert fit.error_before == pytest.approx(np.abs(levels - 1).sum() / levels.sum())
    assert fit.error_after < 0.2 * fit.error_before
    net = rounded(given_, quantisation, Direct(1, bits=8), ("x", "y"))
    threshold = net.network.populations[0].threshold
    assert threshold is not None
    assert threshold % 2 == 0


def test_a_spacing_that_8_bits_cannot_hold_is_named() -> None:
    given_ = weighted(threshold=0.001, bias=3.0)
    with pytest.raises(
        RangeError, match=r"'a': its levels are 0.001 apart, below two weight units"
    ):
        choose_quantisation(given_)


def test_a_read_out_with_levels_is_refused_by_name() -> None:
    given_ = weighted()
    network = given_.network.replace_nodes(
        {"out": {"threshold": 1.0, "levels": 2, "voltage_decay": None}}
    )
    for refuse in (
        lambda: check_deployable(given_.replace(network=network)),
        lambda: deployed(network),
    ):
        with pytest.raises(LavasegError, match="'out' has levels 2, but it is the read-out"):
            refuse()


def test_a_form_that_there_is_not_is_named() -> None:
    with pytest.raises(
        LavasegError, match="levels must be one of auto, binary, graded, got 'unary'"
    ):
        unroll_levels(small(), "unary")  # type: ignore[arg-type]


def test_pools_and_residual_streams_of_levels_are_unrolled() -> None:
    network = Network(
        Input("input", (2, 8, 8)),
        (
            Population("a", 1.0, levels=4),
            Current("pooled"),
            Population("b", 1.0, levels=4),
            Population("out", None),
        ),
        (
            Projection("input", "a", Conv(2, 3, padding=1)),
            Projection("a", "pooled", SumPool((3, 3), (2, 2), (1, 1), average=True)),
            Projection("pooled", "b", Conv(2, 3, padding=1)),
            Projection("pooled", "out", OneToOne()),
            Projection("b", "out", OneToOne()),
        ),
        "out",
    )
    values = {p.name: np.ones(network.synapse_shape(p)) for p in network.projections}
    lowered = lower(WeightedNetwork(network, values))
    assert isinstance(lowered.network["pooled"], Relay)  # counts integers, up to 4 a neuron
    net = rounded(lowered, choose_quantisation(lowered), Poisson(1), ("x", "y"))
    for form in FORMS:
        unrolled = unroll_levels(net, form)  # type: ignore[arg-type]
        assert isinstance(unrolled, IntegerNetwork)
        assert message_ranges(unrolled.network, unrolled.weights)["pooled"] == (0, 2 * 9 * 4)
