"""Integer neurons in training: the definition, on every path, and the gradient that is stated."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.kernels import levels as kernels
from lavaseg.kernels import neuron_torch
from lavaseg.kernels.neuron import levels_reference
from lavaseg.network import STATE_LIMIT, Conv, Input, Network, OneToOne, Population, Projection
from lavaseg.recipes import Augment, Rmp, Surrogate, Training
from lavaseg.results.energy import account, describe
from lavaseg.results.membranes import relative
from lavaseg.training import SpikingNetwork
from lavaseg.training.isometry import neuron_phi
from lavaseg.training.loss import rmp_loss
from lavaseg.training.network import Carried
from lavaseg.training.plan import Plan
from lavaseg.training.segmenter import check_plan
from lavaseg.training.slayer.neurons import FLOAT_SCALE, FusedNeuron

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "100"))

counts = st.integers(1, 15)
seeds = st.integers(0, 2**32 - 1)
thresholds = st.sampled_from([0.5, 1.0, 1.5, 0.7, 0.1]) | st.integers(1, 200).map(lambda m: m / 64)


def integer(threshold: float, levels: int, surrogate: Surrogate | None = None) -> FusedNeuron:
    return FusedNeuron(Population("p", threshold, levels=levels), surrogate or Surrogate())


def currents(
    seed: int, threshold: float, levels: int, steps: int = 3, beyond: float = 1e6
) -> torch.Tensor:
    """Random input, half of it at thresholds, a state unit beside them, or beyond every range."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, 4, 5, steps, generator=draws) * threshold * (levels + 1)
    k = torch.randint(-1, levels + 1, x.shape, generator=draws)
    beside = torch.randint(-1, 2, x.shape, generator=draws) / FLOAT_SCALE**2
    tied = (((k + 0.5) * threshold) * 4096).floor() / 4096 + beside
    x = torch.where(torch.rand(x.shape, generator=draws) < 0.5, tied, x)
    far = torch.rand(x.shape, generator=draws) < 0.05
    return torch.where(far, x.sign() * beyond, x)


def defined(x: torch.Tensor, threshold: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """What is sent and membranes by the definition, in exact numbers."""
    unit = FLOAT_SCALE * 64
    v = [min(max(int(Fraction(float(a)) * unit), -STATE_LIMIT), STATE_LIMIT) for a in x.flatten()]
    limits = [(Fraction(threshold) * (2 * k + 1)) / 2 * unit for k in range(levels)]
    sent = [sum(y > limit for limit in limits) for y in v]
    return np.reshape(sent, x.shape), np.reshape(np.array(v) / unit, x.shape)


@settings(max_examples=EXAMPLES, deadline=None)
@given(levels=counts, threshold=thresholds, seed=seeds)
def test_what_is_sent_is_the_definition_on_every_path(
    levels: int, threshold: float, seed: int
) -> None:
    neuron = integer(threshold, levels)
    threshold = neuron.threshold  # in whole weight units, as SLAYER has it
    x = currents(seed, threshold, levels)
    expected, volts = defined(x, threshold, levels)
    sent, membrane = neuron.respond(x, record="all")
    assert membrane is not None
    assert np.array_equal(sent.numpy(), expected)
    assert np.array_equal(membrane.numpy(), volts)
    assert np.array_equal(neuron_torch.levels_sent(x, neuron.starts).numpy(), expected)
    assert np.array_equal(neuron_torch.level_membranes(x, neuron.s_scale).numpy(), volts)
    again, last = neuron.respond(x, record="last")
    assert last is not None
    assert torch.equal(again, sent)
    assert torch.equal(last, membrane[..., -1:])


@settings(max_examples=EXAMPLES, deadline=None)
@given(levels=counts, threshold=st.integers(1, 9000), seed=seeds)
def test_the_kernel_equals_the_reference_in_whole_weight_units(
    levels: int, threshold: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    synaptic = rng.integers(-1, 2 * levels + 2, (3, 700)) * threshold // 2
    synaptic += rng.integers(-1, 2, synaptic.shape)
    bias = rng.integers(-4095, 4096, 700)
    expected, volts = levels_reference(synaptic, threshold=threshold, levels=levels, bias=bias)
    current = (synaptic + bias / 64).astype(np.float32)
    if np.abs(current).max() * 64 >= 2**23:
        return
    starts = kernels.level_starts(threshold, levels)
    flat = np.ascontiguousarray(current.reshape(-1))
    assert np.array_equal(kernels.levels_sent(flat, starts).reshape(current.shape), expected)
    assert np.array_equal(kernels.level_membranes(flat).reshape(current.shape) * 64, volts)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    # half of it, too, is whole in SLAYER's weight units
    threshold=st.integers(1, 100).map(lambda m: m / 32),
    seed=seeds,
    kind=st.sampled_from(["slayer", "triangle", "rectangle"]),
)
def test_one_level_is_a_binary_neuron_of_half_the_threshold_that_forgets(
    threshold: float, seed: int, kind: str
) -> None:
    """With the surrogate of that neuron, which is as wide and as high in twice its threshold."""
    x = currents(seed, threshold, 1, beyond=1e5)
    binary = Population("p", threshold / 2, voltage_decay=4096)
    twice = Surrogate(kind=kind, width=1.4, height=0.3 if kind != "slayer" else 0.6)
    once = Surrogate(kind=kind, width=0.7, height=0.6)
    found = []
    for neuron in (FusedNeuron(binary, twice), integer(threshold, 1, once)):
        leaf = x.clone().requires_grad_()
        sent = neuron(leaf)
        sent.sum().backward()
        found.append((sent.detach(), leaf.grad))
    assert torch.equal(found[0][0], found[1][0])
    edge = (x - threshold / 2 + 0.35 * threshold).abs() < 1e-3  # open there, closed with binary
    torch.testing.assert_close(found[0][1][~edge], found[1][1][~edge], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["slayer", "triangle", "rectangle"])
@pytest.mark.parametrize("width", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("levels", [1, 4, 15])
def test_the_gradient_is_that_of_one_surrogate_for_each_level(
    kind: str, width: float, levels: int
) -> None:
    """Against autograd of their integrals, written out."""
    surrogate = Surrogate(kind=kind, width=width, height=0.8)
    theta, neuron = 0.75, integer(0.75, levels, surrogate)
    draws = torch.Generator().manual_seed(levels)
    x = torch.randn(2, 3, 4, 5, 3, generator=draws) * theta * levels
    of_sent, of_membrane = (torch.randn(x.shape, generator=draws) for _ in range(2))
    leaf = x.clone().requires_grad_()
    sent, membrane = neuron.respond(leaf, record="all")
    assert membrane is not None
    (sent * of_sent + membrane * of_membrane).sum().backward()
    v = membrane.detach().double().requires_grad_()
    smooth = torch.zeros_like(v)
    for k in range(levels):
        z = (v - (k + 0.5) * theta - (1 / 4096 if kind == "slayer" else 0)) / (width * theta)
        if kind == "slayer":
            smooth = smooth + 0.4 * z.sign() * (1 - torch.exp(-z.abs()))
        elif kind == "triangle":
            within = z.clamp(-1, 1)
            smooth = smooth + 0.8 * width * (within - within * within.abs() / 2)
        else:
            smooth = smooth + 0.8 * width * z.clamp(-0.5, 0.5)
    (smooth * of_sent + v * of_membrane).sum().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad.double(), v.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        neuron.slope(membrane.detach()) * of_sent + of_membrane, leaf.grad, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("surrogate", "beyond"), [(Surrogate(), 0.5), (Surrogate(kind="rectangle"), 0.0)]
)
def test_the_gradient_goes_straight_through_between_the_levels_and_nowhere_beyond(
    surrogate: Surrogate, beyond: float
) -> None:
    neuron = integer(2.0, 4, surrogate)
    inside = torch.linspace(2 * 0.51, 2 * 3.49, 300)
    outside = torch.cat([torch.linspace(-9, -2 * beyond - 0.01, 50), torch.linspace(9.01, 20, 50)])
    slope = neuron.slope(torch.cat([inside, outside]))
    torch.testing.assert_close(slope[:300], torch.full((300,), 0.5))
    assert not slope[300:].any()


def test_membranes_of_the_last_step_alone_give_their_gradient() -> None:
    neuron, found = integer(1.0, 4), []
    for record in ("all", "last"):
        x = currents(5, 1.0, 4).requires_grad_()
        sent, membrane = neuron.respond(x, record=record)
        assert membrane is not None
        (sent.sum() + membrane[..., -1].square().sum()).backward()
        found.append(x.grad)
    assert torch.equal(*found)


def test_forward_mode_is_the_transpose_of_the_backward_pass() -> None:
    neuron = integer(1.0, 4)
    x = currents(7, 1.0, 4)
    x = torch.where(x.abs() > 1e5, torch.zeros(()), x)
    change = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.clone().requires_grad_(), change)
        moved = torch.autograd.forward_ad.unpack_dual(neuron(dual)).tangent
    leaf = x.clone().requires_grad_()
    (neuron(leaf) * weights).sum().backward()
    torch.testing.assert_close((moved * weights).sum(), (leaf.grad * change).sum())


def network(levels: int = 4, norm: str = "batch") -> Network:
    """Two layers of integer neurons, a skip as a current, and a read-out."""
    nodes = (
        Population("a", 1.0, norm=norm, levels=levels, bias=True),
        Population("b", 0.5, norm=norm, levels=levels),
        Population("readout", None),
    )
    projections = (
        Projection("input", "a", Conv(6, (3, 3), padding=(1, 1))),
        Projection("a", "b", Conv(6, (3, 3), padding=(1, 1))),
        Projection("a", "b", OneToOne(), name="skip"),
        Projection("b", "readout", Conv(2, (1, 1))),
    )
    return Network(Input("input", (2, 6, 5), 6), nodes, projections, "readout")


def messages(steps: int, constant: bool = True) -> torch.Tensor:
    draws = torch.Generator().manual_seed(3)
    x = torch.randint(0, 64, (4, 2, 6, 5, 1 if constant else steps), generator=draws).float()
    return x.expand(-1, -1, -1, -1, steps) if constant else x


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_constant_input_is_computed_once_and_gives_the_same(norm: str) -> None:
    torch.manual_seed(0)
    model = SpikingNetwork(network(norm=norm), steps=4)
    sent: list[dict[str, torch.Tensor]] = [{}, {}]
    gradients = []
    for index, x in enumerate((messages(4), messages(4).contiguous())):
        model.zero_grad()
        readout = model(x, lambda node, s, _, i=index: sent[i].update({node.name: s.detach()}))
        readout.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert {name for name, s in sent[0].items() if s.stride(-1) == 0} == {"a", "b"}
    for name in ("a", "b"):
        assert torch.equal(sent[0][name], sent[1][name])
        assert 1 < sent[0][name].max() <= 4
    for once, each in zip(*gradients, strict=True):
        torch.testing.assert_close(once, each, rtol=1e-3, atol=1e-3)


def test_pieces_of_a_sample_are_the_whole_sample_since_nothing_is_kept() -> None:
    torch.manual_seed(0)
    model = SpikingNetwork(network()).eval()
    x = messages(6, constant=False)
    with torch.no_grad():
        whole = model(x)
        carried = Carried()
        for piece in x.split(2, -1):
            found = model(piece, carried=carried)
    assert torch.equal(found, whole)


def test_isometry_takes_the_slope_of_all_levels() -> None:
    torch.manual_seed(0)
    model = SpikingNetwork(network()).eval()
    seen: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        model(
            messages(2, constant=False), lambda n, _, v: seen.update({n.name: v}), membranes="all"
        )
    for population in model.network.populations[:2]:
        theta, levels = model.neuron(population.name).threshold, population.levels or 0
        v = seen[population.name] / theta
        slope = (v + 0.5).clamp(0, 1) * (levels + 0.5 - v).clamp(0, 1) / theta
        expected = float(slope.square().mean())
        assert expected > 0.1
        assert neuron_phi(model, population, seen[population.name]) == pytest.approx(
            expected, rel=1e-4
        )


def test_spikes_and_operations_count_as_many_as_the_number_that_is_sent() -> None:
    torch.manual_seed(0)
    model = SpikingNetwork(network()).eval()
    spikes = messages(2, constant=False).permute(0, 4, 1, 2, 3).to(torch.uint8).numpy()
    activity = model.run(spikes)
    for name in ("a", "b"):
        assert activity.spikes[name].max() > 1
        assert np.array_equal(activity.counts[name], activity.spikes[name].sum(1))
    assert np.array_equal(activity.counts["input"], (spikes != 0).sum(1))
    sums = {name: count.sum(0) for name, count in activity.counts.items()}
    rows = {row.name: row for row in account(model.network, sums, 4, 2).projections}
    assert rows["b_to_readout"].operations == 2 * sums["b"].sum()
    assert rows["levels_of_b"].operations == 4 * 2 * 4 * model.network.neurons("b")
    rates = {layer.name: layer.arriving for layer in describe(model.network, sums, 4, 2).layers}
    assert rates["b_to_readout"] == sums["b"].sum() / 4 / model.network.neurons("b")
    sums["b"] = np.full_like(sums["b"], 4 * 2 * 4 + 1)
    with pytest.raises(LavasegError, match=r"'b' reach .* possible are 0 to 32"):
        account(model.network, sums, 4, 2)


@pytest.mark.parametrize("target", ["spike", "nearest", "centred"])
def test_rmp_draws_membranes_to_the_nearest_level(target: str) -> None:
    population = Population("p", 0.5, levels=3)
    membrane = torch.tensor([-1.0, 0.1, 0.3, 0.7, 1.4, 4.0]).reshape(1, 1, 1, -1, 1)
    sent, _ = integer(0.5, 3).respond(membrane)
    nearest = torch.tensor([0, 0, 0.5, 0.5, 1.5, 1.5]).reshape(membrane.shape)
    loss = rmp_loss(Rmp(weight=1, target=target), population, sent, membrane)
    torch.testing.assert_close(loss, (membrane - nearest).square().mean())


def test_rmp_after_a_reset_is_refused_by_name() -> None:
    rmp = Rmp(weight=0.1, membrane="post_reset")
    plan = Plan(Training(epochs=1), Direct(1, 6), 0, 1.0, rmp, None, Augment(), None)
    model = SpikingNetwork(network())
    with pytest.raises(
        LavasegError, match=r"rmp\.membrane: population 'a' has levels .* pre_reset"
    ):
        check_plan(model, plan)


def test_a_membrane_is_seen_from_the_nearest_threshold() -> None:
    membranes = np.array([-1.0, 0.5, 0.9, 1.1, 2.5, 3.4, 9.0])
    found = relative(membranes * 0.25, 0.25, 3)
    np.testing.assert_allclose(found, [-0.5, 1.0, 1.4, 0.6, 1.0, 1.9, 7.5])
    np.testing.assert_allclose(relative(membranes, 0.5), 2 * membranes)
