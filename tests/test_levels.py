"""Integer neurons on stock Lava: both forms equal training and each other, spike for spike."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import torch
from fuzzing import EXAMPLES, Spikes, relaxed
from hypothesis import given, settings
from hypothesis import strategies as st
from levelled import (
    FORMS,
    Levelled,
    equal_everywhere,
    integers_sent,
    levelled_networks,
    small,
)
from test_export import trained_model

from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava import run_inprocess
from lavaseg.deploy.loihi2 import System
from lavaseg.deploy.simulator_slots import foldable
from lavaseg.deploy.simulator_torch import run_torch
from lavaseg.encoders import Direct
from lavaseg.export.finetune import quantised_model, tuned_values
from lavaseg.export.lowering import (
    choose_quantisation,
    lower,
    quantise,
    rounded,
    unroll_levels,
)
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import (
    Conv,
    Input,
    Network,
    OneToOne,
    Population,
    Projection,
    Relay,
)
from lavaseg.network.integers import Bias, RoundedNetwork
from lavaseg.network.interleave import interleave, restored
from lavaseg.network.levels import integer_neurons
from lavaseg.recipes import Surrogate
from lavaseg.results.activity import Activity
from lavaseg.results.rounding import scales_as_trained
from lavaseg.training import SpikingNetwork

FUZZED = EXAMPLES if "LAVASEG_FUZZ_EXAMPLES" in os.environ else 8


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


@pytest.mark.full
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


@pytest.mark.parametrize("form", FORMS)
def test_fine_tuning_computes_what_is_written_in_both_forms(form: str) -> None:
    encoder = Direct(1, bits=4)
    model = trained_model(4, levels=4)
    given_ = lower(WeightedNetwork.from_model(model))
    quantisation = choose_quantisation(given_)
    start = rounded(given_, quantisation, encoder, ("x", "y"))
    tuned = quantised_model(start, given_, quantisation, Surrogate()).eval()
    with torch.no_grad():  # as if training had moved them, off the grid
        for parameter in tuned.parameters():
            if parameter.ndim:
                parameter.add_(0.003 * torch.randn_like(parameter))
    values = tuned_values(tuned, given_, quantisation)
    net = quantise(values, quantisation, encoder, ("x", "y"), form)  # type: ignore[arg-type]
    spikes = encoder.encode(np.random.default_rng(0).integers(0, 256, (3, 3, 12, 10), np.uint8))
    expected, found = simulate(net, spikes, record="all"), tuned.run(spikes)
    np.testing.assert_array_equal(found.readout, expected.readout)
    sent = integers_sent(net, expected)
    for name, array in sent.items():
        np.testing.assert_array_equal(found.spikes[name], array)
    assert max(int(array.max()) for array in sent.values()) > 1


@pytest.mark.parametrize("form", FORMS)
def test_scales_are_known_by_the_populations_that_were_trained(form: str) -> None:
    trained = {"a": 3.0, "b": 5.0, "out": 7.0}
    net = unroll_levels(dataclasses.replace(small(), scales=trained), form)  # type: ignore[arg-type]
    assert set(net.scales) != set(trained)
    assert scales_as_trained(net) == trained
