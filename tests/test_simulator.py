"""The event-driven simulator gives the integers of the plain equations, whatever the geometry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavaseg.deploy.simulator import Simulator, simulate
from lavaseg.deploy.simulator_torch import run_torch
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.kernels.bits import PackedSpikes
from lavaseg.kernels.fused import respond_to_sums
from lavaseg.kernels.neuron import reference
from lavaseg.kernels.sums import InputSums, Synapses, synapses
from lavaseg.network import (
    NEVER,
    STATE_SCALE,
    Conv,
    Input,
    Network,
    Operator,
    Population,
    Projection,
    Resize,
    SumPool,
)
from lavaseg.network.integers import IntegerNetwork

relaxed = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@relaxed
@given(data=st.data())
def test_it_equals_the_simulator_of_other_devices(
    data: st.DataObject,
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Callable[..., np.ndarray],
) -> None:
    net = data.draw(graph_networks())
    spikes = random_spikes(net, 2, density=data.draw(st.sampled_from([0.0, 0.02, 0.4, 1.0])))
    found = simulate(net, spikes, record="all")
    wanted = run_torch(net, spikes, list(net.network.shapes), "cpu")
    for name, expected in wanted.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], expected, err_msg=name)
        np.testing.assert_array_equal(found.counts[name], wanted.counts[name], err_msg=name)
    np.testing.assert_array_equal(found.readout, wanted.readout)


@settings(relaxed, max_examples=15)
@given(data=st.data())
def test_a_simulator_keeps_nothing_of_what_it_ran_before(
    data: st.DataObject,
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Callable[..., np.ndarray],
) -> None:
    net = data.draw(graph_networks(most_populations=5))
    simulator = Simulator(net)
    simulator.run(random_spikes(net, 2, seed=1), record="all")
    spikes = random_spikes(net, 3, seed=2)
    found, wanted = (
        simulator.run(spikes, record="all", chunk=2),
        simulate(net, spikes, record="all"),
    )
    for name, expected in wanted.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], expected, err_msg=name)
        np.testing.assert_array_equal(found.counts[name], wanted.counts[name], err_msg=name)
    np.testing.assert_array_equal(found.readout, wanted.readout)


@relaxed
@given(
    steps=st.integers(1, 9),
    delays=st.lists(st.integers(1, 11), min_size=1, max_size=3),
    decay=st.sampled_from([0, 300, 4096]),
    seed=st.integers(0, 2**32 - 1),
)
def test_feedback_of_any_delay_settles_as_on_other_devices(
    steps: int, delays: list[int], decay: int, seed: int
) -> None:
    """Excitation and inhibition in balance: spikes change in every round, up to the last one."""
    rng = np.random.default_rng(seed)
    loops = (Projection("p", "p", Conv(3, 3, 1, 1), d, f"l{i}") for i, d in enumerate(delays))
    network = Network(
        Input("input", (2, 5, 4)),
        (Population("p", 40, 4096, decay), Population("out", None)),
        (Projection("input", "p", Conv(3, 3, 1, 1)), *loops, Projection("p", "out", Conv(2, 1))),
        "out",
    )
    weights = {
        p.name: 2 * rng.integers(-30, 31, network.synapse_shape(p)).astype(np.int16)
        for p in network.projections
    }
    net = IntegerNetwork(network, weights, Poisson(steps), ("a", "b"))
    spikes = (rng.random((3, steps, 2, 5, 4)) < 0.4).astype(np.uint8)
    found, wanted = simulate(net, spikes, record="all"), run_torch(net, spikes, ["p"], "cpu")
    np.testing.assert_array_equal(found.spikes["p"], wanted.spikes["p"])
    np.testing.assert_array_equal(found.readout, wanted.readout)


@pytest.mark.parametrize(
    ("operator", "reason"),
    [(SumPool(average=True), "averages are not integers"), (Resize((5, 5)), "bilinear resize")],
)
def test_an_integer_network_has_integers_as_synapses(operator: Operator, reason: str) -> None:
    network = Network(
        Input("input", (2, 4, 4)),
        (Population("out", None),),
        (Projection("input", "out", operator),),
        "out",
    )
    with pytest.raises(LavasegError, match=f"'input_to_out'.*{reason}"):
        IntegerNetwork(network, {"input_to_out": np.array([2, 2])}, Poisson(3), ("a", "b"))


@relaxed
@given(
    channels=st.sampled_from([1, 3, 21, 32, 33, 64, 65, 130, 200]),
    outputs=st.sampled_from([1, 12, 16, 17, 48, 64, 112, 128, 250]),
    density=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    largest=st.sampled_from([10, 256]),
    peak=st.sampled_from([0, 1, 5, 255]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_of_any_width_equal_a_convolution(
    channels: int, outputs: int, density: float, largest: int, peak: int, seed: int
) -> None:
    """Words of spikes and vectors of sums that are full, and that are not; 16 bits and 32."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-largest, largest, (outputs, channels, 3, 2))
    sheets = rng.integers(1, peak + 1 if peak else 2, (2, 5, 4, channels), endpoint=False)
    sheets = (sheets * (rng.random(sheets.shape) < density)).astype(np.uint8)
    operator = Conv(outputs, (3, 2), (1, 2), (1, 1), (2, 1))
    source = (channels, 5, 4)
    part = synapses(operator.geometry(source), weight)
    low, high = ((peak or 1) * np.maximum(s * weight, 0).sum((1, 2, 3)) for s in (-1, 1))
    arriving = InputSums([part], low, high)
    found = arriving.sums([PackedSpikes.of(sheets, peak > 0)], 2)[..., :outputs].astype(np.int64)
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(sheets.transpose(0, 3, 1, 2).astype(np.float64)),
        torch.from_numpy(weight.astype(np.float64)),
        None,
        operator.stride,
        operator.padding,
        operator.dilation,
    )
    true = (found - arriving.offset) * arriving.scale
    np.testing.assert_array_equal(true, wanted.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("sign", [-1, 1])
def test_sixteen_bits_are_used_to_their_last_number(sign: int) -> None:
    weights = np.zeros((1, 512, 2), np.int64)
    weights[0, :257, 0], weights[0, 257:, 0] = sign * 255, -sign  # sums of up to 65535 and 255
    part = Synapses(np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32), weights)
    for extra, number in ((0, np.int32), (-255, np.uint16)):
        weights[0, 256, 0] = sign * (255 + extra)
        low, high = (np.maximum(s * weights, 0).sum((0, 1)) for s in (-1, 1))
        arriving = InputSums([part], low, high)
        assert arriving.number is number
        for active in (weights[0, :, 0] > 0, weights[0, :, 0] < 0):
            spikes = PackedSpikes.of(active.astype(np.uint8).reshape(1, 1, 1, -1), False)
            assert arriving.integers([spikes])[0, 0, 0].tolist() == [weights[0, active, 0].sum(), 0]


@relaxed
@given(
    steps=st.integers(1, 6),
    channels=st.sampled_from([1, 16, 70]),
    threshold=st.integers(1, 2000) | st.just(NEVER),
    decays=st.tuples(*[st.sampled_from([0, 1, 300, 4095, 4096])] * 2),
    soft=st.booleans(),
    most=st.sampled_from([3, 500, 20000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_neurons_respond_to_sums_as_the_equations_say(
    steps: int,
    channels: int,
    threshold: int,
    decays: tuple[int, int],
    soft: bool,
    most: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    synaptic = rng.integers(-most, most + 1, (steps, 2, 3, channels))
    bias = rng.integers(-4095, 4096, channels) << rng.integers(0, 8)
    offset = rng.integers(most, most + 5, channels)
    fired = PackedSpikes.empty(steps, 5, 3, channels)
    counts = np.zeros((5, 3, channels), np.uint16)
    membrane = np.zeros((5, 3, channels), np.int32)
    sums = np.pad(synaptic + offset, ((0, 0), (0, 0), (0, 0), (0, 3))).astype(np.uint16)
    keep = [np.int32(4096 - decay) for decay in decays]
    respond_to_sums(
        sums,
        offset.astype(np.int32),
        np.int32(STATE_SCALE),
        bias.astype(np.int32),
        *keep,
        np.int32(STATE_SCALE * threshold),
        soft,
        fired.words,
        counts,
        membrane,
        0,
        2,
    )
    spikes, potential = reference(
        synaptic,
        threshold=threshold,
        current_decay=decays[0],
        voltage_decay=decays[1],
        bias=bias,
        soft_reset=soft,
    )
    left = potential[-1] - STATE_SCALE * threshold if soft else 0
    np.testing.assert_array_equal(fired.dense()[:, :, 2:4], spikes.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(counts[2:4], spikes.sum(0))
    np.testing.assert_array_equal(membrane[2:4], np.where(spikes[-1], left, potential[-1]))


@pytest.mark.parametrize("device", ["nonsense", "cpu:x"])
def test_a_device_that_torch_does_not_have_is_named(device: str) -> None:
    network = Network(
        Input("input", (1, 2, 2)),
        (Population("readout", None),),
        (Projection("input", "readout", Conv(1, 1)),),
        "readout",
    )
    weights = {"input_to_readout": np.full((1, 1, 1, 1), 2, np.int16)}
    net = IntegerNetwork(network, weights, Poisson(1), ("one",))
    with pytest.raises(LavasegError, match=f"there is no device '{device}'"):
        Simulator(net, device=device)
