"""The Lava graph in one process gives the spikes of the equations, sample by sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavaseg.deploy.lava import run_inprocess
from lavaseg.kernels import neuron
from lavaseg.network import Conv, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity


def project(net: IntegerNetwork, projection: Projection, spikes: np.ndarray) -> np.ndarray:
    """Synaptic input of one sample, int64 (T, C, H, W), by torch in double precision."""
    operator = projection.operator
    x = torch.from_numpy(spikes.astype(np.float64))
    weight = torch.from_numpy(net.weights[projection.name].astype(np.float64))
    if isinstance(operator, Conv):
        y = torch.nn.functional.conv2d(
            x,
            weight,
            None,
            operator.stride,
            operator.padding,
            operator.dilation,
            operator.groups,
        )
    else:
        y = torch.einsum("tchw,fchw->tf", x, weight)[..., None, None]
    return y.numpy().astype(np.int64)


def expected(net: IntegerNetwork, spikes: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Spikes of every population and the read-out: each sample alone, in logical time."""
    network = net.network
    found: dict[str, list[np.ndarray]] = {}
    readout = []
    for sample in spikes:
        done = {network.input.name: sample}
        for population in network.ordered:
            synaptic = sum(
                project(net, p, done[p.source]) for p in network.incoming(population.name)
            )
            done[population.name], membrane = neuron.reference(
                synaptic,
                threshold=population.threshold,
                current_decay=population.current_decay,
                voltage_decay=population.voltage_decay,
                bias=net.bias(population.name)[:, None, None],
            )
            if population.name == network.readout:
                readout.append(membrane[-1])
        for name, value in done.items():
            found.setdefault(name, []).append(value)
    return {name: np.stack(value) for name, value in found.items()}, np.stack(readout)


def assert_same(activity: Activity, spikes: dict[str, np.ndarray], readout: np.ndarray) -> None:
    assert set(activity.spikes) == set(spikes)
    for name, wanted in spikes.items():
        np.testing.assert_array_equal(activity.spikes[name], wanted, err_msg=name)
        np.testing.assert_array_equal(activity.counts[name], (wanted != 0).sum(1), err_msg=name)
    np.testing.assert_array_equal(activity.readout, readout)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_streamed_samples_give_the_spikes_of_the_equations(
    data: st.DataObject,
    sequential_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Callable[..., np.ndarray],
) -> None:
    net = data.draw(sequential_networks())
    spikes = random_spikes(net, data.draw(st.integers(1, 3)), data.draw(st.integers(0, 99)))
    assert_same(run_inprocess(net, spikes, record="all"), *expected(net, spikes))
