"""Export: folding is exact, quantisation is what the quantised model computes, ranges hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg import export, netx, recipes
from lavaseg.deploy import simulate
from lavaseg.encoders import Direct, Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.finetune import quantised_model, tuned_values
from lavaseg.export.lowering import check_deployable, choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.models import build
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import Bias, IntegerNetwork, RangeError
from lavaseg.network.interleave import restored
from lavaseg.network.ranges import CURRENT_LIMIT, check_loops, check_ranges
from lavaseg.recipes import Surrogate
from lavaseg.training import SpikingNetwork, train

CLASSES = ("background", "digit")


def trained_model(bits: int, seed: int = 0, **options: object) -> SpikingNetwork:
    """A small Spiking-DeepLab with lively norms, as after training."""
    torch.manual_seed(seed)
    sheet = Input("input", (3, 12, 10), bits)
    options = {"channels": [4, 4, 6, 6, 6, 6, 6, 8], "output_stride": 2, **options}
    model = SpikingNetwork(build("spiking_deeplab", sheet, 2, **options))
    for norm in model.norms.values():
        for values, low, high in (
            (norm.weight, 0.5, 1.5),
            (norm.bias, -0.3, 0.5),
            (norm.running_mean, -0.5, 0.5),
            (norm.running_var, 0.5, 2.0),
        ):
            torch.nn.init.uniform_(values, low, high)
    return model.eval()


def integers(
    model: SpikingNetwork, encoder: Direct | Poisson
) -> tuple[IntegerNetwork, WeightedNetwork]:
    weighted = lower(WeightedNetwork.from_model(model))
    return quantise(weighted, choose_quantisation(weighted), encoder, CLASSES), weighted


def test_folding_changes_no_current_but_by_rounding() -> None:
    model = trained_model(8)
    weighted = lower(WeightedNetwork.from_model(model))
    assert all(node.norm == "none" for node in weighted.network.nodes)
    folded = SpikingNetwork(weighted.network).eval()
    folded.input_scale = weighted.input_scale
    with torch.no_grad():
        for name, weight in weighted.weights.items():
            folded.synapse(name).synapse.weight.copy_(torch.from_numpy(weight).unsqueeze(-1))
        for name, bias in weighted.biases.items():
            folded.biases[name].copy_(torch.from_numpy(bias))
    messages = torch.randint(0, 256, (2, 3, 12, 10, 3)).float()
    currents: list[list[torch.Tensor]] = []
    for network in (model, folded):
        seen: list[torch.Tensor] = []
        first = network.network.populations[0].name
        synaptic = network.synapse("input_to_conv1")(messages * network.input_scale)
        norm = network.norms[first] if first in network.norms else None  # noqa: SIM401
        seen.append(network.neuron(first).current(synaptic, norm, network.bias(first)))
        currents.append(seen)
    torch.testing.assert_close(currents[0][0], currents[1][0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", [Direct(3, bits=8), Direct(4, bits=4), Poisson(5)])
def test_the_quantised_model_is_the_integer_network(encoder: Direct | Poisson) -> None:
    """What fine-tuning trains is, spike for spike, what is written and simulated."""
    model = trained_model(encoder.message_bits)
    weighted = lower(WeightedNetwork.from_model(model))
    quantisation = choose_quantisation(weighted)
    net = quantise(weighted, quantisation, encoder, CLASSES)
    tuned = quantised_model(net, weighted, quantisation, Surrogate()).eval()
    with torch.no_grad():  # as if training had moved them, off the grid
        for parameter in tuned.parameters():
            if parameter.ndim:
                parameter.add_(0.003 * torch.randn_like(parameter))
    moved = quantise(tuned_values(tuned, weighted, quantisation), quantisation, encoder, CLASSES)
    assert any((moved.weights[k] != net.weights[k]).any() for k in net.weights)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 12, 10), np.uint8)
    spikes = encoder.encode(pictures, seed=1)
    expected = simulate(moved, spikes, record="all")
    for found in (tuned.run(spikes), SpikingNetwork.from_integers(moved).run(spikes)):
        np.testing.assert_array_equal(found.readout, expected.readout)
        for name, array in expected.spikes.items():
            np.testing.assert_array_equal(found.spikes[name], array)
    assert sum(int(expected.spikes[p.name].sum()) for p in moved.network.populations) > 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), bits=st.sampled_from([0, 4, 8]), factor=st.floats(0.01, 100))
def test_quantised_numbers_fit_loihi(seed: int, bits: int, factor: float) -> None:
    """Whatever the size of the trained weights, all integers are in range, or it is said."""
    model = trained_model(bits, seed)
    with torch.no_grad():
        for norm in model.norms.values():
            norm.weight.mul_(factor)
    encoder = Direct(3, bits=bits) if bits else Poisson(3)
    try:
        net, _ = integers(model, encoder)
    except RangeError as error:
        refused = str(error)
        assert factor > 10, refused
        return
    for item in check_ranges(net):
        assert item.current <= 131071
    for weight in net.weights.values():
        assert not (weight & 1).any()
        assert weight.min() >= -256
        assert weight.max() <= 254


@pytest.mark.parametrize("sign", [1, -1])
def test_the_range_proof_is_tight(sign: int) -> None:
    """The worst input reaches exactly the bound that is proved, and no input exceeds it."""
    weight = np.array([[[[8, -6], [4, -2]]], [[[-2, 4], [-6, 8]]]], np.int16)
    network = Network(
        Input("input", (1, 2, 2), 4),
        (Population("p", None, bias=True),),
        (Projection("input", "p", Conv(2, (2, 2))),),
        "p",
    )
    net = IntegerNetwork(
        network, {"input_to_p": weight}, Direct(5, bits=4), CLASSES,
        {"p": Bias(np.array([3, -3]), 6)},
    )  # fmt: skip
    (proved,) = check_ranges(net)
    worst = (15 * (sign * weight[0 if sign > 0 else 1] > 0)).astype(np.uint8)
    spikes = np.broadcast_to(worst, (1, 5, 1, 2, 2)).copy()
    readout = simulate(net, spikes).readout / 64
    if sign > 0:
        assert readout.max() == proved.high == 5 * (15 * 12 + 3)
    else:
        assert readout.min() == proved.low == -5 * (15 * 8 + 3)


def test_a_current_that_could_wrap_is_named() -> None:
    network = Network(
        Input("input", (3, 9, 9), 8),
        (Population("greedy", None),),
        (Projection("input", "greedy", Conv(2, (9, 9))),),
        "greedy",
    )
    weight = np.full((2, 3, 9, 9), 254, np.int16)
    net = IntegerNetwork(network, {"input_to_greedy": weight}, Direct(1, bits=8), CLASSES)
    with pytest.raises(RangeError, match=r"'greedy'.*wraps"):
        check_ranges(net)
    with pytest.raises(RangeError, match="'greedy'"):
        simulate(net, np.zeros((1, 1, 3, 9, 9), np.uint8))


def test_what_cannot_be_deployed_says_what_to_change() -> None:
    published = build(
        "spiking_deeplab", Input("input", (3, 16, 16)), 2, width=2, preset="published"
    )
    weighted = WeightedNetwork.from_model(SpikingNetwork(published))
    with pytest.raises(LavasegError, match="preset 'hardware'"):
        check_deployable(weighted)
    soft = Network(
        Input("input", (1, 4, 4)),
        (Population("soft", reset="soft"), Population("out", None)),
        (Projection("input", "soft", Conv(2)), Projection("soft", "out", Conv(2, (1, 1)))),
        "out",
    )
    with pytest.raises(LavasegError, match=r"'soft'.*resets to 0"):
        check_deployable(WeightedNetwork.from_model(SpikingNetwork(soft)))


@pytest.mark.parametrize("decay", [4096, 1000, 60, 0])
@pytest.mark.parametrize("feeds_back", [False, True])
def test_a_current_that_adds_up_over_steps_fits_and_leaves_no_range_unused(
    decay: int, feeds_back: bool
) -> None:
    loop = (Projection("a", "a", Conv(4, 3, padding=1), 1),) if feeds_back else ()
    network = Network(
        Input("input", (3, 6, 6), 8),
        (Population("a", 1.0, decay, 100), Population("out", None)),
        (
            Projection("input", "a", Conv(4, 3, padding=1)),
            Projection("a", "out", Conv(2, 1)),
            *loop,
        ),
        "out",
    )
    rng = np.random.default_rng(0)
    weights = {
        p.name: rng.uniform(-0.01, 0.03, network.synapse_shape(p)) for p in network.projections
    }
    weighted, encoder = WeightedNetwork(network, weights), Direct(8, bits=8)
    net = quantise(weighted, choose_quantisation(weighted, 8), encoder, CLASSES)
    check_loops(net)
    current = {item.name: item.current for item in check_ranges(net)}["a"]
    assert current < CURRENT_LIMIT
    if not feeds_back:
        assert current > 0.8 * CURRENT_LIMIT
    longer = choose_quantisation(weighted, 9).scales["a"]
    assert (longer == net.scales["a"]) == (decay == 4096)


def test_exporting_a_run_writes_what_was_trained_and_fine_tunes_once(tmp_path: Path) -> None:
    recipe = recipes.load(
        "demo",
        [
            "data.options={train: 60, test: 10}",
            "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
            "training.epochs=1",
            "finetune.epochs=1",
        ],
    )
    run = train(recipe, tmp_path / "run", progress=False)
    net = export.export(run, progress=False)
    assert (run.path / "finetune.csv").is_file()
    back = netx.read(run.path / "net.net")
    assert back.network == net.network
    assert all((back.weights[k] == net.weights[k]).all() for k in net.weights)
    before = (run.path / "finetuned.safetensors").stat().st_mtime_ns
    again = export.export(run, tmp_path / "again.net", progress=False)
    assert (run.path / "finetuned.safetensors").stat().st_mtime_ns == before
    assert all((again.weights[k] == net.weights[k]).all() for k in net.weights)
    plain = export.export(run, tmp_path / "plain.net", finetune=False, progress=False)
    assert any((plain.weights[k] != net.weights[k]).any() for k in net.weights)
    narrow = export.export(run, tmp_path / "narrow.net", widest=16, progress=False)
    assert narrow.network.input.shape == (6, 32, 16)  # of 3 x 32 x 32
    pictures = np.stack([run.data.test[i][0] for i in range(3)])
    found, expected = (simulate(n, n.encoder.encode(pictures)) for n in (narrow, net))
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name, counts in expected.counts.items():
        factor = counts.shape[-1] // found.counts[name].shape[-1]
        np.testing.assert_array_equal(restored(found.counts[name], factor), counts)
