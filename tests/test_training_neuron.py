"""The fused neuron is SLAYER's neuron: same spikes, same gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lava.lib.dl import slayer

from lavaseg.kernels.neuron_torch import filter_current_steps, fire_steps
from lavaseg.network import Conv, Dense, Population
from lavaseg.recipes import Surrogate
from lavaseg.training.slayer.neurons import FusedNeuron, time_first
from lavaseg.training.slayer.synapses import Synapse

populations = st.builds(
    Population,
    st.just("p"),
    threshold=st.integers(1, 2000).map(lambda mantissa: mantissa / 64),
    current_decay=st.sampled_from([4096, 4095, 2048, 300, 1]),
    voltage_decay=st.sampled_from([0, 1, 41, 1024, 4095]),
)


def slayer_neuron(population: Population, surrogate: Surrogate) -> torch.nn.Module:
    neuron = slayer.neuron.cuba.Neuron(
        threshold=population.threshold,
        current_decay=population.current_decay / 4096,
        voltage_decay=population.voltage_decay / 4096,
        tau_grad=surrogate.width / 100,  # SLAYER multiplies by 100 and 0.1
        scale_grad=surrogate.height * 10,
    )
    neuron.threshold_eps = 1 / neuron.s_scale
    return neuron


def currents(seed: int, threshold: float, steps: int) -> torch.Tensor:
    """Random input, half of it on whole weight units, where v meets the threshold exactly."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, 4, 5, steps, generator=generator) * threshold
    on_grid = torch.rand(x.shape, generator=generator) < 0.5
    return torch.where(on_grid, (x * 64).round() / 64, x)


@settings(max_examples=60, deadline=None)
@given(population=populations, seed=st.integers(0, 2**16), steps=st.integers(1, 12))
def test_spikes_equal_slayer_s_bit_for_bit(population: Population, seed: int, steps: int) -> None:
    x = currents(seed, population.threshold or 1.0, steps)
    surrogate = Surrogate(kind="slayer")
    ours = FusedNeuron(population, surrogate)(x)
    theirs = slayer_neuron(population, surrogate)(x)
    assert torch.equal(ours, theirs)


@settings(max_examples=30, deadline=None)
@given(population=populations, seed=st.integers(0, 2**16), steps=st.integers(1, 8))
def test_membranes_equal_slayer_s_bit_for_bit(
    population: Population, seed: int, steps: int
) -> None:
    x = currents(seed, population.threshold or 1.0, steps)
    surrogate = Surrogate(kind="slayer")
    _, membrane = FusedNeuron(population, surrogate).respond(x, record="all")
    _, voltage = slayer_neuron(population, surrogate).dynamics(x)
    assert membrane is not None
    assert torch.equal(membrane, voltage)


@settings(max_examples=30, deadline=None)
@given(population=populations, seed=st.integers(0, 2**16), steps=st.integers(1, 8))
def test_gradients_equal_slayer_s(population: Population, seed: int, steps: int) -> None:
    surrogate = Surrogate(kind="slayer", width=0.5, height=0.7)
    x = currents(seed, population.threshold or 1.0, steps)
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    gradients = []
    for neuron in (FusedNeuron(population, surrogate), slayer_neuron(population, surrogate)):
        leaf = x.clone().requires_grad_()
        (neuron(leaf) * weight).sum().backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["slayer", "triangle", "rectangle"])
@pytest.mark.parametrize("reset", ["ignore", "gate"])
@pytest.mark.parametrize("leak", [0, 1024])
def test_the_fused_backward_equals_plain_torch(kind: str, reset: str, leak: int) -> None:
    surrogate = Surrogate(kind=kind, width=0.8, height=0.6, reset=reset)
    population = Population("p", 1.0, voltage_decay=leak)
    neuron = FusedNeuron(population, surrogate)
    x = currents(3, 1.0, 6).requires_grad_()
    spikes, membrane = neuron.respond(x, record="all")
    assert membrane is not None
    generator = torch.Generator().manual_seed(4)
    of_spikes, of_membrane = (torch.randn(x.shape, generator=generator) for _ in range(2))
    ((spikes * of_spikes) + (membrane * of_membrane)).sum().backward()
    expected = torch.zeros(x.shape)
    carry = torch.zeros(x.shape[:-1])
    for t in reversed(range(x.shape[-1])):
        v = membrane.detach()[..., t]
        distance = (v - (1 + 1 / 4096 if kind == "slayer" else 1)).abs()
        slope = {
            "slayer": 0.6 / 1.6 * torch.exp(-distance / 0.8),
            "triangle": 0.6 * (1 - distance / 0.8).clamp(min=0),
            "rectangle": 0.6 * (distance <= 0.4),
        }[kind]
        if reset == "gate":
            carry = carry * (v <= 1)
        carry = carry * (1 - leak / 4096) + of_spikes[..., t] * slope + of_membrane[..., t]
        expected[..., t] = carry
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reset", ["ignore", "gate"])
def test_nothing_stops_the_gradient_of_a_read_out_which_never_resets(reset: str) -> None:
    neuron = FusedNeuron(Population("p", None, voltage_decay=1024), Surrogate(reset=reset))
    x = torch.full((1, 1, 1, 1, 4), 5.0, requires_grad=True)
    _, membrane = neuron.respond(x, record="last")
    assert membrane is not None
    membrane.sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0.75**3, 0.75**2, 0.75, 1]


@pytest.mark.parametrize("steps", [1, 5])
def test_the_last_membranes_alone_give_the_gradients_of_all_of_them(steps: int) -> None:
    neuron = FusedNeuron(Population("p", 1.0, voltage_decay=512), Surrogate(reset="gate"))
    found = []
    for record in ("all", "last"):
        x = currents(5, 1.0, steps).requires_grad_()
        spikes, membrane = neuron.respond(x, record=record)
        assert membrane is not None
        (spikes.sum() + membrane[..., -1].square().sum()).backward()
        found.append((membrane[..., -1:].detach(), x.grad))
    assert membrane.shape == (*x.shape[:-1], 1)
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)
    assert neuron.respond(x)[1] is None


@settings(max_examples=30, deadline=None)
@given(population=populations, seed=st.integers(0, 2**16), soft=st.booleans())
def test_torch_steps_for_accelerators_equal_the_fused_kernel(
    population: Population, seed: int, soft: bool
) -> None:
    x = currents(seed, population.threshold or 1.0, 7)
    reset = "soft" if soft else "hard"
    neuron = FusedNeuron(
        Population("p", population.threshold, population.current_decay,
                   population.voltage_decay, reset),
        Surrogate(),
    )  # fmt: skip
    spikes, membrane = neuron.respond(x, record="all")
    u = filter_current_steps(time_first(x), population.current_decay, 64 * 64)
    expected, volts, _ = fire_steps(
        u, population.threshold, population.voltage_decay, soft, 64 * 64
    )
    assert membrane is not None
    assert torch.equal(time_first(spikes), expected)
    assert torch.equal(time_first(membrane), volts)


def test_currents_beyond_32_bits_take_membranes_to_their_limits() -> None:
    x = torch.tensor([1e6, -1e6, 1e30, -1e30, 524288.0, -3.0]).reshape(1, 1, 2, 1, 3)
    spikes, membrane = FusedNeuron(Population("p"), Surrogate()).respond(x, record="all")
    limit = (2**23 - 1) / 4096
    assert membrane is not None
    assert membrane.flatten().tolist() == [limit, -limit, limit, -limit, limit, -3]
    assert spikes.flatten().tolist() == [1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    "operator",
    [
        Conv(4, (3, 2), (2, 1), (1, 0), (1, 2)),
        Conv(4, (3, 3), padding=(1, 1), groups=2),
        Dense(5),
    ],
)
def test_folded_time_gives_slayer_s_own_sums(operator: Conv | Dense) -> None:
    source = (2, 6, 7)
    synapse = Synapse(operator, source)
    spikes = (torch.rand(3, *source, 5) < 0.4).float()
    constant = spikes[..., :1].expand_as(spikes)
    for x in (spikes, constant):
        torch.testing.assert_close(synapse(x), synapse.synapse(x.contiguous()))


def test_a_scale_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        FusedNeuron(Population("p"), Surrogate(), scale=63)
    assert np.isclose(FusedNeuron(Population("p"), Surrogate(), scale=1).threshold, 1.0)
