"""Integer neurons on stock Lava: both forms equal training and each other, spike for spike."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from fuzzing import EXAMPLES, Spikes, relaxed
from hypothesis import given, settings
from hypothesis import strategies as st
from levelled import Levelled, equal_everywhere, integers_sent, levelled_networks

from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava import run_inprocess
from lavaseg.deploy.loihi2 import System
from lavaseg.deploy.simulator_slots import foldable
from lavaseg.deploy.simulator_torch import run_torch
from lavaseg.encoders import Direct, Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import (
    RoundedNetwork,
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
    Dense,
    Input,
    Network,
    NetworkError,
    OneToOne,
    Population,
    Projection,
    Relay,
    SumPool,
)
from lavaseg.network.integers import Bias, IntegerNetwork, RangeError
from lavaseg.network.interleave import interleave, restored
from lavaseg.network.levels import integer_neurons
from lavaseg.network.ranges import message_ranges
from lavaseg.netx import describe, read, stock_loadable, write
from lavaseg.results.activity import Activity
from lavaseg.results.energy import account
from lavaseg.results.energy.described import describe as describe_work
from lavaseg.training import SpikingNetwork

FUZZED = EXAMPLES if "LAVASEG_FUZZ_EXAMPLES" in os.environ else 8
FORMS = ("binary", "graded")


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


def trained_spikes(net: RoundedNetwork, spikes: np.ndarray) -> Activity:
    """Torch on the network as it was trained, levels and all, in integers."""
    biased = {p.name: {"bias": p.name in net.biases} for p in net.network.populations}
    model = SpikingNetwork(net.network.replace_nodes(biased), integer=True, steps=net.steps)
    biases = {name: bias.state_units / 64 for name, bias in net.biases.items()}
    model.set_values(net.weights, biases, net.clocks)
    return model.eval().run(spikes)


@settings(relaxed, max_examples=FUZZED)
@given(data=st.data())
def test_training_both_forms_and_lava_are_equal_on_networks_with_levels(
    data: st.DataObject, random_spikes: Spikes
) -> None:
    drawn: Levelled = data.draw(levelled_networks())
    found: dict[str, Activity] = {}
    seed = data.draw(st.integers(0, 2**16))
    for form in FORMS:
        net = drawn.unrolled(form)
        spikes = random_spikes(net, 3, seed)
        verdict = verify_spikes(net, spikes, backends=("torch", "lava-inprocess"), progress=False)
        assert verdict.ok, f"{form}: {verdict.first_difference}"
        found[form] = simulate(net, spikes, record="all")
        assert len(foldable(net)) == len(integer_neurons(net.network, net.weights))
    trained = trained_spikes(drawn.described, spikes)
    sent = {form: integers_sent(drawn.unrolled(form), found[form]) for form in FORMS}
    equal_everywhere(sent["binary"], sent["graded"])
    for population in drawn.described.network.populations:
        if population.levels is not None:
            name, one = population.name, population.levels == 1
            there = found["binary"].spikes[name] if one else sent["binary"][name]
            np.testing.assert_array_equal(trained.spikes[name], there, name)
    np.testing.assert_array_equal(found["binary"].readout, trained.readout)
    np.testing.assert_array_equal(found["binary"].readout, found["graded"].readout)


@settings(relaxed, max_examples=max(1, EXAMPLES // 80))
@given(data=st.data())
def test_the_multi_process_runtime_equals_the_simulator_with_levels(
    data: st.DataObject, random_spikes: Spikes
) -> None:
    drawn: Levelled = data.draw(levelled_networks(most_nodes=4, most_levels=4))
    net = drawn.unrolled(data.draw(st.sampled_from(FORMS)))
    verdict = verify_spikes(net, random_spikes(net, 3), backends=("lava",), progress=False)
    assert verdict.ok, str(verdict.first_difference)


@settings(relaxed, max_examples=20)
@given(data=st.data())
def test_the_simulator_of_other_devices_is_the_cpus_with_levels(
    data: st.DataObject, random_spikes: Spikes
) -> None:
    drawn: Levelled = data.draw(levelled_networks())
    net = drawn.unrolled(data.draw(st.sampled_from(FORMS)))
    spikes = random_spikes(net, 3)
    expected = simulate(net, spikes, record="all")
    found = run_torch(net, spikes, list(net.network.shapes), "cpu")
    equal_everywhere(expected.counts, found.counts)
    equal_everywhere(expected.spikes, found.spikes)
    np.testing.assert_array_equal(expected.readout, found.readout)


@pytest.mark.slow
@pytest.mark.usefixtures("chip")
def test_the_double_of_a_chip_gives_the_simulators_spikes_with_levels(
    random_spikes: Spikes,
) -> None:
    """T = 3, which takes 4 steps there: slots are reset in silent steps, too."""
    net = unroll_levels(small(2, steps=3), "graded")
    verdict = verify_spikes(
        net,
        random_spikes(net, 3),
        backends=("loihi2",),
        system=System(board="ncl-og-01"),
        progress=False,
    )
    assert verdict.ok, str(verdict.first_difference)


@pytest.mark.parametrize("form", FORMS)
def test_slots_forget_a_step_in_lavas_own_arithmetic(form: str, random_spikes: Spikes) -> None:
    """A membrane far below the threshold, which a decay of 4095 would not clear."""
    described = small(steps=4)
    weights = {name: weight.copy() for name, weight in described.weights.items()}
    weights["input_to_a"][:] = -254
    weights["input_to_a"][0] = 254
    described = dataclasses.replace(described, weights=weights)
    net = unroll_levels(described, form)  # type: ignore[arg-type]
    spikes = random_spikes(net, 3)
    expected = simulate(net, spikes, record="all")
    found = run_inprocess(net, spikes, record="all", fast=False)
    equal_everywhere(expected.spikes, found.spikes)
    np.testing.assert_array_equal(expected.readout, found.readout)
    assert expected.counts["a_1"].any()


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


@pytest.mark.parametrize("form", FORMS)
def test_interleaving_changes_no_integer(form: str, random_spikes: Spikes) -> None:
    net = unroll_levels(small(), form)  # type: ignore[arg-type]
    narrow, factors = interleave(net, 3)
    spikes = random_spikes(net, 3)
    expected = simulate(net, spikes, record="all")
    sheets = np.moveaxis(spikes.reshape(*spikes.shape[:-1], -1, factors["input"]), -1, -3)
    folded = sheets.reshape(*spikes.shape[:2], -1, 6, 6 // factors["input"])
    verdict = verify_spikes(narrow, folded, backends=("lava-inprocess",), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    found = simulate(narrow, folded, record="all")
    for name, factor in factors.items():
        np.testing.assert_array_equal(restored(found.spikes[name], factor), expected.spikes[name])
    assert factors["a_1"] == factors["a_sum"] > 1


def test_slots_that_are_read_one_to_one_are_no_graded_form(random_spikes: Spikes) -> None:
    """The sum of the next integer neurons, or a relay that counts, is no relay of theirs."""
    network = Network(
        Input("input", (2, 4, 4), 4),
        (
            Population("a", 20, levels=3),
            Relay("count"),
            Population("b", 20, levels=3),
            Population("c", 20, levels=3),
            Population("out", None),
        ),
        (
            Projection("input", "a", Conv(2, 1)),
            Projection("a", "count", OneToOne()),
            Projection("input", "b", Conv(2, 1)),
            Projection("b", "c", OneToOne()),
            Projection("count", "out", Conv(2, 1)),
            Projection("c", "out", Conv(2, 1)),
        ),
        "out",
    )
    weights = {p.name: np.full(network.synapse_shape(p), 2, np.int16) for p in network.projections}
    described = RoundedNetwork(network, weights, Direct(1, bits=4), ("x", "y"))
    for form in FORMS:
        net = unroll_levels(described, form)  # type: ignore[arg-type]
        found = integer_neurons(net.network, net.weights)
        assert [(item.name, item.form) for item in found] == [("a", form), ("b", form), ("c", form)]
        assert len(foldable(net)) == 3
        verdict = verify_spikes(
            net, random_spikes(net, 3), backends=("torch", "lava-inprocess"), progress=False
        )
        assert verdict.ok, str(verdict.first_difference)


def test_slots_that_do_not_spike_alike_are_simulated_one_by_one(random_spikes: Spikes) -> None:
    """A network of that shape may come from elsewhere, with a bias of its own for each slot."""
    net = unroll_levels(small(), "binary")
    biases = {**net.biases, "a_2": Bias(np.array([300, -90, 7], np.int16))}
    other = dataclasses.replace(net, biases=biases)
    assert len(foldable(net)) == 2
    assert len(foldable(other)) == 1
    verdict = verify_spikes(
        other, random_spikes(other, 3), backends=("torch", "lava-inprocess"), progress=False
    )
    assert verdict.ok, str(verdict.first_difference)


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
        changed(
            "a_to_b_2",
            operator=Conv(4, 3, padding=1, dilation=1, stride=1, groups=1),
            channels=(0,),
        )
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
