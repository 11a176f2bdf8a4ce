"""A new operator takes its class and an entry in each backend's table, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from torch import nn

from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava import synapses
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.kernels import operators_torch
from lavaseg.network import (
    OPERATORS,
    Axis,
    Conv,
    Current,
    Geometry,
    Input,
    Network,
    Operator,
    Population,
    Projection,
    Shape,
)
from lavaseg.network.grids import matrix
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import read, write
from lavaseg.training import SpikingNetwork
from lavaseg.training.slayer import synapses as slayer_synapses


@dataclass(frozen=True)
class EveryOther(Operator):
    """Sees each second row through a column of two weights a channel: (channels, 1, 2, 1)."""

    kind: ClassVar[str] = "every_other"

    def geometry(self, source: Shape) -> Geometry:
        channels, height, width = source
        rows = Axis(height, height // 2, (0, -1), down=2)
        return Geometry(source, channels, rows, Axis(width, width, (0,)), groups=channels)


class Columns(nn.Module):
    """What stands for a synapse of SLAYER: its weight has a time axis, as theirs do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 1, 2, 1, 1))
        self.pre_hook_fx = None


def in_torch(operator: EveryOther, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return nn.functional.conv2d(x, weight, stride=(2, 1), groups=x.shape[1])


def on_lava(net: IntegerNetwork, projection: Projection, source: OutPort, target: InPort) -> Any:
    weights = matrix(
        projection.operator, net.weights[projection.name], net.network.shape(projection.source)
    )
    synapse = Sparse(weights=weights, num_message_bits=0, sign_mode=SignMode.MIXED)
    source.flatten().connect(synapse.s_in)
    synapse.a_out.reshape(target.shape).connect(target)
    return synapse


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator, entered in its four places."""
    monkeypatch.setitem(OPERATORS, "every_other", EveryOther)
    monkeypatch.setitem(operators_torch.FUNCTIONS, EveryOther, in_torch)
    monkeypatch.setitem(
        slayer_synapses.SYNAPSES, EveryOther, lambda operator, source: Columns(source[0])
    )
    monkeypatch.setitem(synapses.BUILDERS, EveryOther, on_lava)


@pytest.mark.usefixtures("entered")
def test_an_operator_in_four_places_goes_the_whole_way_spike_for_spike(tmp_path: Any) -> None:
    network = Network(
        Input("input", (2, 8, 5)),
        (
            Population("first", 1.0, norm="batch"),
            Current("stream"),
            Population("second", 1.0),
            Population("readout", None),
        ),
        (
            Projection("input", "first", Conv(3, padding=1)),
            Projection("first", "stream", EveryOther()),  # unrolled: composed with what follows
            Projection("stream", "second", Conv(4, 1)),
            Projection("first", "second", Conv(4, (2, 1), (2, 1))),
            Projection("second", "readout", EveryOther()),
        ),
        "readout",
    )
    torch.manual_seed(0)
    model = SpikingNetwork(network, steps=4)
    for projection in network.projections:
        nn.init.uniform_(model.synapse(projection.name).synapse.weight, -0.5, 1)
    weighted = lower(WeightedNetwork.from_model(model.eval()))
    net = quantise(weighted, choose_quantisation(weighted), Poisson(4), ("a", "b", "c", "d"))
    spikes = (np.random.default_rng(0).random((3, 4, 2, 8, 5)) < 0.5).astype(np.uint8)
    activity = simulate(net, spikes)
    assert activity.counts["first"].any()
    assert activity.counts["second"].any()
    assert activity.readout.any()
    backends = ("torch", "lava-inprocess")  # Lava's own runtime would not know it: a process apart
    assert verify_spikes(net, spikes, backends=backends, progress=False).ok
    write(net, tmp_path / "net.net")
    back = read(tmp_path / "net.net")
    assert back.network == net.network
    np.testing.assert_array_equal(simulate(back, spikes).readout, activity.readout)


def test_an_operator_in_no_table_is_refused_by_name() -> None:
    x = torch.zeros(1, 2, 8, 5)
    with pytest.raises(LavasegError, match="every_other"):
        operators_torch.apply_operator(EveryOther(), x, torch.zeros(2, 1, 2, 1))
    with pytest.raises(LavasegError, match="every_other"):
        slayer_synapses.Synapse(EveryOther(), (2, 8, 5))
