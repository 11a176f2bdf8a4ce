"""Exactness on graphs: torch, the simulator and Lava agree on random networks, loops included."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import jsonschema
import numpy as np
from fuzzing import EXAMPLES, Networks, Spikes, relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava.graph import build
from lavaseg.deploy.lava.parts import count_parts
from lavaseg.netx import read, write
from lavaseg.netx.schema import description_schema

SCHEMA = description_schema()


@relaxed
@given(data=st.data())
def test_torch_and_lava_equal_the_simulator_on_graphs(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    net = data.draw(graph_networks())
    spikes = random_spikes(net, data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2**16)))
    verdict = verify_spikes(net, spikes, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)


@settings(relaxed, max_examples=max(3, EXAMPLES // 80))
@given(data=st.data())
def test_the_multi_process_runtime_equals_the_simulator_on_graphs(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    net = data.draw(graph_networks(most_populations=6))
    verdict = verify_spikes(net, random_spikes(net, 3), backends=("lava",), progress=False)
    assert verdict.ok, str(verdict.first_difference)


@settings(relaxed, max_examples=50)
@given(data=st.data())
def test_parts_of_a_graph_are_counted_without_making_them(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    net = data.draw(graph_networks())
    graph = build(net, random_spikes(net, 1), {})
    graph.release()
    ports = [port for process in graph.processes for port in process.out_ports]
    channels = sum(len(port.get_dst_ports()) for port in ports)
    assert count_parts(net) == (len(graph.processes), channels)


@settings(relaxed, max_examples=30)
@given(data=st.data())
def test_no_sample_sees_another_in_the_simulation_of_graphs(
    data: st.DataObject, graph_networks: Networks, random_spikes: Spikes
) -> None:
    net = data.draw(graph_networks())
    spikes = random_spikes(net, 3)
    together = simulate(net, spikes, record="all")
    alone = simulate(net, spikes[2:], record="all")
    np.testing.assert_array_equal(together.readout[2:], alone.readout)
    for name, expected in alone.spikes.items():
        np.testing.assert_array_equal(together.spikes[name][2:], expected)


@settings(relaxed, max_examples=30)
@given(data=st.data())
def test_a_graph_is_read_back_from_its_file_equal(
    data: st.DataObject, graph_networks: Networks, tmp_path_factory: object
) -> None:
    net = data.draw(graph_networks())
    path = Path(str(tmp_path_factory.mktemp("graph"))) / "a.net"  # type: ignore[attr-defined]
    write(net, path)
    with h5py.File(path) as file:
        jsonschema.validate(json.loads(file["lavaseg/description"][()].tobytes()), SCHEMA)
    found = read(path)
    assert found.network == net.network
    assert found.encoder == net.encoder
    for name, weight in net.weights.items():
        np.testing.assert_array_equal(found.weights[name], weight)
    for name, bias in net.biases.items():
        np.testing.assert_array_equal(found.biases[name].state_units, bias.state_units)
    assert found.clocks.keys() == net.clocks.keys()
    for name, clock in net.clocks.items():
        np.testing.assert_array_equal(found.clocks[name], clock)
