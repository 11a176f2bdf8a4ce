"""Delays of channels: run as defined, learned as SLAYER learns them, exported and verified."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_netx_stock as stock
import torch
from lava.lib.dl import slayer

from lavaseg import export, netx, recipes
from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava import run_inprocess
from lavaseg.deploy.lava.sources import RingSources
from lavaseg.deploy.simulator import Simulator
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.models import build
from lavaseg.models.delays import learning_delays
from lavaseg.network import Conv, Dense, Input, Network, Operator, Population, Projection
from lavaseg.network.integers import Bias, IntegerNetwork
from lavaseg.network.interleave import interleave, restored
from lavaseg.training import train
from lavaseg.training.network import Carried, SpikingNetwork
from lavaseg.training.slayer.delays import ChannelDelays

STEPS = 9
LATE = (0, 3, 1, 12, 3)


def delayed(
    operator: Operator,
    delays: int | tuple[int, ...] = LATE,
    *,
    of_input: int | tuple[int, ...] = (2, 0),
    channels: int = 5,
) -> IntegerNetwork:
    """input -> a (with a bias, so that it fires in every step) -> b -> read-out."""
    network = Network(
        Input("input", (2, 4, 4)),
        (
            Population("a", 60, 2000, 300, bias=True),
            Population("b", 90, 3000, 200),
            Population("out", None),
        ),
        (
            Projection("input", "a", Conv(channels, 3, 1, 1), of_input),
            Projection("a", "b", operator, delays),
            Projection("b", "out", Dense(2)),
        ),
        "out",
    )
    rng = np.random.default_rng(0)
    weights = {
        p.name: 2 * rng.integers(-20, 40, network.synapse_shape(p), np.int16)
        for p in network.projections
    }
    bias = Bias(rng.integers(0, 60, channels))
    return IntegerNetwork(network, weights, Poisson(STEPS), ("no", "yes"), {"a": bias})


def spikes(samples: int = 3) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.random((samples, STEPS, 2, 4, 4)) < 0.3).astype(np.uint8)


def late(sent: np.ndarray, delays: tuple[int, ...]) -> np.ndarray:
    """Spikes (N, T, C, H, W), each channel as much later."""
    found = np.zeros_like(sent)
    for channel, delay in enumerate(delays):
        found[:, delay:, channel] = sent[:, : max(sent.shape[1] - delay, 0), channel]
    return found


@pytest.mark.parametrize("operator", [Conv(4, 3, 1, 1), Dense(6)])
def test_a_target_sees_each_channel_as_late_as_its_delay(operator: Operator) -> None:
    net = delayed(operator)
    found = simulate(net, spikes(), record="all")
    sent = found.spikes["a"]
    assert sent[:, -3:].any(), "nothing is sent in the steps that must not reach the next sample"
    # what b sees, played to b alone
    network = net.network
    behind = Network(
        Input("a", network.shape("a")),
        network.populations[1:],
        (Projection("a", "b", operator), network.projections[2]),
        "out",
    )
    weights = {p.name: net.weights[p.name] for p in behind.projections}
    alone = IntegerNetwork(behind, weights, net.encoder, net.classes)
    expected = simulate(alone, late(sent, LATE), record="all")
    np.testing.assert_array_equal(found.spikes["b"], expected.spikes["b"])
    np.testing.assert_array_equal(found.readout, expected.readout)
    assert found.spikes["b"].any()


@pytest.mark.parametrize("operator", [Conv(4, 3, 1, 1), Dense(6)])
def test_torch_gpu_code_and_both_runtimes_equal_the_simulator(operator: Operator) -> None:
    net = delayed(operator)
    verdict = verify_spikes(net, spikes(), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    expected = simulate(net, spikes(), record="all")
    found = Simulator(net, device="cpu:0").run(spikes(), record="all")
    for name, sent in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], sent, err_msg=name)
    np.testing.assert_array_equal(found.readout, expected.readout)


@pytest.mark.parametrize("operator", [Conv(4, 3, 1, 1), Dense(6)])
@pytest.mark.parametrize("period", [STEPS, 16])
def test_no_late_spike_reaches_the_next_sample(operator: Operator, period: int) -> None:
    net = delayed(operator)
    expected = simulate(net, spikes(5), record="all")
    for fast in (True, False):
        found = run_inprocess(net, spikes(5), record="all", period=period, fast=fast)
        np.testing.assert_array_equal(found.readout, expected.readout)
        for name, sent in expected.spikes.items():
            np.testing.assert_array_equal(found.spikes[name], sent, err_msg=name)


@pytest.mark.parametrize("most", [None, 7, 40])
def test_rows_of_relays_as_on_a_chip_give_the_same_spikes(
    most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No delay synapses, and rows in groups."""
    monkeypatch.setattr(RingSources, "delay_synapses", False)
    monkeypatch.setattr(RingSources, "most_relays", most)
    for operator in (Conv(4, 3, 1, 1), Dense(6)):
        net = delayed(operator)
        expected = simulate(net, spikes(), record="all")
        found = run_inprocess(net, spikes(), record="all", period=16)
        np.testing.assert_array_equal(found.readout, expected.readout)
        np.testing.assert_array_equal(found.spikes["b"], expected.spikes["b"])


def test_interleaved_channels_keep_their_delays() -> None:
    net = delayed(Conv(4, 3, 1, 1))
    narrow, factors = interleave(net, 2)
    assert max(factors.values()) == 2
    expected, found = (
        simulate(net, spikes(), record="all"),
        simulate(narrow, _interleaved(spikes(), factors["input"]), record="all"),
    )
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name in ("a", "b"):
        sheets = restored(found.spikes[name], factors[name])
        np.testing.assert_array_equal(sheets, expected.spikes[name])


def _interleaved(sheets: np.ndarray, factor: int) -> np.ndarray:
    *more, channels, height, width = sheets.shape
    split = sheets.reshape(*more, channels, height, width // factor, factor)
    return np.moveaxis(split, -1, -3).reshape(*more, channels * factor, height, width // factor)


def test_a_file_gives_them_back(tmp_path: Path) -> None:
    net = delayed(Conv(4, 3, 1, 1))
    netx.write(net, tmp_path / "a.net")
    back = netx.read(tmp_path / "a.net")
    assert back.network == net.network
    assert back.network.projection("a_to_b").delay == LATE


# -- learning -------------------------------------------------------------------------------------


def test_values_and_gradients_are_those_of_slayers_axon() -> None:
    rng = torch.Generator().manual_seed(0)
    sent = (torch.rand(3, 5, 2, 4, STEPS, generator=rng) < 0.4).float()
    wanted = torch.rand(sent.shape, generator=rng)
    ours, theirs = ChannelDelays(5, 7), slayer.axon.Delay(max_delay=7)
    start = torch.tensor([0.4, 3.0, 1.9, 7.0, 9.3])
    theirs.init = True
    grads = []
    for module in (ours, theirs):
        module.delay.data = start.clone()
        x = sent.clone().requires_grad_()
        out = module(x)
        (out * wanted).sum().backward()
        grads.append((out.detach(), x.grad, module.delay.grad))
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected)
    assert ours.steps == (0, 3, 1, 7, 7)
    assert grads[0][2].abs().min() > 0


def test_the_steps_of_a_sample_may_come_in_pieces() -> None:
    net = delayed(Conv(4, 3, 1, 1))
    learns = dataclasses.replace(net.network.projection("a_to_b"), max_delay=12)
    projections = (net.network.projections[0], learns, net.network.projections[2])
    learning = SpikingNetwork(dataclasses.replace(net.network, projections=projections))
    for model in (SpikingNetwork.from_integers(net), learning.eval()):
        messages = torch.from_numpy(spikes()).float().permute(0, 2, 3, 4, 1)
        carried = Carried()
        with torch.no_grad():
            whole = model(messages)
            for piece in messages.split(2, -1):
                last = model(piece, carried=carried)
        torch.testing.assert_close(last, whole, rtol=0, atol=0)


def test_neurons_learn_delays_where_they_send_through_weights() -> None:
    network = build("spiking_unet", Input("input", (3, 16, 16)), 2, width=2)
    learning = learning_delays(network, 4)
    learns = {p.name for p in learning.projections if p.learns}
    sources = {p.source for p in learning.projections if p.learns}
    assert learns
    assert "input" not in sources
    assert all(learning.weight_shape(learning.projection(name)) is not None for name in learns)
    assert learning_delays(network, 0) == network


def test_learned_delays_are_exported_in_whole_steps() -> None:
    torch.manual_seed(0)
    network = learning_delays(
        build("spiking_fcn", Input("input", (2, 16, 16)), 2, width=4, norm="none", threshold=0.3), 5
    )
    model = SpikingNetwork(network).eval()
    rng = torch.Generator().manual_seed(1)
    for delays in model.delays.values():
        delays.delay.data = 6 * torch.rand(delays.delay.shape, generator=rng)
    lowered = lower(WeightedNetwork.from_model(model))
    learned = [p for p in lowered.network.projections if p.by_channel]
    assert learned
    assert not any(p.learns for p in lowered.network.projections)
    for projection in learned:
        held = model.delays[projection.name].delay
        np.testing.assert_array_equal(projection.delay, held.detach().floor().numpy())
        assert 1 < projection.longest <= 5
    net = quantise(lowered, choose_quantisation(lowered), Poisson(6), ("no", "yes"))
    sent = (np.random.default_rng(2).random((2, 6, 2, 16, 16)) < 0.5).astype(np.uint8)
    verdict = verify_spikes(net, sent, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    assert simulate(net, sent).counts["conv3"].any()
    fixed = learned[0]
    with pytest.raises(LavasegError, match=f"{fixed.name!r} still learns its delays"):
        dataclasses.replace(
            net,
            network=dataclasses.replace(
                net.network,
                projections=tuple(
                    dataclasses.replace(p, max_delay=9) if p == fixed else p
                    for p in net.network.projections
                ),
            ),
        )


@pytest.mark.slow
def test_learned_delays_of_dense_layers_run_on_stock_netx_as_they_were_trained(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    network = Network(
        Input("input", (2, 3, 2)),
        (Population("a", 0.3), Population("b", 0.3), Population("c", 0.3)),
        (
            Projection("input", "a", Dense(7)),
            Projection("a", "b", Dense(7), max_delay=4),
            Projection("b", "c", Dense(3), max_delay=3),
        ),
        "c",
    )
    model = SpikingNetwork(network).eval()
    for learned in model.delays.values():
        learned.delay.data = 5 * torch.rand(learned.delay.shape)
    lowered = lower(WeightedNetwork.from_model(model))
    net = quantise(lowered, choose_quantisation(lowered), Poisson(stock.STEPS), ("x", "y", "z"))
    assert all(p.by_channel for p in net.network.projections[1:])
    sent = stock.input_spikes(net)
    expected = simulate(net, sent, record="all").spikes["c"]
    assert 0.02 < expected.mean() < 0.98
    netx.write(net, tmp_path / "a.net")
    netx.write(stock.branched(), tmp_path / "branched.net")
    np.save(tmp_path / "a.npy", sent)
    jobs = json.dumps([(str(tmp_path / "a"), 0)])
    command = [sys.executable, stock.__file__, str(tmp_path), jobs]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    with np.load(tmp_path / "a.npz") as found:
        np.testing.assert_array_equal(found["spikes"], expected)


def test_training_moves_delays_to_where_the_loss_wants_them() -> None:
    """A leaky read-out remembers when it was hit: its membranes are those of delays 5 and 2."""
    torch.manual_seed(3)
    each = Conv(2, (1, 1), groups=2)
    network = Network(
        Input("input", (2, 1, 1)),
        (Population("a", 0.5), Population("out", None, voltage_decay=512)),
        (Projection("input", "a", each), Projection("a", "out", each, 1, max_delay=8)),
        "out",
    )
    model = SpikingNetwork(network)
    with torch.no_grad():
        for projection in network.projections:
            model.synapse(projection.name).synapse.weight.fill_(1.0)
    messages = torch.zeros(1, 2, 1, 1, 16)
    messages[..., 3] = 1.0
    delays = model.delays["a_to_out"].delay
    wanted = []
    for steps in (5, 2):
        delays.data.fill_(steps)
        wanted.append(model(messages).detach()[0, len(wanted), 0, 0])
    delays.data.fill_(1.5)
    optimiser, moves = torch.optim.Adam([delays], 0.05), set()
    for _ in range(400):
        loss = (model(messages)[0, :, 0, 0] - torch.stack(wanted)).square().sum()
        moves.add(model.delay("a_to_out"))
        if not loss:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert model.delay("a_to_out") == (5, 2)
    assert len(moves) > 3


@pytest.mark.slow
def test_a_recipe_asks_for_learned_delays_and_gets_them_in_its_file(tmp_path: Path) -> None:
    settings = [
        "data.options={train: 40, test: 10}",
        "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
        "training.epochs=2",
        "training.max_delay=3",
        "training.delay_learning_rate=0.5",
        "finetune.epochs=1",
    ]
    run = train(recipes.load("demo", settings), tmp_path / "run", progress=False)
    net = export.export(run, progress=False)
    moved = [p for p in net.network.projections if p.by_channel]
    assert moved
    assert all(0 <= p.shortest < p.longest <= 3 for p in moved)
    assert netx.read(run.path / "net.net").network == net.network
    pictures = np.stack([run.data.test[i][0] for i in range(2)])
    encoded = net.encoder.encode(pictures)
    verdict = verify_spikes(net, encoded, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)


def test_an_artificial_network_has_no_delays_to_learn(tmp_path: Path) -> None:
    data = "data={name: digits-photos, options: {train: 20, test: 4}}"
    recipe = recipes.load("quick-ann-fcn", [data, "training.max_delay=3"])
    with pytest.raises(LavasegError, match=r"max_delay is 3, but 'ann_fcn' sends no spikes"):
        train(recipe, tmp_path / "run", progress=False)


@pytest.mark.parametrize(("value", "words"), [(63, "less than or equal to 62"), (-1, "greater")])
def test_a_recipe_with_delays_out_of_range_is_named(value: int, words: str) -> None:
    with pytest.raises(LavasegError, match=rf"training.max_delay.*{words}"):
        recipes.load("demo", [f"training.max_delay={value}"])
