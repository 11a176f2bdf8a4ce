"""Interleaving of wide sheets: the same spikes, membranes and messages, on every backend."""

from __future__ import annotations

import fuzzing
import numpy as np
import pytest
from fuzzing import Networks, Spikes
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lavaseg.deploy import simulate, verify_spikes
from lavaseg.encoders import Direct, Encoder, EventPresence, Poisson, encoder_from_dict
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    NetworkError,
    OneToOne,
    Population,
    Projection,
    SumPool,
    Upsample,
)
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.interleave import factors, interleave, interleaved, restored, sends_columns
from lavaseg.netx import read, write

EXAMPLES = fuzzing.EXAMPLES // 2
relaxed = settings(
    fuzzing.relaxed,
    max_examples=EXAMPLES,
    suppress_health_check=[*fuzzing.relaxed.suppress_health_check, HealthCheck.filter_too_much],
)


def _narrowed(data: st.DataObject, net: IntegerNetwork) -> tuple[IntegerNetwork, dict[str, int]]:
    """A random network interleaved to one of the widths that it can have."""
    possible = []
    for widest in range(1, max(shape[2] for shape in net.network.shapes.values())):
        try:
            if max(factors(net.network, widest).values()) > 1:
                possible.append(widest)
        except NetworkError:
            pass
    assume(possible)
    widest = data.draw(st.sampled_from(possible))
    found, parts = interleave(net, widest)
    for name in found.network.shapes:
        if sends_columns(found.network, name):
            assert found.network.shape(name)[2] <= widest
    return found, dict(parts)


@relaxed
@given(data=st.data())
def test_interleaving_changes_no_spike_and_no_membrane(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    net = data.draw(graph_networks(most_steps=20))
    narrow, parts = _narrowed(data, net)
    spikes = random_spikes(net, data.draw(st.integers(1, 3)), data.draw(st.integers(0, 2**16)))
    expected = simulate(net, spikes, record="all")
    played = interleaved(spikes, parts[net.network.input.name])
    found = simulate(narrow, played, record="all")
    np.testing.assert_array_equal(found.readout, expected.readout)
    assert found.spikes.keys() == expected.spikes.keys()
    for name, sheet in expected.spikes.items():
        np.testing.assert_array_equal(restored(found.spikes[name], parts[name]), sheet)
        np.testing.assert_array_equal(
            restored(found.counts[name], parts[name]), expected.counts[name]
        )


@settings(relaxed, max_examples=max(3, EXAMPLES // 4))
@given(data=st.data())
def test_torch_and_lava_equal_the_simulator_on_interleaved_networks(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    narrow, _ = _narrowed(data, data.draw(graph_networks()))
    verdict = verify_spikes(
        narrow, random_spikes(narrow, 3), backends=("torch", "lava-inprocess"), progress=False
    )
    assert verdict.ok, str(verdict.first_difference)


@settings(relaxed, max_examples=max(2, EXAMPLES // 40))
@given(data=st.data())
def test_the_multi_process_runtime_equals_the_simulator_on_interleaved_networks(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    narrow, _ = _narrowed(data, data.draw(graph_networks(most_populations=5, most_steps=20)))
    verdict = verify_spikes(narrow, random_spikes(narrow, 2), backends=("lava",), progress=False)
    assert verdict.ok, str(verdict.first_difference)


def _net(network: Network, encoder: Encoder) -> IntegerNetwork:
    """Random even weights."""
    rng = np.random.default_rng(0)
    weights = {
        p.name: (2 * rng.integers(-20, 24, network.synapse_shape(p))).astype(np.int16)
        for p in network.projections
    }
    classes = tuple(f"c{i}" for i in range(network.shape(network.readout)[0]))
    return IntegerNetwork(network, weights, encoder, classes)


def _wide() -> Network:
    """A small U-Net on a sheet of 24 columns: stride, pool, upsampling, skip and feedback."""
    return Network(
        Input("input", (2, 6, 24)),
        (
            Population("a", 40),
            Population("b", 60, 2048, 300),
            Population("c", 60),
            Population("d", 50),
            Population("out", None),
        ),
        (
            Projection("input", "a", Conv(3, 3, 1, 1)),
            Projection("a", "a", Conv(3, (1, 3), 1, (0, 1)), 1),
            Projection("a", "b", Conv(4, 3, 2, 1)),
            Projection("b", "c", Conv(4, 3, 1, 2, 2, groups=2)),
            Projection("c", "d", ConvTranspose(3, 2, 2)),
            Projection("a", "d", OneToOne(), 2),
            Projection("d", "out", Conv(2, 3, 1, 1)),
            Projection("c", "out", ConvTranspose(2, 4, 2, 1)),
        ),
        "out",
    )


@pytest.mark.parametrize("widest", [12, 8, 6])
def test_each_backend_gives_the_same_spikes_of_a_wide_network(
    widest: int, random_spikes: Spikes
) -> None:
    net = _net(_wide(), Poisson(5))
    narrow, parts = interleave(net, widest)
    spikes = random_spikes(net, 3)
    expected = simulate(net, spikes, record="all")
    assert all(expected.spikes[name].any() for name in "abcd")
    played = interleaved(spikes, parts["input"])
    verdict = verify_spikes(
        narrow,
        played,
        backends=("torch", "lava-inprocess", *(("lava",) if widest == 12 else ())),
        progress=False,
    )
    assert verdict.ok, str(verdict.first_difference)
    found = simulate(narrow, played, record="all")
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name, sheet in expected.spikes.items():
        np.testing.assert_array_equal(restored(found.spikes[name], parts[name]), sheet)


def test_only_what_is_wide_changes_and_the_read_out_stays_whole() -> None:
    narrow, parts = interleave(_net(_wide(), Poisson(5)), 12)
    assert parts == {"input": 2, "a": 2, "b": 1, "c": 1, "d": 2, "out": 1}
    assert narrow.network.shape("out") == (2, 6, 24)
    assert narrow.network.shape("a") == (6, 6, 12)
    assert isinstance(narrow.network.projection("a_to_d").operator, OneToOne)
    assert narrow.network.neurons("d") == _wide().neurons("d")


def test_a_network_that_is_narrow_enough_is_returned_as_it_is() -> None:
    net = _net(_wide(), Poisson(5))
    found, parts = interleave(net, 24)
    assert found is net
    assert set(parts.values()) == {1}


@pytest.mark.parametrize(
    "operator",
    [
        Conv(2, (3, 5), (1, 2), (1, 2)),
        Conv(4, 3, 2, 1, groups=2),
        Conv(2, 3, 1, 2, 2),
        ConvTranspose(2, 3, 2, 1, 1),
        SumPool(2, 2),
        SumPool(3, 1, 1),
        Upsample(2),
        OneToOne(),
    ],
    ids=str,
)
@pytest.mark.parametrize("widest", [12, 6, 4])
def test_every_operator_reads_interleaved_sheets(
    operator: object, widest: int, random_spikes: Spikes
) -> None:
    network = Network(
        Input("input", (2, 5, 24), 4),
        (Population("p", 300), Population("q", 300), Population("out", None)),
        (
            Projection("input", "p", operator),  # type: ignore[arg-type]
            Projection("input", "q", Dense(3)),
            Projection("p", "out", Dense(2)),
            Projection("q", "out", Dense(2)),
        ),
        "out",
    )
    net = _net(network, Direct(4, bits=4))
    narrow, parts = interleave(net, widest)
    assert parts["input"] == 24 // widest
    spikes = random_spikes(net, 2)
    expected = simulate(net, spikes, record="all")
    found = simulate(narrow, interleaved(spikes, parts["input"]), record="all")
    for name in "pq":
        assert expected.spikes[name].any()
        np.testing.assert_array_equal(
            restored(found.spikes[name], parts[name]), expected.spikes[name]
        )
    np.testing.assert_array_equal(found.readout, expected.readout)


def test_widths_that_do_not_divide_are_refused_by_their_projection() -> None:
    network = Network(
        Input("input", (1, 4, 9)),
        (Population("a", 10), Population("b", 10), Population("out", None)),
        (
            Projection("input", "a", Conv(1, 3, 1, 1)),
            Projection("a", "b", Conv(1, 3, 2, 1)),
            Projection("b", "out", Conv(2, 1)),
        ),
        "out",
    )
    with pytest.raises(NetworkError, match="'a_to_b' leads from 9 to 5 columns"):
        interleave(_net(network, Poisson(3)), 4)


def test_a_wide_read_out_with_a_clock_is_refused() -> None:
    network = Network(
        Input("input", (1, 4, 8)),
        (Population("out", None, clock=True),),
        (Projection("input", "out", Conv(2, 1)),),
        "out",
    )
    with pytest.raises(NetworkError, match="'out': the read-out has 8 columns and sends them"):
        factors(network, 4)


def test_interleaving_twice_is_refused_and_so_are_no_columns() -> None:
    net, _ = interleave(_net(_wide(), Poisson(5)), 12)
    assert interleave(net, 12)[0] is net
    with pytest.raises(NetworkError, match="was interleaved before"):
        interleave(net, 6)
    with pytest.raises(NetworkError, match="at least 1 column, got 0"):
        factors(net.network, 0)


def test_the_encoder_interleaves_and_takes_the_same_stimuli() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 12)).astype(np.uint8)
    plain = Poisson(5)
    encoder = Poisson(5, interleave=3)
    assert encoder.shape((3, 4, 12)) == (9, 4, 4)
    assert encoder.stimulus((9, 4, 4)) == (3, 4, 12)
    np.testing.assert_array_equal(encoder.encode(pictures), interleaved(plain.encode(pictures), 3))
    assert encoder_from_dict(encoder.to_dict()) == encoder
    assert "interleave" not in plain.to_dict()
    events = EventPresence(4, (6, 8), interleave=2)
    assert events.shape((2, 6, 8)) == (4, 6, 4)
    assert events.stimulus((4, 6, 4)) == (2, 6, 8)


def test_an_interleaved_network_is_read_back_from_its_file(tmp_path: object) -> None:
    net, _ = interleave(_net(_wide(), Poisson(5)), 12)
    path = f"{tmp_path}/a.net"
    write(net, path)
    found = read(path)
    assert found.network == net.network
    assert found.encoder == net.encoder == Poisson(5, interleave=2)
