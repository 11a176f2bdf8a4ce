"""Norms: what they compute, how they start, what they become on hardware."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lavaseg import recipes
from lavaseg.deploy import verify, verify_spikes
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.export import export
from lavaseg.export.finetune import quantised_model, tuned_values
from lavaseg.export.lowering import choose_quantisation, fold_norms, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import Conv, Current, Input, Network, Node, OneToOne, Population, Projection
from lavaseg.network.integers import IntegerNetwork, RangeError
from lavaseg.network.ranges import check_ranges
from lavaseg.netx import read, stock_loadable, write
from lavaseg.recipes import Surrogate
from lavaseg.results.energy import account, describe, estimates
from lavaseg.training import SpikingNetwork, train
from lavaseg.training.norm import BatchNormOverTime, StepNorm

STEPS = 4


def residual(norm: str, **changes: object) -> Network:
    """Neurons with decays, and a residual current that reaches the read-out a step late."""
    nodes = (
        Population("fire", 2.0, current_decay=1024, voltage_decay=300, norm=norm),
        Population("next", 0.75, norm=norm, bias=True),
        Current("branch", norm=norm, bias=True),
        Population("out", None),
    )
    same = Conv(4, (3, 3), padding=(1, 1))
    projections = (
        Projection("input", "fire", same),
        Projection("fire", "next", same),
        Projection("next", "branch", same),
        Projection("branch", "out", OneToOne(), delay=1 if norm == "bntt_shift" else 0),
        Projection("fire", "out", OneToOne()),
    )
    net = Network(Input("input", (2, 6, 5)), nodes, projections, "out")
    return net.replace_nodes({"branch": changes})


def trained(norm: str, seed: int = 0, **changes: object) -> SpikingNetwork:
    """A network with lively norms and biases, as after training."""
    torch.manual_seed(seed)
    model = SpikingNetwork(residual(norm, **changes), steps=STEPS)
    with torch.no_grad():
        for values in [*model.norms.parameters(), *model.biases.parameters()]:
            values += 0.3 * torch.randn_like(values)
        for name, values in model.norms.named_buffers():
            if values.is_floating_point():
                values += torch.rand_like(values) * (1.0 if name.endswith("var") else -0.5)
    return model.eval()


def messages(samples: int = 3, steps: int = STEPS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(samples, 2, 6, 5, steps, generator=generator) < 0.4).float()


def integers(model: SpikingNetwork) -> tuple[IntegerNetwork, WeightedNetwork]:
    weighted = lower(WeightedNetwork.from_model(model))
    classes = tuple("abcd")
    return quantise(weighted, choose_quantisation(weighted), Poisson(STEPS), classes), weighted


# -- what they compute ---------------------------------------------------------------------------


def test_the_scale_of_a_norm_starts_at_the_threshold_or_where_the_description_says() -> None:
    for norm in ("batch", "bntt", "bntt_shift"):
        model = SpikingNetwork(residual(norm, norm_scale=0.0), steps=STEPS)
        starts = {
            name: set(module.weight.flatten().tolist()) for name, module in model.norms.items()
        }
        assert starts == {"fire": {2.0}, "next": {0.75}, "branch": {0.0}}


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_through_time_is_a_batch_norm_without_shift_for_each_step(
    training: bool,
) -> None:
    """Kim and Panda 2021: T copies, eps 1e-4, no beta; forward, gradients, running statistics."""
    torch.manual_seed(0)
    ours = StepNorm(3, STEPS, 0.5, shared=False).train(training)
    copies = [nn.BatchNorm2d(3, eps=1e-4) for _ in range(STEPS)]
    for t, copy in enumerate(copies):
        copy.train(training)
        nn.init.constant_(copy.weight, 0.5)
        copy.running_mean = ours.running_mean[t].clone()
        copy.running_var = ours.running_var[t].clone()
    x = torch.randn(2, 3, 4, 5, STEPS, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found = ours(x)
    wanted = torch.stack([copy(y[..., t]) for t, copy in enumerate(copies)], -1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    found.square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-5)
    for t, copy in enumerate(copies):
        torch.testing.assert_close(ours.weight.grad[t], copy.weight.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.running_mean[t], copy.running_mean)
        torch.testing.assert_close(ours.running_var[t], copy.running_var)


def test_a_shared_scale_makes_a_static_factor_and_a_shift_for_each_step() -> None:
    torch.manual_seed(0)
    norm = StepNorm(3, STEPS, shared=True)
    x = torch.randn(8, 3, 6, 7, STEPS) * 3 + torch.arange(STEPS)
    y = norm(x)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(3, STEPS), atol=1e-5, rtol=0)
    assert y.var((0, 2, 3, 4)).allclose(torch.ones(3), atol=1e-2)
    for _ in range(200):
        norm(x)
    torch.testing.assert_close(norm.eval()(x), y, rtol=2e-3, atol=2e-3)
    scale, shift = norm.folded()
    assert (scale.shape, shift.shape) == ((3,), (STEPS, 3))
    folded = x * scale.view(-1, 1, 1, 1) + shift.T.view(3, 1, 1, STEPS)
    torch.testing.assert_close(norm(x), folded)


def test_one_step_with_a_shared_scale_is_plain_batch_norm() -> None:
    x = torch.randn(4, 3, 5, 6, 1)
    shared, plain = StepNorm(3, 1, 0.7, shared=True), BatchNormOverTime(3, 0.7)
    plain.eps = shared.eps
    torch.testing.assert_close(shared(x), plain(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shared.eval()(x), plain.eval()(x), rtol=1e-4, atol=1e-5)


def test_the_number_of_steps_is_asked_for_and_kept_to() -> None:
    for changes in ({"norm": "bntt"}, {"clock": True}):
        net = residual("batch").replace_nodes({"fire": changes})
        with pytest.raises(LavasegError, match="give the number of steps"):
            SpikingNetwork(net)
        with pytest.raises(LavasegError, match=f"each of {STEPS} steps, the input has 3"):
            SpikingNetwork(net, steps=STEPS)(messages(steps=3))


@pytest.mark.parametrize("norm", ["bntt", "bntt_shift"])
def test_norms_through_time_learn(norm: str) -> None:
    torch.manual_seed(0)
    model = SpikingNetwork(residual(norm), steps=STEPS)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    inputs, target = messages(8), torch.randn(8, 4, 6, 5)
    losses = []
    for _ in range(30):
        loss = (model(inputs) / STEPS - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    for module in model.norms.values():
        assert module.weight.grad.abs().sum() > 0


# -- what they become ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("norm", ["batch", "bntt_shift"])
def test_lowering_changes_nothing_but_by_rounding(norm: str, seed: int) -> None:
    model = trained(norm, seed)
    lowered = lower(WeightedNetwork.from_model(model))
    assert {p.name for p in lowered.network.populations if p.clock} == (
        {"fire", "next", "out"} if norm == "bntt_shift" else set()
    )
    after = lowered.to_model()
    seen: list[dict[str, torch.Tensor]] = []
    for network in (model, after):
        membranes: dict[str, torch.Tensor] = {}

        def observe(
            node: Node,
            _: torch.Tensor,
            membrane: torch.Tensor | None,
            membranes: dict[str, torch.Tensor] = membranes,
        ) -> None:
            if membrane is not None:
                membranes[node.name] = membrane

        with torch.no_grad():
            network(messages(), observe, membranes="all")
        seen.append(membranes)
    tolerance = 40 / 4096  # each step cuts u and v to 1/4096
    torch.testing.assert_close(seen[0]["fire"], seen[1]["fire"], rtol=0, atol=tolerance)
    agree = (seen[0]["next"] - seen[1]["next"]).abs() < tolerance
    assert agree.float().mean() > 0.95  # the rest saw a spike that rounding flipped


@pytest.mark.parametrize("norm", ["batch", "bntt_shift"])
def test_a_channel_that_never_saw_a_spike_takes_no_range_from_the_others(norm: str) -> None:
    """Its norm would multiply by 1 / sqrt(eps), and leave the others no 8 bits."""
    net = Network(
        Input("input", (3, 5, 4)),
        (Population("fire", 1.0, norm=norm), Population("out", None)),
        (
            Projection("input", "fire", Conv(3, (3, 3), padding=(1, 1), groups=3)),
            Projection("fire", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    torch.manual_seed(0)
    model = SpikingNetwork(net, steps=STEPS)
    spikes = (torch.rand(6, 3, 5, 4, STEPS) < 0.4).float()
    spikes[:, 1] = 0  # what feeds the second channel is silent
    for _ in range(300):
        model(spikes)
    model.norm("fire").bias.data.uniform_(0.2, 0.6)
    model.eval()
    assert model.norm("fire").folded()[0].abs()[1] > 50
    lowered = lower(WeightedNetwork.from_model(model))
    assert not lowered.weights["input_to_fire"][1].any()
    assert choose_quantisation(lowered).scales["fire"] > 30
    with torch.no_grad():
        assert torch.allclose(lowered.to_model()(spikes), model(spikes), atol=1e-3)


def test_a_clock_takes_back_what_a_slow_current_leaves_of_the_step_before() -> None:
    """u of the clock alone, filtered as hardware does, is the shift of each step."""
    model = trained("bntt_shift")
    before = fold_norms(WeightedNetwork.from_model(model))
    after = lower(WeightedNetwork.from_model(model))
    kept, u = 1 - 1024 / 4096, np.zeros(4)
    for wanted, clock in zip(before.biases["fire"], after.clocks["fire"], strict=True):
        u = kept * u + clock
        np.testing.assert_allclose(u + after.biases["fire"], wanted, atol=1e-12)


def test_a_scale_that_differs_from_step_to_step_is_refused_with_what_to_do() -> None:
    for name in ("fire", "branch"):
        net = residual("batch").replace_nodes({name: {"norm": "bntt"}})
        model = SpikingNetwork(net, steps=STEPS)
        with pytest.raises(LavasegError, match=f"'{name}' uses norm 'bntt'.*'bntt_shift'"):
            lower(WeightedNetwork.from_model(model))


def test_a_shift_that_a_slow_target_would_smear_is_refused() -> None:
    model = trained("bntt_shift")
    slow = model.network.replace_nodes({"out": {"current_decay": 2048}})
    weighted = WeightedNetwork.from_model(model).replace(network=slow)
    with pytest.raises(LavasegError, match="'branch_to_out', whose target's current_decay"):
        lower(weighted)


@pytest.mark.parametrize("seed", range(2))
def test_a_shift_for_each_step_runs_on_lava_spike_for_spike(seed: int) -> None:
    net, _ = integers(trained("bntt_shift", seed))
    assert set(net.clocks) == {"fire", "next", "out"}
    assert all(np.ptp(clock, axis=0).max() > 0 for clock in net.clocks.values())
    spikes = messages(5).permute(0, 4, 1, 2, 3).numpy().astype(np.uint8)
    backends = ("torch", "lava-inprocess", "lava") if seed == 0 else ("torch", "lava-inprocess")
    verdict = verify_spikes(net, spikes, backends=backends, progress=False)
    assert verdict.ok, str(verdict.first_difference)
    assert all(row.spikes for row in verdict.rows if row.population in ("fire", "next"))


def test_fine_tuning_trains_the_clock_through_its_rounding() -> None:
    net, weighted = integers(trained("bntt_shift"))
    quantisation = choose_quantisation(weighted)
    model = quantised_model(net, weighted, quantisation, Surrogate())
    spikes = messages().permute(0, 4, 1, 2, 3).numpy().astype(np.uint8)
    model(messages()).sum().backward()
    assert all(clock.grad.abs().sum() > 0 for clock in model.clocks.values())
    with torch.no_grad():
        for clock in model.clocks.values():
            clock += 0.02 * torch.randn_like(clock)
    tuned = tuned_values(model, weighted, quantisation)
    moved = quantise(tuned, quantisation, net.encoder, net.classes)
    assert any((moved.clocks[name] != net.clocks[name]).any() for name in net.clocks)
    expected = SpikingNetwork.from_integers(moved).run(spikes)
    found = model.eval().run(spikes)
    np.testing.assert_array_equal(found.readout, expected.readout)


@pytest.mark.slow
def test_a_recipe_s_norm_decides_what_export_does(tmp_path: Path) -> None:
    fields = [
        "data.options={train: 48, test: 4}",
        "training.epochs=1",
        "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 4]",
        "model.options.output_stride=2",
    ]
    for norm in ("bntt", "bntt_shift"):
        recipe = recipes.load("demo", [*fields, f"model.options.norm={norm}"])
        run = train(recipe, tmp_path / norm, progress=False)
        if norm == "bntt":
            with pytest.raises(LavasegError, match="'conv1' uses norm 'bntt'"):
                export(run, progress=False)
            continue
        net = export(run, progress=False)  # fine-tuned, too
        assert set(net.clocks) == {f"conv{i}" for i in range(1, 9)}
        pictures = np.stack([run.data.test[i][0] for i in range(4)])
        verdict = verify(net, pictures, backends=("torch", "lava-inprocess"), progress=False)
        assert verdict.ok, str(verdict.first_difference)


# -- what it costs, where it is kept -------------------------------------------------------------


def test_a_clock_costs_one_operation_for_each_neuron_and_step() -> None:
    net, _ = integers(trained("bntt_shift"))
    shapes = net.network.shapes
    counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
    energy = account(net.network, counts, 5, STEPS)
    clocks = {p.target: p for p in energy.projections if p.kind == "clock"}
    assert set(clocks) == set(net.clocks)
    for name, row in clocks.items():
        assert row.operations == 5 * STEPS * net.network.neurons(name)
    plain = net.network.replace_nodes({name: {"clock": False} for name in net.clocks})
    without = account(plain, counts, 5, STEPS)
    assert without.operations_into("fire") == 0
    works = [describe(network, counts, 5, STEPS) for network in (net.network, plain)]
    assert estimates(works[0]) == estimates(works[1])
    assert works[0].real_pass == works[1].real_pass


def test_the_range_proof_counts_the_clock() -> None:
    net, _ = integers(trained("bntt_shift"))
    (before,) = [r for r in check_ranges(net) if r.name == "next"]
    clocks = {**net.clocks, "next": np.full_like(net.clocks["next"], 254)}
    (after,) = [
        r for r in check_ranges(dataclasses.replace(net, clocks=clocks)) if r.name == "next"
    ]
    assert after.current > before.current
    clocks["next"] = clocks["next"] + 2
    with pytest.raises(RangeError, match=r"clock of population 'next'.* 256"):
        dataclasses.replace(net, clocks=clocks)


def test_clocks_are_checked_against_the_description() -> None:
    net, _ = integers(trained("bntt_shift"))
    with pytest.raises(LavasegError, match="clocks are given for"):
        dataclasses.replace(net, clocks={})
    clocks = {**net.clocks, "next": net.clocks["next"][1:]}
    with pytest.raises(
        LavasegError, match=r"'next': its clock has shape \(3, 4\), expected \(4, 4\)"
    ):
        dataclasses.replace(net, clocks=clocks)


def test_a_chain_with_a_clock_is_no_file_for_stock_netx(tmp_path: object) -> None:
    source = Input("input", (1, 3, 3))
    nodes = (Population("a", 5, clock=True), Population("out", None))
    projections = (
        Projection("input", "a", Conv(2, (1, 1))),
        Projection("a", "out", Conv(2, (1, 1))),
    )
    weights = {p.name: np.full((2, 1 + (p.name == "a_to_out"), 1, 1), 4) for p in projections}
    clocks = {"a": np.arange(0, 4 * STEPS, 2).reshape(STEPS, 2)}
    net = IntegerNetwork(
        Network(source, nodes, projections, "out"),
        weights,
        Poisson(STEPS),
        ("x", "y"),
        clocks=clocks,
    )
    assert stock_loadable(net) == (
        False,
        "population 'a' has a clock, a current of its own for each step",
    )
    path = tmp_path / "clock.net"  # type: ignore[operator]
    write(net, path)
    np.testing.assert_array_equal(read(path).clocks["a"], clocks["a"])


def test_a_norm_over_a_single_value_says_what_to_change() -> None:
    norm = BatchNormOverTime(3)
    with pytest.raises(LavasegError, match=r"1x1 pixels .* batch_size of at least 2"):
        norm(torch.ones(1, 3, 1, 1, 1))
    norm(torch.ones(2, 3, 1, 1, 1))
    norm.eval()(torch.ones(1, 3, 1, 1, 1))
