"""Padding steps between samples: a longer period changes no spike and no read-out."""

from __future__ import annotations

import pytest
from fuzzing import EXAMPLES, Networks, Spikes, relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.deploy import simulate
from lavaseg.deploy.lava import run_inprocess, run_multiprocess
from lavaseg.deploy.verification import compare, first_difference
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity


def assert_equal(net: IntegerNetwork, expected: Activity, found: Activity) -> None:
    differing = sum(row.differing for row in compare(net, "period", expected, found))
    assert differing == 0, str(first_difference(net, "period", expected, found))


@pytest.mark.full
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
