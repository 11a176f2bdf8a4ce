"""What was recorded on, or for, a Loihi 2 by others: our integers against it, with zero tolerance.

`tests/silicon` holds one neuron's trace of a chip. The wheel of lava-dl carries the golden data of
Intel's own tests, in its folder `tests/lava/lib/dl/netx`: `test_hdf5_nx.py` compares a chip with
tiny and PilotNet, `test_hdf5.py` Lava's CPU models with tiny and N-TIDIGITS. In them, layer k is k
steps behind the input.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from lavaseg.chip import map_net, predict
from lavaseg.chip.measured import PILOTNET_LIF
from lavaseg.deploy import simulate
from lavaseg.deploy.backends import BACKENDS
from lavaseg.encoders import Poisson
from lavaseg.kernels.neuron import reference
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.network import Input, Network, OneToOne, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.summary import delay_cost
from lavaseg.netx import read_stock
from lavaseg.results.energy import account

ROOT = Path(__file__).resolve().parents[1]
STEPS = 1000
WEIGHT, THRESHOLD, CURRENT_DECAY, VOLTAGE_DECAY = 10, 25, 4095, 163
SPIKED = 128
"""What the chip's voltage reads in the step in which a neuron spikes."""
PILOTNET = ("conv-0", "conv-1", "conv-2", "conv-3", "conv-4", "fc-0", "fc-1", "fc-2")
"""Golden files of PilotNet's spiking layers, in their order."""


@pytest.fixture(scope="module")
def golden() -> Path:
    """The folder of Intel's golden data in the installed wheel of lava-dl."""
    (network,) = (
        file for file in metadata.files("lava-dl") or () if str(file).endswith("netx/tiny.net")
    )
    return Path(str(network.locate())).parent


def document() -> str:
    text = (ROOT / "docs" / "exactness.md").read_text("utf-8")
    return text.partition("## What the silicon said")[2].partition("\n## ")[0]


def stated(*figures: float | str) -> bool:
    """Whether each figure stands in the document's section."""
    words = set(re.findall(r"\d[\d,]*", document()))
    return {figure if isinstance(figure, str) else f"{figure:,}" for figure in figures} <= words


# -- the trace of a chip -------------------------------------------------------------------------


def trace(name: str) -> np.ndarray:
    """int64 (3, 1000): input spike, voltage and output spike at each step."""
    return np.loadtxt(ROOT / "tests" / "silicon" / name, delimiter=",").astype(np.int64).T


def late(input_: np.ndarray) -> np.ndarray:
    """The input, one step later."""
    return np.concatenate(([0], input_[:-1]))


def one_neuron() -> IntegerNetwork:
    """The neuron of the trace, its spikes counted by a read-out."""
    network = Network(
        Input("input", (1, 1, 1)),
        (Population("lif", THRESHOLD, CURRENT_DECAY, VOLTAGE_DECAY), Population("readout", None)),
        (Projection("input", "lif", OneToOne()), Projection("lif", "readout", OneToOne())),
        "readout",
    )
    weights = {p.name: np.full(1, WEIGHT, np.int16) for p in network.projections}
    return IntegerNetwork(network, weights, Poisson(STEPS), ("spikes",))


@pytest.mark.parametrize("backend", ["simulator", "torch", "lava-inprocess", "lava"])
def test_every_backend_spikes_as_the_chip_did_at_each_step(backend: str) -> None:
    input_, _, spikes = trace("lif_loihi_fixed.csv")
    stream = late(input_).astype(np.uint8).reshape(1, STEPS, 1, 1, 1)
    activity = BACKENDS[backend].run(one_neuron(), stream, "all", None, None)
    np.testing.assert_array_equal(activity.spikes["lif"].ravel(), spikes)
    assert stated(STEPS, int(spikes.sum()), int(input_.sum()))


def test_the_voltage_is_the_chips_at_all_steps_but_those_that_spike() -> None:
    input_, voltage, spikes = trace("lif_loihi_fixed.csv")
    fired, membrane = reference(
        WEIGHT * late(input_),
        threshold=THRESHOLD,
        current_decay=CURRENT_DECAY,
        voltage_decay=VOLTAGE_DECAY,
    )
    ours = np.where(fired, 0, membrane)
    np.testing.assert_array_equal(np.flatnonzero(ours != voltage), np.flatnonzero(spikes))
    assert set(voltage[spikes > 0]) == {SPIKED}
    assert stated(int(spikes.sum()), SPIKED)


def test_current_decays_of_4095_and_4096_give_the_same_trace() -> None:
    synaptic = WEIGHT * late(trace("lif_loihi_fixed.csv")[0])
    one, other = (
        reference(synaptic, threshold=THRESHOLD, current_decay=d, voltage_decay=VOLTAGE_DECAY)
        for d in (4095, 4096)
    )
    np.testing.assert_array_equal(one, other)


def test_lavas_own_cpu_model_of_the_same_neuron_spikes_at_the_same_steps() -> None:
    chip, cpu = trace("lif_loihi_fixed.csv"), trace("lif_cpu_fixed.csv")
    np.testing.assert_array_equal(chip[0], cpu[0])
    np.testing.assert_array_equal(chip[2], cpu[2])


# -- Intel's golden data -------------------------------------------------------------------------


def without(path: Path, folder: Path, *fields: str) -> Path:
    """A copy of a network's file that lacks some fields."""
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "a") as file:
        for field in fields:
            del file[field]
    return copy


def fed_by_spikes(path: Path, folder: Path, steps: int) -> IntegerNetwork:
    """A network whose input neurons, which golden spikes stand for, are left out."""
    neurons = ("layer/0/neuron", "layer/0/weight", "layer/0/bias")
    return read_stock(without(path, folder, *neurons), steps=steps)


@pytest.fixture(scope="module")
def pilotnet(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """PilotNet's network, its activity and, of each layer, the golden arrays (T, C, H, W)."""
    folder, steps = golden / "gts" / "pilotnet_lif", 16
    net = fed_by_spikes(folder / "network.net", tmp_path_factory.mktemp("pilotnet"), steps)
    spikes = np.load(folder / "input-s.npy").transpose(3, 2, 1, 0)[None, :steps]
    activity = simulate(net, spikes.astype(np.uint8), record="all")
    layers = {}
    for behind, (population, name) in enumerate(
        zip(net.network.ordered, PILOTNET, strict=False), start=1
    ):
        parts = {}
        for part in ("", "-u", "-v"):
            array = np.load(folder / f"{name}{part}.npy")
            array = array.reshape(1, 1, *array.shape) if array.ndim == 2 else array
            sheet = array.transpose(3, 2, 1, 0)[behind : behind + steps]
            parts[part] = sheet.reshape(activity.spikes[population.name].shape[1:])
        layers[population.name] = parts
    return {"net": net, "activity": activity, "layers": layers}


def test_pilotnet_spikes_as_intels_golden_data_in_all_eight_layers(
    pilotnet: dict[str, Any],
) -> None:
    compared = fired = 0
    for name, parts in pilotnet["layers"].items():
        ours = pilotnet["activity"].spikes[name][0]
        np.testing.assert_array_equal(ours, parts[""], err_msg=name)
        compared, fired = compared + ours.size, fired + int(ours.sum())
    assert len(pilotnet["layers"]) == len(PILOTNET)
    assert stated(compared, fired)


def test_currents_and_voltages_of_pilotnet_are_the_golden_ones(pilotnet: dict[str, Any]) -> None:
    """All voltages but those of neurons in the step in which they spike, which read 128."""
    net, spikes = pilotnet["net"], pilotnet["activity"].spikes
    for name, parts in pilotnet["layers"].items():
        (projection,) = net.network.incoming(name)
        source = torch.from_numpy(spikes[projection.source][0].astype(np.float64))
        weight = torch.from_numpy(net.weights[projection.name].astype(np.float64))
        sums = apply_operator(projection.operator, source, weight).numpy().astype(np.int64)
        population = net.network[name]
        # without memory the current is the sum itself
        assert population.current_decay == 4096
        np.testing.assert_array_equal(64 * sums, parts["-u"], err_msg=name)
        fired, membrane = reference(
            sums,
            threshold=population.threshold,
            voltage_decay=population.voltage_decay,
            bias=net.bias(name)[:, None, None],
        )
        np.testing.assert_array_equal(np.where(fired, SPIKED, membrane), parts["-v"], err_msg=name)


def test_the_prediction_for_pilotnet_holds_what_was_measured_of_it(
    pilotnet: dict[str, Any],
) -> None:
    """The run's own pictures are not public: these are the spikes of one golden image."""
    net, steps = pilotnet["net"], pilotnet["net"].steps
    counts = {name: count.sum(0) for name, count in pilotnet["activity"].counts.items()}
    mapping = map_net(net, profile="2022", replay=True)
    found = predict(net, mapping, counts, 1, steps)
    assert found.operations == PILOTNET_LIF.operations
    assert mapping.chips == 1
    seconds, millijoules = PILOTNET_LIF.seconds_per_step, PILOTNET_LIF.millijoules
    assert seconds is not None
    assert millijoules is not None
    assert seconds in found.step.seconds
    assert millijoules[0] * 1e-3 in found.joules
    text = (ROOT / "docs" / "loihi2.md").read_text("utf-8")
    ratio = seconds / found.step.model.low
    assert f"{found.step.seconds.in_words('s')} | {ratio:.2f} | 1.66 mJ" in text
    assert f"| {found.joules.in_words('J')} |" in text


def test_tinynet_spikes_as_intels_golden_data_in_simulator_and_lava(
    golden: Path, tmp_path: Path
) -> None:
    """The golden arrays begin with a silent step, before the first one of the sample."""
    folder, steps = golden / "gts" / "tinynet", 15
    net = fed_by_spikes(golden / "tiny.net", tmp_path, steps)
    spikes = np.moveaxis(np.load(folder / "input.npy")[..., 1:], -1, 1).astype(np.uint8)
    compared = 0
    for backend in ("simulator", "lava-inprocess"):
        activity = BACKENDS[backend].run(net, spikes, "all", None, None)
        for name, file in (("conv1", "layer1"), ("conv2", "output")):
            expected = np.moveaxis(np.load(folder / f"{file}.npy")[..., 1:], -1, 1)
            np.testing.assert_array_equal(activity.spikes[name], expected, err_msg=name)
            compared += expected.size if backend == "simulator" else 0
    assert stated(compared)


def test_ntidigits_spikes_as_intels_golden_data_through_axonal_delays(
    golden: Path, tmp_path: Path
) -> None:
    """The output is four steps behind; an average of groups of spikes ends the file."""
    folder, steps, behind = golden / "gts" / "ntidigits", 3000, 4
    net = read_stock(folder / "ntidigits.net", steps=steps)
    network = net.network
    late = [p for p in network.projections if p.by_channel]
    assert [(p.shortest, p.longest) for p in late] == [(0, 62), (0, 62)]
    assert network.weight_count() < 200_000
    assert delay_cost(net)["relay_neurons"] == 512  # a gate for each source; the synapses wait
    spikes = np.load(folder / "input.npy").T.reshape(1, steps, 1, 1, 64).astype(np.uint8)
    expected = np.load(folder / "output.npy")
    for backend in ("simulator", "lava-inprocess"):
        activity = BACKENDS[backend].run(net, spikes, ["dense4"], None, None)
        ours = activity.spikes["dense4"][0, :, :, 0, 0].T
        np.testing.assert_array_equal(ours[:, :-behind], expected[:, behind:])
        groups = ours.reshape(11, 22, steps).sum((1, 2))
        np.testing.assert_array_equal(activity.readout.ravel(), 2 * 64 * groups)
    counts = {name: count.sum(0) for name, count in activity.counts.items()}
    counted = account(network, counts, 1, steps)
    assert sum(p.operations for p in counted.projections if p.target == "dense3") == 256 * int(
        counts["dense2"].sum()
    )
    layers = {mapped.name: mapped for mapped in map_net(net).layers}
    assert sum(mapped.cores for mapped in layers.values()) < 120  # one chip
    assert not expected[:, :behind].any()
    assert stated(int(expected.sum()), steps)
