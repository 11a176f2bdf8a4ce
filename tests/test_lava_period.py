"""Padding steps between samples: a longer period changes no spike and no read-out."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavaseg.deploy import simulate
from lavaseg.deploy.lava import run_inprocess, run_multiprocess
from lavaseg.deploy.verification import compare, first_difference
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "150"))
relaxed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
Networks = Callable[..., st.SearchStrategy[IntegerNetwork]]
Spikes = Callable[..., np.ndarray]


def assert_equal(net: IntegerNetwork, expected: Activity, found: Activity) -> None:
    differing = sum(row.differing for row in compare(net, "period", expected, found))
    assert differing == 0, str(first_difference(net, "period", expected, found))


@relaxed
@given(data=st.data())
def test_padding_steps_change_no_spike_and_no_readout(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    net = data.draw(graph_networks(most_populations=6, most_steps=20))
    period = net.steps + data.draw(st.integers(0, 13))
    spikes = random_spikes(net, data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2**16)))
    expected = simulate(net, spikes, record="all")
    found = run_inprocess(net, spikes, record="all", period=period)
    assert_equal(net, expected, found)


@settings(relaxed, max_examples=max(3, EXAMPLES // 80))
@given(data=st.data())
def test_padding_steps_change_nothing_on_the_multi_process_runtime(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    net = data.draw(graph_networks(most_populations=5, most_steps=20))
    spikes = random_spikes(net, 3)
    expected = simulate(net, spikes, record="all")
    found = run_multiprocess(net, spikes, record="all", period=net.steps + 5)
    assert_equal(net, expected, found)
