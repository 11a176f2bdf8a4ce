"""Exactness: torch, the simulator and Lava give the same spikes on random sequential networks."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.verification import compare, first_difference
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "200"))
MULTIPROCESS_EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_MULTIPROCESS", "4"))
relaxed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Networks = Callable[..., st.SearchStrategy[IntegerNetwork]]


@relaxed
@given(data=st.data())
def test_torch_and_lava_equal_the_simulator(
    data: st.DataObject, sequential_networks: Networks, random_spikes: Callable[..., np.ndarray]
) -> None:
    net = data.draw(sequential_networks())
    spikes = random_spikes(net, data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2**16)))
    verdict = verify_spikes(net, spikes, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)


@settings(relaxed, max_examples=MULTIPROCESS_EXAMPLES)
@given(data=st.data())
def test_the_multi_process_runtime_equals_the_simulator(
    data: st.DataObject, sequential_networks: Networks, random_spikes: Callable[..., np.ndarray]
) -> None:
    net = data.draw(sequential_networks())
    verdict = verify_spikes(net, random_spikes(net, 3), backends=("lava",), progress=False)
    assert verdict.ok, str(verdict.first_difference)


@settings(relaxed, max_examples=30)
@given(data=st.data())
def test_the_simulation_does_not_depend_on_the_chunk(
    data: st.DataObject, sequential_networks: Networks, random_spikes: Callable[..., np.ndarray]
) -> None:
    net = data.draw(sequential_networks())
    spikes = random_spikes(net, 5)
    whole = simulate(net, spikes, record="all")
    parts = simulate(net, spikes, record="all", chunk=2)
    np.testing.assert_array_equal(whole.readout, parts.readout)
    for name, expected in whole.spikes.items():
        np.testing.assert_array_equal(expected, parts.spikes[name])
        np.testing.assert_array_equal(whole.counts[name], parts.counts[name])


@settings(relaxed, max_examples=20)
@given(data=st.data())
def test_a_single_wrong_spike_is_found_and_named(
    data: st.DataObject, sequential_networks: Networks, random_spikes: Callable[..., np.ndarray]
) -> None:
    net = data.draw(sequential_networks())
    spikes = random_spikes(net, 2)
    honest = simulate(net, spikes, record="all")
    target = net.network.populations[0].name
    broken = {name: array.copy() for name, array in honest.spikes.items()}
    place = tuple(int(n) - 1 for n in broken[target].shape)
    broken[target][place] ^= 1
    fake = Activity(honest.readout, honest.counts, broken)
    found = first_difference(net, "fake", honest, fake)
    assert found is not None
    assert (found.sample, found.step, found.population, found.neuron) == (
        place[0],
        place[1],
        target,
        place[2:],
    )
    assert sum(row.differing for row in compare(net, "fake", honest, fake)) == 1
