"""Populations that feed back to themselves: trained, exported and run as any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava import run_inprocess
from lavaseg.encoders import Direct, Poisson
from lavaseg.export.lowering import choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
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
)
from lavaseg.network.integers import Bias, IntegerNetwork, RangeError
from lavaseg.network.ranges import CURRENT_LIMIT, bounds, check_loops, check_ranges
from lavaseg.results.energy import account
from lavaseg.training.network import SpikingNetwork

SOURCE = Input("input", (2, 4, 4))


def looped(*loops: Projection, steps: int = 6, weight: int = 40) -> IntegerNetwork:
    """input -> a -> b (with a bias, so that it fires without input) -> read-out."""
    network = Network(
        SOURCE,
        (Population("a", 60), Population("b", 90, 2000, 300, bias=True), Population("out", None)),
        (
            Projection("input", "a", ConvTranspose(3, 2, 2)),
            Projection("a", "b", Conv(3, 3, 2, 1)),
            Projection("b", "out", Dense(2)),
            *loops,
        ),
        "out",
    )
    rng = np.random.default_rng(0)
    weights = {
        p.name: 2 * rng.integers(-weight // 2, weight, network.synapse_shape(p), np.int16)
        for p in network.projections
    }
    bias = Bias(np.array([100, -20, 60]))
    return IntegerNetwork(network, weights, Poisson(steps), ("no", "yes"), {"b": bias})


def spikes(samples: int = 4, steps: int = 6) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.random((samples, steps, *SOURCE.shape)) < 0.3).astype(np.uint8)


@pytest.mark.parametrize("operator", [Conv(3, 3, 1, 1), ConvTranspose(3, 3, 1, 1), OneToOne()])
@pytest.mark.parametrize("delay", [1, 2, 6, 9])
def test_loops_of_any_operator_and_delay_are_exact(operator: Operator, delay: int) -> None:
    net = looped(
        Projection("a", "a", operator, delay), Projection("b", "b", operator, delay, "back")
    )
    verdict = verify_spikes(net, spikes(), backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)


def test_loops_of_several_delays_are_exact_on_both_runtimes() -> None:
    loops = [Projection("b", "b", Conv(3, 3, 1, 1), delay, f"b{delay}") for delay in (2, 1, 4)]
    backends = ("torch", "lava-inprocess", "lava")
    verdict = verify_spikes(looped(*loops), spikes(2), backends=backends, progress=False)
    assert verdict.ok, str(verdict.first_difference)


@pytest.mark.parametrize("delay", [1, 3])
def test_no_sample_hears_the_one_before(delay: int) -> None:
    net = looped(Projection("b", "b", Conv(3, 3, 1, 1), delay))
    alone = run_inprocess(net, spikes()[2:], record="all")
    together = run_inprocess(net, spikes(), record="all")
    assert alone.spikes["b"].any()
    np.testing.assert_array_equal(together.spikes["b"][2:], alone.spikes["b"])


@pytest.mark.parametrize("delay", [1, 2])
def test_gradients_are_those_of_the_loop_written_out(delay: int) -> None:
    """A population that feeds back is a chain of copies that share their weights."""
    steps, copies = 5, 5
    readout, drive = Population("out", None), Conv(3, 3, 1, 1)
    back, out = Conv(3, 3, 1, 1), Dense(2)
    loop = SpikingNetwork(
        Network(
            SOURCE,
            (Population("p", 1.0, 2000, 500), readout),
            (
                Projection("input", "p", drive, name="drive"),
                Projection("p", "p", back, delay, "back"),
                Projection("p", "out", out, name="out"),
            ),
            "out",
        )
    )
    chain = SpikingNetwork(
        Network(
            SOURCE,
            (*(Population(f"p{i}", 1.0, 2000, 500) for i in range(copies)), readout),
            (
                *(Projection("input", f"p{i}", drive, name=f"drive{i}") for i in range(copies)),
                *(
                    Projection(f"p{i}", f"p{i + 1}", back, delay, f"back{i}")
                    for i in range(copies - 1)
                ),
                Projection(f"p{copies - 1}", "out", out, name="out"),
            ),
            "out",
        )
    )
    for name, synapse in chain.synapses.items():
        synapse.synapse.weight.data = loop.synapses[name.rstrip("0123456789")].synapse.weight.data
    x = torch.from_numpy(np.moveaxis(spikes(3, steps), 1, -1).astype(np.float32))
    target = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1)
    for model in (loop, chain):
        (model(x) - target).square().sum().backward()
    torch.testing.assert_close(loop(x), chain(x), rtol=0, atol=0)
    for name in ("drive", "back", "out"):
        parts = [s for key, s in chain.synapses.items() if key.rstrip("0123456789") == name]
        wanted = sum(s.synapse.weight.grad for s in parts if s.synapse.weight.grad is not None)
        found = loop.synapses[name].synapse.weight.grad
        assert found.abs().sum() > 0
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_trained_loop_is_exported_and_runs_on_lava() -> None:
    torch.manual_seed(0)
    model = SpikingNetwork(looped(Projection("b", "b", Conv(3, 3, 1, 1), 1)).network)
    weighted = lower(WeightedNetwork.from_model(model))
    net = quantise(weighted, choose_quantisation(weighted), Poisson(6), ("no", "yes"))
    check_ranges(net)
    verdict = verify_spikes(net, spikes(), backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)


def test_weights_that_could_not_be_held_down_are_named() -> None:
    wide = Network(
        Input("input", (1200, 1, 1)),
        (Population("p", 50), Population("out", None)),
        (
            Projection("input", "p", Dense(1)),
            Projection("p", "p", OneToOne(), 1),
            Projection("p", "out", Dense(1)),
        ),
        "out",
    )
    weights = {p.name: np.full(wide.synapse_shape(p), 200, np.int16) for p in wide.projections}
    weights["input_to_p"][:, ::2] *= -1
    net = IntegerNetwork(wide, weights, Poisson(2), ("all",))
    with pytest.raises(RangeError, match=r"'p' feeds back after one step.*must stay below 131071"):
        run_inprocess(net, np.zeros((1, 2, 1200, 1, 1), np.uint8))
    with pytest.raises(RangeError, match="held down between samples"):
        check_loops(net)


def test_graded_input_is_held_down_as_far_as_each_neuron_needs() -> None:
    """Its excitation alone takes most of the 24 bits, of some neurons more than of others."""
    network = Network(
        Input("input", (12, 1, 1), 8),
        (Population("p", 256, 1024, 123), Population("out", None)),
        (
            Projection("input", "p", Dense(7)),
            Projection("p", "p", Dense(7), 1),
            Projection("p", "out", Dense(2)),
        ),
        "out",
    )
    rng = np.random.default_rng(0)
    weights = {
        p.name: 2 * rng.integers(-8, 9, network.synapse_shape(p)).astype(np.int16)
        for p in network.projections
    }
    net = IntegerNetwork(network, weights, Direct(8, bits=8), ("a", "b"))
    check_loops(net)
    population = net.network["p"]
    assert isinstance(population, Population)
    assert bounds(net, population).current > CURRENT_LIMIT / 2
    played = rng.integers(0, 256, (4, 8, 12, 1, 1)).astype(np.uint8)
    verdict = verify_spikes(net, played, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)


def test_the_neurons_and_synapses_that_hold_a_loop_back_are_charged() -> None:
    nets = [looped(), looped(Projection("b", "b", Conv(3, 3, 1, 1), 1))]
    neurons = nets[0].network.neurons("b")
    runs = [simulate(net, spikes()).counts for net in nets]
    counts = [{name: c.sum(0, dtype=np.int64) for name, c in run.items()} for run in runs]
    plain, loop = (
        account(net.network, count, samples=4, steps=net.steps)
        for net, count in zip(nets, counts, strict=True)
    )
    assert loop.neuron_updates == plain.neuron_updates + neurons * 6
    into_b = sum(p.operations for p in loop.projections if p.target == "b")
    back = next(p.operations for p in loop.projections if p.source == p.target)
    assert back > 0
    assert sum(d.operations for d in loop.delays) == into_b + neurons * 4


@pytest.mark.parametrize(
    ("node", "projection", "message"),
    [
        (Population("p"), ("p", OneToOne(), 0), "'p_to_p'.*delay must be at least 1"),
        (Population("p", norm="batch"), ("p", OneToOne(), 1), "'p' feeds back.*without batch norm"),
        (Current("p"), ("p", OneToOne(), 1), "'p' feeds back"),
        (Population("p"), ("p", Conv(3), 1), "'p' gets different shapes"),
    ],
)
def test_loops_that_cannot_be_are_named(
    node: Population, projection: tuple[str, Operator, int], message: str
) -> None:
    name, operator, delay = projection
    with pytest.raises(NetworkError, match=message):
        Network(
            SOURCE,
            (node, Population("out", None)),
            (
                Projection("input", name, OneToOne()),
                Projection(name, name, operator, delay),
                Projection(name, "out", OneToOne()),
            ),
            "out",
        )


def test_a_population_that_hears_only_itself_is_named() -> None:
    with pytest.raises(NetworkError, match="'p' has no incoming"):
        Network(SOURCE, (Population("p"),), (Projection("p", "p", OneToOne(), 1),), "p")
