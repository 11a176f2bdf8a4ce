"""Calibration: a bad channel costs the others nothing, and what is fine stays as it is."""

from __future__ import annotations

import dataclasses
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lavaseg import export, recipes
from lavaseg.cli import app
from lavaseg.deploy import simulate
from lavaseg.encoders import Direct, Poisson
from lavaseg.errors import LavasegError
from lavaseg.export import calibration, pipeline
from lavaseg.export.calibration import _Calibration, calibrate, fitted
from lavaseg.export.lowering import Quantisation, choose_quantisation, lower, quantise
from lavaseg.export.lowering.quantise import diffuse_weight, quantise_weight
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.models import build
from lavaseg.network import Conv, Input, Network, Node, Population, Projection
from lavaseg.network.integers import IntegerNetwork, RangeError
from lavaseg.network.ranges import check_ranges
from lavaseg.report.gather import collect
from lavaseg.results.rounding import Calibrated, Fit
from lavaseg.runs import Run
from lavaseg.training import SpikingNetwork, train
from lavaseg.training.batches import messages

CLASSES = ("background", "digit")
STEPS = 4


def network(dead: float = 1.0, seed: int = 0) -> WeightedNetwork:
    """Two layers and a read-out; channel 0 of the second sees one that seldom spikes.

    Args:
        dead: how much larger its weights are, as a norm makes them of a channel that varies little.
    """
    rng = np.random.default_rng(seed)
    net = Network(
        Input("input", (3, 12, 12)),
        (Population("one", 1.0), Population("two", 1.0, bias=True), Population("out", None)),
        (
            Projection("input", "one", Conv(8, (3, 3), padding=(1, 1))),
            Projection("one", "two", Conv(8, (3, 3), padding=(1, 1))),
            Projection("two", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    weights = {
        "input_to_one": rng.normal(0.1, 0.3, (8, 3, 3, 3)),
        "one_to_two": rng.normal(0.05, 0.2, (8, 8, 3, 3)),
        "two_to_out": rng.normal(0, 1, (2, 8, 1, 1)),
    }
    weights["input_to_one"][0] -= 0.25
    if dead != 1:
        weights["one_to_two"][0, 1:] = 0
        weights["one_to_two"][0, 0] *= dead
    return WeightedNetwork(net, weights, {"two": rng.normal(0, 0.1, 8)})


def pictures(count: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 12, 12), np.uint8)


def calibrated(
    weighted: WeightedNetwork, encoder: Direct | Poisson
) -> tuple[IntegerNetwork, tuple[Fit, ...]]:
    quantisation, fits = calibrate(weighted, messages(list(pictures()), encoder, 0, range(6)))
    values = fitted(weighted, quantisation.scales, fits)
    return quantise(values, quantisation, encoder, CLASSES), fits


def differing(net: IntegerNetwork, weighted: WeightedNetwork, name: str) -> float:
    """Spikes of a population that differ from the float network's, for each spike of these.

    On other pictures than those of the calibration.
    """
    spikes = net.encoder.encode(pictures(seed=1), seed=1)
    expected = weighted.to_model().run(spikes).spikes[name]
    found = simulate(net, spikes, record="all").spikes[name]
    return float((found != expected).sum() / expected.sum())


@pytest.mark.parametrize("dead", [30.0, 100.0])
def test_a_nearly_dead_channel_leaves_the_others_their_spikes(dead: float) -> None:
    weighted, encoder = network(dead), Poisson(STEPS)
    plain = quantise(weighted, choose_quantisation(weighted), encoder, CLASSES)
    net, fits = calibrated(weighted, encoder)
    assert plain.network["two"].threshold < 20  # type: ignore[union-attr]
    assert differing(plain, weighted, "two") > 0.06
    assert differing(net, weighted, "two") < 0.04
    (fit,) = [fit for fit in fits if fit.population == "two"]
    assert fit.before == plain.network["two"].threshold  # type: ignore[union-attr]
    assert fit.after == net.network["two"].threshold  # type: ignore[union-attr]
    assert fit.channels == 1
    assert 0 < fit.clipped <= 9
    assert fit.values == 8 * 8 * 9 + 8
    assert fit.error_before is not None
    assert fit.error_after < fit.error_before
    check_ranges(net)
    spikes = encoder.encode(pictures(), seed=2)
    found = SpikingNetwork.from_integers(net).run(spikes)
    expected = simulate(net, spikes, record="all")
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name, array in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], array)


@pytest.mark.parametrize("seed", range(4))
def test_without_outliers_scales_and_weights_behind_the_first_layer_stay(seed: int) -> None:
    weighted, encoder = network(seed=seed), Poisson(STEPS)
    plain = quantise(weighted, choose_quantisation(weighted), encoder, CLASSES)
    net, _ = calibrated(weighted, encoder)
    assert net.scales == plain.scales
    for name in ("one_to_two", "two_to_out"):
        np.testing.assert_array_equal(net.weights[name], plain.weights[name])
    np.testing.assert_array_equal(net.biases["two"].mantissa, plain.biases["two"].mantissa)


def test_what_no_range_holds_can_be_clipped() -> None:
    weighted = network(3000.0)
    with pytest.raises(RangeError, match="'two'"):
        choose_quantisation(weighted)
    net, fits = calibrated(weighted, Poisson(STEPS))
    assert differing(net, weighted, "two") < 0.04
    assert [fit.before for fit in fits if fit.population == "two"] == [None]
    assert [fit.error_before for fit in fits if fit.population == "two"] == [None]


@given(seed=st.integers(0, 1000), scale=st.floats(1, 400), kernel=st.integers(1, 5))
def test_diffused_errors_cancel(seed: int, scale: float, kernel: int) -> None:
    """The sum over all taps is that of the floats, where each for itself may be off by 1."""
    weight = np.random.default_rng(seed).uniform(-0.5, 0.5, (3, 4, kernel, kernel))
    found = diffuse_weight(weight, scale)
    assert not (found & 1).any()
    assert (np.abs(found - weight * scale) <= 2).all()
    assert (np.abs(found.sum((1, 2, 3)) - (weight * scale).sum((1, 2, 3))) <= 1 + 1e-9).all()


def test_diffused_weights_are_clipped() -> None:
    weight = np.array([[[[3.0, -3.0, 0.5]]]])
    assert diffuse_weight(weight, 100).min() >= -256
    assert diffuse_weight(weight, 100).max() == 254


@pytest.mark.parametrize("compensates", [True, False])
def test_a_large_kernel_on_a_picture_keeps_its_spikes(
    compensates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen equal weights a pixel block: rounded each for itself, their errors add up."""
    if not compensates:
        monkeypatch.setattr(calibration, "MOST_INPUTS", 3 * 12 * 12 - 1)
    rng = np.random.default_rng(0)
    net = Network(
        Input("input", (3, 32, 32), 6),
        (Population("seen", 1.0, voltage_decay=3072), Population("out", None)),
        (
            Projection("input", "seen", Conv(8, (12, 12), stride=(4, 4), padding=(4, 4))),
            Projection("seen", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    blocks = np.kron(rng.normal(0, 1, (8, 3, 3, 3)), np.ones((4, 4))) / 16 / 63
    weighted = WeightedNetwork(
        net, {"input_to_seen": blocks, "seen_to_out": rng.normal(0, 1, (2, 8, 1, 1))}
    )
    smooth = np.kron(rng.integers(0, 256, (4, 3, 4, 4), np.uint8), np.ones((8, 8), np.uint8))
    encoder = Direct(STEPS, bits=6)
    quantisation, fits = calibrate(weighted, messages(list(smooth), encoder, 0, range(4)))
    found_fits = [(fit.population, fit.compensated, fit.diffused) for fit in fits]
    assert found_fits == [("seen", compensates, not compensates)]
    assert fits[0].error_before is not None
    assert fits[0].error_after < fits[0].error_before / 2
    net = quantise(fitted(weighted, quantisation.scales, fits), quantisation, encoder, CLASSES)
    spikes = encoder.encode(smooth, seed=0)
    expected = weighted.to_model().run(spikes).spikes["seen"]
    found = simulate(net, spikes, record="all").spikes["seen"]
    error = float((found != expected).sum() / expected.sum())
    assert error == pytest.approx(fits[0].error_after)


def test_values_that_go_with_a_calibration_round_to_what_was_measured() -> None:
    weighted = network(100.0)
    scales = dict(choose_quantisation(weighted).scales)
    scales["two"] *= 16
    fit = Fit("two", 1, 16, 1, 1, 1, False, 0.1, 0.01, {}, None)
    values = fitted(weighted, scales, [fit])
    np.testing.assert_array_equal(
        quantise_weight(values.weights["one_to_two"], scales["two"]),
        quantise_weight(weighted.weights["one_to_two"], scales["two"]),
    )
    assert (values.weights["one_to_two"] * scales["two"]).max() <= 254 + 1e-9
    assert values.weights["two_to_out"] is weighted.weights["two_to_out"]


def test_a_deep_network_calibrates_to_the_same_scales_again() -> None:
    torch.manual_seed(0)
    sheet = Input("input", (3, 12, 10), 6)
    model = SpikingNetwork(build("spiking_deeplab", sheet, 2, channels=[4] * 8, output_stride=2))
    weighted = lower(WeightedNetwork.from_model(model.eval()))
    seen = messages(list(pictures()[..., :10]), Direct(STEPS, bits=6), 0, range(6))
    first, second = (calibrate(weighted, seen) for _ in range(2))
    assert first == second
    assert isinstance(first[0], Quantisation)


def test_a_chain_of_layers_calibrates_with_the_spikes_of_two_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of what all layers send, a deep network's would not fit."""
    names = [f"layer{k}" for k in range(6)]
    rng, pairs = np.random.default_rng(0), pairwise(["input", *names, "out"])
    net = Network(
        Input("input", (3, 12, 12)),
        (*(Population(name, 1.0) for name in names), Population("out", None)),
        tuple(Projection(a, b, Conv(4, (3, 3), padding=(1, 1))) for a, b in pairs),
        "out",
    )
    weights = {
        p.name: rng.normal(0.05, 0.3, (4, 3 if p.source == "input" else 4, 3, 3))
        for p in net.projections
    }
    for name in names[1:]:
        weights[f"layer{int(name[-1]) - 1}_to_{name}"][0, 0] *= 100
    kept: dict[str, int] = {}
    respond = SpikingNetwork.respond

    def watched(self: SpikingNetwork, node: Node, emitted: dict[str, torch.Tensor]) -> Any:
        kept[node.name] = max(kept.get(node.name, 0), len(emitted))
        return respond(self, node, emitted)

    decided = []
    judge = _Calibration._error_at_readout
    monkeypatch.setattr(SpikingNetwork, "respond", watched)
    monkeypatch.setattr(
        _Calibration, "_error_at_readout", lambda *given: decided.append(1) or judge(*given)
    )
    seen = messages(list(pictures()), Poisson(STEPS), 0, range(6))
    calibrate(WeightedNetwork(net, weights), seen)
    assert decided, "the read-out decided nowhere, which is what takes the memory"
    assert kept.keys() == {*names, "out"}
    assert max(kept.values()) <= 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small demo whose second layer has one weight that is hundreds of times too large."""
    fields = [
        "data.options={train: 60, test: 10}",
        "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
        "encoder.steps=2",
        "training.epochs=1",
        "finetune={epochs: 1, learning_rate: 0.001}",
    ]
    made = train(
        recipes.load("demo", fields), tmp_path_factory.mktemp("run") / "run", progress=False
    )
    arrays = dict(made.files.weights.load())
    name = "synapses.conv1_to_conv2.synapse.weight"
    arrays[name] = arrays[name].copy()
    arrays[name][1, 1:] = 0
    arrays[name][1, 0] *= 0
    arrays[name][1, 0, 1, 1] = 60
    made.files.weights.save(arrays)
    return made


def same(left: IntegerNetwork, right: IntegerNetwork) -> bool:
    return left.network == right.network and all(
        (left.weights[name] == right.weights[name]).all() for name in left.weights
    )


def test_export_calibrates_once_and_says_what_it_clipped(run: Run, tmp_path: Path) -> None:
    copied = Run.open(shutil.copytree(run.path, tmp_path / "run"))
    whole = export.export(copied, progress=False)
    before = copied.files.calibration.path.stat().st_mtime_ns
    kept = Calibrated.from_dict(copied.files.calibration.load())
    assert kept.samples == 16
    assert any(fit.population == "conv2" and fit.clipped for fit in kept.fits)
    again = export.export(copied, tmp_path / "again.net", progress=False)
    assert copied.files.calibration.path.stat().st_mtime_ns == before
    assert same(again, whole)
    for lost in (copied.files.calibration, copied.files.tuning):  # interrupted before both
        lost.remove()
    assert same(export.export(copied, tmp_path / "resumed.net", progress=False), whole)
    said = CliRunner().invoke(app, ["export", str(copied.path), "-o", str(tmp_path / "cli.net")])
    assert said.exit_code == 0, said.output
    assert "clipped:" in said.output
    assert "conv2" in said.output
    with pytest.raises(LavasegError, match="calibration must be 0 or more"):
        export.export(copied, calibration=-1, progress=False)


def test_export_without_calibration_takes_the_scales_of_the_ranges(
    run: Run, tmp_path: Path
) -> None:
    copied = Run.open(shutil.copytree(run.path, tmp_path / "run"))
    export.export(copied, finetune=False, progress=False)
    plain = export.export(copied, finetune=False, calibration=0, progress=False)
    assert not copied.files.calibration.exists()
    from lavaseg.training.models import trained

    weighted = lower(WeightedNetwork.from_model(trained(copied)))
    scales = choose_quantisation(weighted)
    wanted = quantise(weighted, scales, copied.recipe.encoder_object, copied.classes)
    assert same(plain, wanted)


@pytest.mark.parametrize("finetune", [True, False])
def test_without_data_export_names_a_way_that_needs_none_only_where_there_is_one(
    finetune: bool, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Run.open(shutil.copytree(run.path, tmp_path / "run"))

    def lost(*_: object) -> None:
        raise LavasegError("the files are elsewhere")

    monkeypatch.setattr(pipeline, "training_parts", lost)
    with pytest.raises(LavasegError, match="the files are elsewhere") as refused:
        export.export(copied, finetune=finetune, progress=False)
    assert ("--calibration 0 does without" in str(refused.value)) == (not finetune)
    if not finetune:
        export.export(copied, finetune=False, calibration=0, progress=False)


def test_the_report_shows_the_calibration_of_the_network_that_it_is_about(
    run: Run, tmp_path: Path
) -> None:
    copied = Run.open(shutil.copytree(run.path, tmp_path / "run"))
    export.export(copied, finetune=False, progress=False)
    assert collect(copied).calibration is not None
    again = copied.files.calibration.load()
    copied.files.calibration.save({**again, "scales": {**again["scales"], "conv2": 1.0}})
    page = collect(copied)
    assert page.calibration is None
    assert "calibration.json is not that of net.net and was left out: export again" in page.notes


@pytest.mark.parametrize("tuned", [0.4, 0.5, 0.6])
def test_fine_tuning_that_makes_it_worse_is_not_taken(
    tuned: float, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Run.open(shutil.copytree(run.path, tmp_path / "run"))
    found = iter([0.5, tuned])  # mIoU on the validation data, before and after
    monkeypatch.setattr(pipeline, "_validated", lambda *_: next(found))
    net = export.export(copied, progress=False)
    rounded = export.export(copied, tmp_path / "rounded.net", finetune=False, progress=False)
    assert same(net, rounded) == (tuned < 0.5)


@pytest.mark.parametrize(
    "values", [{"weights": {"conv1_to_conv2": [2, 4]}}, {"weights": {"no": [2]}}, {"bias": [1.0]}]
)
def test_a_calibration_whose_values_do_not_fit_is_made_again(
    values: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    copied = Run.open(shutil.copytree(run.path, tmp_path / "run"))
    whole = export.export(copied, finetune=False, progress=False)
    kept = Calibrated.from_dict(copied.files.calibration.load())
    fits = [dataclasses.replace(fit, **values) for fit in kept.fits]
    copied.files.calibration.save(dataclasses.replace(kept, fits=tuple(fits)).to_dict())
    again = export.export(copied, tmp_path / "again.net", finetune=False, progress=False)
    assert same(again, whole)
    assert Calibrated.from_dict(copied.files.calibration.load()) == kept


@pytest.mark.parametrize("field", ["weights", "samples", "scales", "fits"])
def test_a_damaged_calibration_is_named(field: str) -> None:
    data = Calibrated(
        "0" * 64, 16, {"a": 1.5}, (Fit("a", 1, 2, 3, 4, 1, False, 0.5, 0.1, {}, None),)
    )
    assert Calibrated.from_dict(data.to_dict()) == data
    with pytest.raises(LavasegError, match=field):
        Calibrated.from_dict({**data.to_dict(), field: {"x": "y"}})
