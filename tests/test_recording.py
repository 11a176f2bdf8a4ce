"""Recordings: what is recorded is what happened, and recording it changes nothing."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import lavaseg
from lavaseg import data, recipes
from lavaseg.deploy import recordings, simulate
from lavaseg.encoders import Direct, EventHistogram
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.export.lowering import deployed, unrolled
from lavaseg.kernels.neuron import reference
from lavaseg.models import ANALOG, MODELS
from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork, watching
from lavaseg.models.analog.plan import AnalogPlan, Tally
from lavaseg.network import (
    NEVER,
    STATE_SCALE,
    Conv,
    Current,
    Input,
    Network,
    OneToOne,
    Population,
    Projection,
    Relay,
    SumPool,
)
from lavaseg.network.integers import Bias, IntegerNetwork
from lavaseg.results.energy import account
from lavaseg.results.recording import NEAR, joined
from lavaseg.runs import Run
from lavaseg.training import SpikingNetwork, evaluate
from lavaseg.training.batches import messages
from lavaseg.training.models import trained_model
from lavaseg.training.preparing import described

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "25"))
SMALL: dict[str, dict[str, Any]] = {
    "spiking_deeplab": {"width": 2},
    "spiking_fcn": {"width": 2},
    "spiking_resnet": {"channels": [2, 4], "blocks": 1},
    "spiking_unet": {"width": 2, "depth": 2},
    "mfs_seg": {"base": 4, "n": 1},
    "ann_deeplab": {"width": 2},
    "ann_fcn": {"width": 2},
    "unet": {"width": 2, "depth": 2},
    "segnet": {"width": 2},
    "mimo_unet": {"base": 4, "n": 1},
    "ann_mfs_seg": {"base": 4, "n": 1},
}
"""Options that make each model small; one that is not named here is built as it is."""


def settled(name: str, folder: Path, *overrides: str, **options: Any) -> Run:
    """A run on digits whose weights, norms and biases are random, as if it had been trained."""
    recipe = recipes.load(
        "demo",
        (
            "data.options={train: 8, test: 4}",
            f"model.name={name}",
            f"model.options={json.dumps(options)}",
            "encoder.steps=3",
            "training.batch_size=1",
            *overrides,
        ),
    )
    run = described(recipe, data.load(recipe.data.name, **recipe.data.options), folder)
    run.save()
    torch.manual_seed(0)
    if isinstance(run.model, Network):
        module: torch.nn.Module = SpikingNetwork(run.model, steps=3)
    else:
        module = run.model.module()
    for part in module.modules():
        if hasattr(part, "running_var"):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
            if part.weight is not None:
                part.weight.data.uniform_(0.5, 2)
            if part.bias is not None:
                part.bias.data.normal_(0.3, 0.3)
    save_file(module.state_dict(), run.path / "model.safetensors")
    return run


def fired(membranes: np.ndarray, threshold: float) -> np.ndarray:
    return (membranes > threshold).astype(np.uint8)


# -- integers ------------------------------------------------------------------------------------


@given(drawn=st.data())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_an_integer_recording_has_the_simulators_spikes_and_they_follow_from_its_membranes(
    drawn: st.DataObject, graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]]
) -> None:
    net = drawn.draw(graph_networks(most_populations=6))
    shape = net.network.input.shape
    pictures = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    recorded = lavaseg.record(net, pictures, seed=3, numbers=[5, 9])
    spikes = net.encoder.encode(pictures, seed=3, samples=[5, 9])
    activity = simulate(net, spikes, record="all")
    assert list(recorded.layers) == [net.network.input.name, *(n.name for n in net.network.ordered)]
    for name, layer in recorded.layers.items():
        assert layer.spikes is not None
        assert layer.spikes.dtype == activity.spikes[name].dtype
        assert np.array_equal(layer.spikes, activity.spikes[name])
    assert np.array_equal(recorded.readout, activity.readout)
    for population in net.network.populations:
        layer = recorded[population.name]
        assert layer.membranes is not None
        assert layer.membranes.dtype == np.int32
        limit = STATE_SCALE * NEVER if layer.threshold is None else layer.threshold
        assert np.array_equal(layer.spikes, fired(layer.membranes, limit))
        if population.name == net.network.readout:
            assert np.array_equal(layer.membranes[:, -1], activity.readout)
    for sample in range(2):
        counts = {name: count[sample] for name, count in activity.counts.items()}
        costs = account(net.network, counts, 1, net.steps)
        for name, layer in recorded.layers.items():
            assert layer.operations is not None
            assert layer.operations[sample] == costs.operations_into(name)


@pytest.fixture
def plain_net() -> IntegerNetwork:
    """One 1x1 convolution into leaky neurons with a bias, a 1x1 to the read-out."""
    rng = np.random.default_rng(0)
    network = Network(
        Input("input", (2, 9, 8), 4),
        (Population("hidden", 700, 2048, 128, bias=True), Population("out", None)),
        (Projection("input", "hidden", Conv(3, (1, 1))), Projection("hidden", "out", OneToOne())),
        "out",
    )
    weights = {
        "input_to_hidden": 2 * rng.integers(-20, 40, (3, 2, 1, 1), np.int16),
        "hidden_to_out": np.array([2, 4, 6], np.int16),
    }
    bias = {"hidden": Bias(np.array([5, -7, 0]), 3)}
    return IntegerNetwork(network, weights, Direct(6, bits=4), ("a", "b", "c"), bias)


def pictures_for(net: IntegerNetwork, count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, *net.network.input.shape), np.uint8)


def test_integer_membranes_are_those_of_the_equations_before_a_hard_reset(
    plain_net: IntegerNetwork,
) -> None:
    recorded = lavaseg.record(plain_net, pictures_for(plain_net))
    seen = recorded["input"].spikes
    weight = plain_net.weights["input_to_hidden"][:, :, 0, 0].astype(np.int64)
    current = np.einsum("oi,ntihw->tnohw", weight, seen)
    bias = plain_net.bias("hidden")[:, None, None]
    spikes, membranes = reference(
        current, threshold=700, current_decay=2048, voltage_decay=128, bias=bias
    )
    assert 0 < spikes.mean() < 1
    assert np.array_equal(recorded["hidden"].spikes, spikes.swapaxes(0, 1))
    assert np.array_equal(recorded["hidden"].membranes, membranes.swapaxes(0, 1))
    assert recorded["hidden"].threshold == 64 * 700


def test_shares_and_operations_are_those_of_the_arrays(plain_net: IntegerNetwork) -> None:
    recorded = lavaseg.record(plain_net, pictures_for(plain_net))
    hidden, out = recorded["hidden"], recorded["out"]
    assert hidden.spikes is not None
    assert hidden.membranes is not None
    assert hidden.near is not None
    rates = hidden.spikes.mean((1, 2, 3, 4))
    assert len(set(rates)) > 1
    assert np.allclose(hidden.rates, rates, rtol=1e-12)
    assert hidden.rate == pytest.approx(rates.mean())
    distance = np.abs(hidden.membranes - 64 * 700)
    near = (distance <= NEAR * 64 * 700).mean((1, 2, 3, 4))
    assert 0 < near.max() < 1
    assert np.allclose(hidden.near, near, rtol=1e-12)
    messages = np.count_nonzero(recorded["input"].spikes, axis=(1, 2, 3, 4))
    assert np.array_equal(hidden.operations, 3 * messages)  # each message reaches 3 channels
    assert np.array_equal(out.operations, hidden.spikes.sum((1, 2, 3, 4), dtype=np.int64))
    assert (hidden.macs, out.macs) == (3 * 2 * 9 * 8, 0)
    assert (out.near, out.threshold, out.kind) == (None, None, "readout")


def test_recordings_of_events_are_encoded_as_in_a_simulation(plain_net: IntegerNetwork) -> None:
    net = dataclasses.replace(plain_net, encoder=EventHistogram(6, (9, 8)))
    rng = np.random.default_rng(2)
    t, x, y, on = (
        np.sort(rng.integers(0, 600, 900)),
        *(rng.integers(0, n, 900) for n in (8, 9, 2)),
    )
    events = Events(t, x, y, on == 1, (9, 8), (0, 600))
    recorded = lavaseg.record(net, [events])
    activity = simulate(net, net.encoder.encode([events]), record="all")
    for name, spikes in activity.spikes.items():
        assert np.array_equal(recorded[name].spikes, spikes)
    assert recorded["hidden"].rate > 0


def test_scale_turns_integer_membranes_into_trained_units(plain_net: IntegerNetwork) -> None:
    net = dataclasses.replace(plain_net, scales={"hidden": 560.0})
    layer = lavaseg.record(net, pictures_for(net))["hidden"]
    assert layer.threshold is not None
    assert layer.threshold / layer.scale == 1.25


# -- floats --------------------------------------------------------------------------------------


def measured(run: Run, samples: int) -> torch.Tensor:
    """The network's answer while nothing records it."""
    model = trained_model(run)
    stimuli = [run.data.test[i][0] for i in range(samples)]
    parts = [messages([s], run.recipe.encoder_object, 0, [i]) for i, s in enumerate(stimuli)]
    with torch.no_grad():
        return torch.cat([model(part) for part in parts])


@pytest.mark.parametrize("name", [*MODELS, *ANALOG])
def test_every_model_is_recorded_without_code_of_its_own_and_answers_as_before(
    name: str, tmp_path: Path
) -> None:
    run = settled(name, tmp_path, "seed=0", **SMALL.get(name, {}))
    recorded = lavaseg.record(run, samples=2)
    assert np.array_equal(recorded.readout, measured(run, 2).numpy())
    assert recorded.remarks == ()
    assert recorded.numbers == (0, 1)
    assert recorded.kind == ("float" if name in MODELS else "artificial")
    assert sum(layer.macs for layer in recorded.layers.values()) == (
        run.model.macs() if name in ANALOG else weighted_macs(run.network)
    )
    assert any(0 < layer.rate < 1 for layer in recorded.layers.values())
    for layer in recorded.layers.values():
        assert layer.rates.shape == (2,)
        assert 0 <= layer.rate <= 1
        steps = () if name in ANALOG else (3,)
        for array in layer.arrays.values():
            assert array.shape == (2, *steps, *layer.shape)
        if name in ANALOG:
            assert list(layer.arrays) == ["values"]
            continue
        assert (layer.operations is None) == (layer.kind == "current")
        assert (layer.membranes is None) == (layer.kind in ("current", "input"))
        if layer.kind == "population":
            assert layer.membranes is not None
            assert layer.threshold is not None
            assert layer.membranes.dtype == np.float32
            assert np.array_equal(layer.spikes, fired(layer.membranes, layer.threshold))
            assert np.array_equal(layer.membranes * 4096, np.round(layer.membranes * 4096))


def weighted_macs(network: Network) -> int:
    return sum(
        p.operator.macs(network.shape(p.source))
        for p in network.projections
        if network.weight_shape(p) is not None
    )


@pytest.mark.parametrize("name", ["spiking_deeplab", "mfs_seg"])
def test_float_spikes_are_those_of_an_evaluation(name: str, tmp_path: Path) -> None:
    run = settled(name, tmp_path, "seed=3", **SMALL[name])
    evaluated = evaluate(run, limit=3, progress=False)
    recorded = lavaseg.record(run, samples=3)
    assert set(evaluated.counts) == {k for k, v in recorded.layers.items() if v.spikes is not None}
    for population, counts in evaluated.counts.items():
        spikes = recorded[population].spikes
        assert spikes is not None
        assert np.array_equal((spikes != 0).sum((0, 1)), counts)
        assert recorded[population].rate == pytest.approx(evaluated.rates_per_step[population])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("spiking_resnet", {"channels": [2, 4], "blocks": 1}),
        ("mfs_seg", {"base": 4, "n": 1, "multi_scale": False}),
        ("spiking_deeplab", {"width": 2, "preset": "published", "reset": "hard"}),
    ],
)
def test_operations_of_residual_streams_are_those_of_the_network_that_runs(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Streams are unrolled: each spike is charged the synapses that it has on hardware."""
    run = settled(name, tmp_path, **options)
    recorded = lavaseg.record(run, samples=2)
    on_hardware = deployed(run.network)
    counts = {
        layer.name: np.count_nonzero(array, axis=1)
        for layer in recorded.layers.values()
        for array in layer.arrays.values()
        if layer.name in on_hardware.shapes and array is not layer.membranes
    }
    for sample in range(2):
        costs = account(on_hardware, {k: v[sample] for k, v in counts.items()}, 1, 3)
        assert costs.synaptic_operations > 0
        for node in on_hardware.nodes:
            operations = recorded[node.name].operations
            assert operations is not None
            assert operations[sample] == costs.operations_into(node.name)


@pytest.mark.parametrize("norm", ["bntt", "bntt_shift"])
def test_operations_are_counted_with_norms_and_resets_that_do_not_deploy(
    norm: str, tmp_path: Path
) -> None:
    options = {"width": 2, "preset": "published", "norm": norm}
    run = settled("spiking_deeplab", tmp_path, **options)
    recorded = lavaseg.record(run, samples=1)
    first = recorded["conv1"]
    assert first.operations is not None
    arrived = np.count_nonzero(recorded["input"].spikes)
    clock = 3 * 2 * 32 * 32 if norm == "bntt_shift" else 0  # steps x neurons
    assert 0 < first.operations[0] - clock <= arrived * 9 * 2


def relayed(delay: int) -> Network:
    """Averages that must be relayed as sums of spikes, read at once and `delay` steps later."""
    return Network(
        Input("input", (1, 8, 8)),
        (
            Population("fire", 1.0),
            Current("pool"),
            Population("next", 1.0),
            Population("out", None),
        ),
        (
            Projection("input", "fire", Conv(2, (3, 3), padding=(1, 1))),
            Projection("fire", "pool", SumPool((3, 3), (2, 2), (1, 1), average=True)),
            Projection("pool", "next", Conv(2, (3, 3), padding=(1, 1))),
            Projection("pool", "next", Conv(2, (3, 3), padding=(1, 1)), delay, "late"),
            Projection("next", "out", OneToOne()),
        ),
        "out",
    )


def test_what_cannot_be_counted_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(isinstance(node, Relay) for node in unrolled(relayed(0)).nodes)
    for delay, counted in ((0, True), (1, False)):
        monkeypatch.setitem(MODELS, "relayed", lambda *_, delay=delay: relayed(delay))
        run = settled("relayed", tmp_path / str(delay), "encoder={kind: poisson, steps: 3}")
        assert isinstance(run.model, Network)
        recorded = lavaseg.record(run, np.full((1, 1, 8, 8), 128, np.uint8))
        assert [layer.operations is not None for layer in recorded.layers.values()] == 5 * [counted]
        assert [counted] == [not recorded.remarks]
        if not counted:
            assert "pool_late1" in recorded.remarks[0]


# -- artificial ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANALOG)
def test_activations_are_what_hooks_on_the_nonlinearities_see(name: str, tmp_path: Path) -> None:
    run = settled(name, tmp_path, **SMALL[name])
    model = trained_model(run)
    assert isinstance(model, AnalogNetwork)
    rectified: list[np.ndarray] = []
    for module in model.body.modules():
        if isinstance(module, torch.nn.ReLU):
            module.register_forward_hook(lambda _, __, out: rectified.append(out.clone().numpy()))
    with torch.no_grad():
        model(messages([run.data.test[0][0]], run.recipe.encoder_object, 0, [0]))
    recorded = lavaseg.record(run, samples=1)
    found = [layer.values for layer in recorded.layers.values()]
    at = 0
    for values in rectified:  # in the order of the pass, between layers that stay linear
        while not np.array_equal(found[at], values):
            at += 1
    for layer in recorded.layers.values():
        assert layer.values is not None
        assert layer.rate == np.count_nonzero(layer.values) / layer.values.size
    macs = {layer.name: layer.macs for layer in recorded.layers.values() if layer.macs}
    assert macs == {layer.name: layer.macs for layer in run.model.layers if layer.macs}


def test_a_norm_and_a_nonlinearity_belong_to_the_convolution_before_them(tmp_path: Path) -> None:
    recorded = lavaseg.record(settled("unet", tmp_path, width=2, depth=1), samples=1)
    assert list(recorded.layers) == [
        *("down.0.0", "down.0.3", "down.1.0", "down.1.3", "enlarge.0", "up.0.0", "up.0.3", "score")
    ]
    values = recorded["down.0.0"].values
    assert values is not None
    assert values.min() == 0


class Shared(torch.nn.Module):
    """One convolution twice, and a sum that has a nonlinearity of its own and changes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 2, 1)
        self.unit = torch.nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.conv(x)
        kept = first.clone()
        second = self.conv(first)
        first.mul_(0)
        return self.unit(second + kept)


def test_layers_used_twice_sums_and_changes_in_place_are_told_apart() -> None:
    body, seen = Shared(), {}
    with torch.no_grad(), watching(body, lambda name, _, x: seen.update({name: x.clone()})):
        for _ in range(2):  # names begin anew with each pass
            x = torch.randn(1, 2, 3, 3)
            y = body(x)
    assert list(seen) == ["conv", "conv#2", "unit"]
    with torch.no_grad():
        assert torch.equal(seen["conv"], body.conv(x))
        assert torch.equal(seen["conv#2"], body.conv(seen["conv"]))
    assert torch.equal(seen["unit"], y)
    seen.clear()
    body(torch.zeros(1, 2, 3, 3))
    assert not seen


class SharedPlan(AnalogPlan):
    def build(self) -> torch.nn.Module:
        return Shared()


def test_each_use_of_a_layer_has_macs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    for _ in range(2):
        tally.conv("conv", (2, 5, 3), 2, 1)
    plan = SharedPlan(tuple(tally.layers), 6, "", {})
    monkeypatch.setattr("lavaseg.models.analog.constructor", lambda _: lambda *_: plan)
    model = AnalogModel("shared", Input("input", (2, 5, 3), 8), 2)
    assert {name: macs for name, (_, _, macs) in model.sheets.items()} == {
        "conv": 2 * 2 * 5 * 3,
        "conv#2": 2 * 2 * 5 * 3,
        "unit": 0,
    }


# -- what is kept --------------------------------------------------------------------------------


def test_layers_and_membranes_are_kept_as_asked_and_nothing_else_changes(
    plain_net: IntegerNetwork,
) -> None:
    pictures = pictures_for(plain_net)
    everything = lavaseg.record(plain_net, pictures)
    part = lavaseg.record(plain_net, pictures, layers=["hidden"], membranes=False)
    assert list(part.layers) == ["hidden"]
    assert list(part["hidden"].arrays) == ["spikes"]
    assert np.array_equal(part.readout, everything.readout)
    assert part["hidden"].near_threshold == everything["hidden"].near_threshold
    assert np.array_equal(part["hidden"].operations, everything["hidden"].operations)
    assert lavaseg.record(plain_net, pictures, layers=[]).layers == {}


def test_recordings_of_single_samples_join_to_that_of_all(plain_net: IntegerNetwork) -> None:
    pictures = pictures_for(plain_net)
    parts = list(recordings(plain_net, pictures, seed=1))
    assert [part.samples for part in parts] == [1, 1, 1]
    together, whole = joined(parts), lavaseg.record(plain_net, pictures, seed=1)
    assert together.to_dict() == whole.to_dict()
    assert together.numbers == (0, 1, 2)
    assert np.array_equal(together["hidden"].membranes, whole["hidden"].membranes)


def test_mistakes_are_named(plain_net: IntegerNetwork, tmp_path: Path) -> None:
    pictures = pictures_for(plain_net)
    with pytest.raises(LavasegError, match=r"no layer 'hiden'.*did you mean 'hidden'"):
        lavaseg.record(plain_net, pictures, layers=["hidden", "hiden"])
    with pytest.raises(LavasegError, match="give it stimuli"):
        lavaseg.record(plain_net)
    with pytest.raises(LavasegError, match="no samples"):
        lavaseg.record(plain_net, pictures[:0])
    with pytest.raises(LavasegError, match="2 numbers for 3 stimuli"):
        lavaseg.record(plain_net, pictures, numbers=[1, 2])
    with pytest.raises(LavasegError, match=r"\(2, 9, 3\), the network takes \(2, 9, 8\)"):
        lavaseg.record(plain_net, pictures[..., :3])
    run = settled("unet", tmp_path, width=2, depth=1)
    with pytest.raises(LavasegError, match=r"no layer 'conv1'.*down\.0\.0"):
        lavaseg.record(run, layers=["conv1"])


# -- the file ------------------------------------------------------------------------------------


def test_a_file_holds_everything_without_pickle(plain_net: IntegerNetwork, tmp_path: Path) -> None:
    recorded = lavaseg.record(plain_net, pictures_for(plain_net), seed=2)
    recorded.save(tmp_path / "some.name")  # written as it is called
    with np.load(tmp_path / "some.name", allow_pickle=False) as file:
        metadata = json.loads(str(file["metadata"]))
        assert metadata == json.loads(json.dumps(recorded.to_dict()))
        assert np.array_equal(file["readout"], recorded.readout)
        assert np.array_equal(file["pictures"], recorded.pictures)
        names = {"metadata", "readout", "pictures"}
        for layer in recorded.layers.values():
            for what, array in layer.arrays.items():
                names.add(f"{layer.name}/{what}")
                assert np.array_equal(file[f"{layer.name}/{what}"], array)
                assert file[f"{layer.name}/{what}"].dtype == array.dtype
        assert set(file.files) == names
    assert metadata["unit"] == "state units, 1/64 of a weight unit"
    assert metadata["layers"][1]["threshold"] == 64 * 700
    assert metadata["versions"]["numpy"] == np.__version__
    assert (metadata["seed"], metadata["numbers"]) == (2, [0, 1, 2])


def test_a_file_that_cannot_be_finished_leaves_the_old_one(
    plain_net: IntegerNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = lavaseg.record(plain_net, pictures_for(plain_net))
    path = tmp_path / "record.npz"
    path.write_text("old")

    def full(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(LavasegError, match="No space left"):
        recorded.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["record.npz"]
    assert path.read_text() == "old"


def test_record_shows_the_arguments_of_recordings() -> None:
    whole, each = (inspect.signature(f) for f in (lavaseg.record, recordings))
    assert whole.parameters == each.parameters
    assert whole.parameters["samples"].default == 4
    assert whole.return_annotation == "Recording"
