"""A trained network at another T: its values of each step, its slices, its read-out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavaseg.deploy import simulate
from lavaseg.encoders import (
    Direct,
    EncoderError,
    EventHistogram,
    EventPresence,
    Frames,
    Poisson,
    encoder_from_dict,
)
from lavaseg.models import build
from lavaseg.network import Conv, Current, Input, Network, Node, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.steps import clock_at, steps_taken
from lavaseg.training import evaluating
from lavaseg.training.network import Carried, SpikingNetwork
from lavaseg.training.norm import StepNorm

Networks = Callable[..., st.SearchStrategy[IntegerNetwork]]
some = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def step_norm(shared: bool) -> StepNorm:
    """A norm of two steps and one channel, in eval mode."""
    norm = StepNorm(1, 2, shared=shared).eval()
    norm.running_mean.copy_(torch.tensor([[1.0], [2.0]]))
    with torch.no_grad():
        if shared:
            norm.running_var.fill_(4.0 - norm.eps)
            norm.weight.fill_(6.0)
            assert norm.bias is not None
            norm.bias.copy_(torch.tensor([[0.5], [-0.5]]))
        else:
            norm.running_var.copy_(torch.tensor([[4.0], [16.0]]) - norm.eps)
            norm.weight.copy_(torch.tensor([[6.0], [8.0]]))
    return norm


# y = weight (x - mean) / root of the variance (+ shift) at x = 5, by hand
BY_HAND = {
    False: [6 * (5 - 1) / 2, 8 * (5 - 2) / 4],  # 12, 6
    True: [6 * (5 - 1) / 2 + 0.5, 6 * (5 - 2) / 2 - 0.5],  # 12.5, 8.5
}


@pytest.mark.parametrize("shared", [False, True], ids=["bntt", "bntt_shift"])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_norms_take_the_first_steps_and_then_the_last_one_again(shared: bool, steps: int) -> None:
    norm = step_norm(shared)
    norm.set_steps(steps)
    first, last = BY_HAND[shared]
    expected = [first, *[last] * 4][:steps]
    found = norm(torch.full((1, 1, 1, 1, steps), 5.0))
    torch.testing.assert_close(found.flatten(), torch.tensor(expected))


def test_the_trained_number_of_steps_takes_each_step_once() -> None:
    assert steps_taken(4, 4).tolist() == [0, 1, 2, 3]
    assert steps_taken(4, 2).tolist() == [0, 1]
    assert steps_taken(4, 7).tolist() == [0, 1, 2, 3, 3, 3, 3]


def response(clock: np.ndarray, decay: int) -> np.ndarray:
    """The clock's part of the current at each step, (steps, channels)."""
    u, found = np.zeros(clock.shape[1]), []
    for added in clock:
        u = (1 - decay / 4096) * u + added
        found.append(u)
    return np.array(found)


@pytest.mark.parametrize("decay", [4096, 2048, 1000])
def test_a_clock_holds_the_current_of_its_last_step(decay: int) -> None:
    clock = np.array([[10, -4], [6, 20], [-30, 88]], np.int16)
    longer = clock_at(clock, 9, decay)
    assert longer.dtype == clock.dtype
    np.testing.assert_array_equal(longer[:3], clock)
    assert not (longer & 1).any()
    held = response(longer.astype(float), decay)
    worst = 1 / (decay / 4096)  # each value is rounded by at most 1, and the rest decays
    assert np.abs(held[3:] - held[2]).max() <= worst
    np.testing.assert_array_equal(clock_at(clock, 2, decay), clock[:2])


def test_pictures_of_frames_have_their_number_of_steps() -> None:
    assert Frames(4).with_steps(4) == Frames(4)
    with pytest.raises(EncoderError, match="4 frames"):
        Frames(4).with_steps(5)


def test_how_slices_of_recordings_change_is_said() -> None:
    divided = EventPresence(4, (8, 8)).other_slices(8)
    assert divided == "the time of each recording is divided into 8 slices instead of 4"
    fixed = EventHistogram(4, (8, 8), slicing="count", size=500).other_slices(1)
    assert "last 1 slice of 500 events" in fixed
    assert Poisson(4).other_slices(8) == Direct(4).other_slices(8) == ""


@pytest.mark.parametrize("steps", [0, 4097])
def test_steps_out_of_range_are_refused(steps: int) -> None:
    with pytest.raises(EncoderError, match=r"1 to 4096"):
        Poisson(4).with_steps(steps)


def test_a_longer_code_begins_with_the_shorter_one() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, 5, 5), np.uint8)
    encoder = encoder_from_dict({"kind": "poisson", "steps": 3})
    longer = encoder.with_steps(9).encode(picture, seed=4)
    np.testing.assert_array_equal(longer[:, :3], encoder.encode(picture, seed=4))


def messages_of(spikes: np.ndarray) -> torch.Tensor:
    """Spikes (N, T, C, H, W) as a network under training takes them."""
    return torch.from_numpy(spikes).float().permute(0, 2, 3, 4, 1)


def inputs(net: IntegerNetwork, data: st.DataObject) -> np.ndarray:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = (2, net.steps, *net.network.input.shape)
    return rng.integers(0, net.network.input.max_message + 1, shape, np.uint8)


@torch.no_grad()
def in_pieces(
    model: SpikingNetwork, messages: torch.Tensor, sizes: list[int]
) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Read-out, and spikes of each population (N, C, H, W, T), a piece of a sample at a time."""
    seen: dict[str, list[np.ndarray]] = {}

    def keep(node: Node, sent: torch.Tensor, _: torch.Tensor | None) -> None:
        if not isinstance(node, Current):
            seen.setdefault(node.name, []).append(sent.numpy().copy())

    carried = Carried()
    for piece in messages.split(sizes, -1):
        readout = model(piece, keep, carried=carried)
    assert carried.step == messages.shape[-1]
    return readout, {name: np.concatenate(parts, -1) for name, parts in seen.items()}


def cuts(data: st.DataObject, steps: int) -> list[int]:
    sizes: list[int] = []
    while sum(sizes) < steps:
        sizes.append(data.draw(st.integers(1, steps - sum(sizes))))
    return sizes


@some
@given(st.data())
def test_a_sample_in_pieces_gives_the_same_spikes_as_at_once(
    graph_networks: Networks, data: st.DataObject
) -> None:
    net = data.draw(graph_networks())
    spikes = inputs(net, data)
    expected = simulate(net, spikes, record="all")
    model = SpikingNetwork.from_integers(net)
    readout, found = in_pieces(model, messages_of(spikes), cuts(data, net.steps))
    np.testing.assert_array_equal((readout.double() * 64).round().long(), expected.readout)
    for name, sent in found.items():
        np.testing.assert_array_equal(sent.transpose(0, 4, 1, 2, 3), expected.spikes[name], name)


@some
@given(st.data())
def test_an_integer_network_at_another_t_is_the_network_of_training_at_that_t(
    graph_networks: Networks, data: st.DataObject
) -> None:
    net = data.draw(graph_networks())
    steps = data.draw(st.integers(1, 12))
    other = net.with_steps(steps)
    assert other.steps == steps
    for name, clock in net.clocks.items():
        kept = min(steps, net.steps)
        np.testing.assert_array_equal(other.clocks[name][:kept], clock[:kept])
    assert net.with_steps(net.steps) is net
    spikes = inputs(other, data)
    model = SpikingNetwork.from_integers(net)
    model.set_steps(steps)
    for name, held in model.clocks.items():  # floats are not rounded to what hardware holds
        rounded = torch.from_numpy(other.clocks[name].astype(np.float32))
        assert (held - rounded).abs().max() <= 1
        held.data.copy_(rounded)
    found, expected = model.run(spikes), simulate(other, spikes, record="all")
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name, sent in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], sent, name)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["batch", "bntt", "bntt_shift"])
def test_a_trained_network_in_pieces_and_at_its_own_t_is_as_it_was(norm: str) -> None:
    torch.manual_seed(0)
    network = build("spiking_deeplab", Input("input", (3, 16, 16)), 2, channels=[4] * 8, norm=norm)
    model = SpikingNetwork(network, steps=5)
    sent = (torch.rand(2, 3, 16, 16, 5) < 0.6).float()
    model(sent)  # statistics of each step
    model.eval()
    expected = model(sent)
    model.set_steps(5)
    assert torch.equal(model(sent), expected)
    readout, counted = in_pieces(model, sent, [1, 3, 1])
    torch.testing.assert_close(readout, expected)  # torch may sum in another order
    assert any(spikes.any() for spikes in counted.values())
    model.set_steps(8)
    longer = torch.cat([sent, sent[..., :3]], -1)
    assert model(longer).shape == expected.shape


@torch.no_grad()
@pytest.mark.parametrize("leak", [0, 100])
def test_the_read_out_of_many_pieces_is_that_of_a_sample_at_once_and_beyond_its_clip(
    leak: int,
) -> None:
    network = Network(
        Input("input", (1, 2, 2)),
        (Population("hidden", 0.5, voltage_decay=40), Population("readout", None, 4096, leak)),
        (
            Projection("input", "hidden", Conv(2, 1)),
            Projection("hidden", "readout", Conv(2, 1)),
        ),
        "readout",
    )
    model = SpikingNetwork(network).eval()
    for name, values in (("input_to_hidden", [0.25, 0.75]), ("hidden_to_readout", [1.0, -3.0])):
        weight = model.synapse(name).synapse.weight
        weight.copy_(torch.tensor(values).view(2, 1).expand(2, weight[0].numel()).view_as(weight))
    sent = torch.ones(1, 1, 2, 2, 90)
    at_once, counts = evaluating._activity(model, sent, 90)
    readout, counted = evaluating._activity(model, sent, 7)
    assert torch.equal(readout.float(), at_once)
    for name, count in counts.items():
        np.testing.assert_array_equal(counted[name], count)
    assert counts["hidden"].any()
    if leak:
        return
    far, _ = evaluating._activity(model, sent.repeat(1, 1, 1, 1, 90), 90)
    torch.testing.assert_close(far / 90, at_once.double(), rtol=0.05, atol=0)
    assert far.abs().max() > 2048  # where the membrane itself is clipped
