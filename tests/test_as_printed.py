"""Settings as papers print them: each kind of recipe trains, on all samples if it says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from lavaseg import data, evaluate_net, recipes
from lavaseg.cli import app
from lavaseg.data.base import DataSet
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.export import export
from lavaseg.models.analog import AnalogModel
from lavaseg.recipes import Recipe
from lavaseg.report import write_report
from lavaseg.runs import Run
from lavaseg.training import evaluate, train
from lavaseg.training.segmenter import Segmenter


def small(**changes: Any) -> Recipe:
    """The demo at toy size."""
    fields = [
        "data.options={train: 60, test: 10}",
        "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
        "training.batch_size=10",
        "finetune.epochs=1",
        *(f"{key.replace('__', '.')}={value}" for key, value in changes.items()),
    ]
    return recipes.load("demo", fields)


STEPS = small().encoder_object.steps


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def without_time(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history()]


class Tiny:
    """Six stimuli of a shape, and labels of two classes.

    Args:
        shape: (channels, height, width) of a picture, or (2, height, width) of events.
    """

    def __init__(self, shape: tuple[int, int, int], *, events: bool) -> None:
        self.shape, self.events = shape, events

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng, size = np.random.default_rng(index), self.shape[1:]
        label = rng.integers(0, 2, size, np.uint8)
        if not self.events:
            return rng.integers(0, 256, self.shape, np.uint8), label
        times, x, y = np.arange(50), *(rng.integers(0, side, 50) for side in size[::-1])
        return Events(times, x, y, rng.random(50) < 0.5, size, (0, 50)), label


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("kim-printed-deeplab-voc", "width: 2, classifier_layers: 3"),
        ("kim-printed-fcn-mnist-cifar10", "width: 2, classifier_kernel: 1"),
        ("kim-printed-ann-deeplab-ddd17", "width: 2, classifier_layers: 3, frames: 2"),
        ("kim-printed-ann-fcn-ddd17", "width: 2, classifier_kernel: 1, frames: 2"),
        ("mfs-ann-ms-camvid", "base: 2, n: 1, block: ms"),
        ("mfs-ann-efs-camvid", "base: 2, n: 1, block: efs"),
        ("mfs-efs-260x352-ddd17", "base: 2, n: 1"),
        ("mfs-efs-res36-ddd17", "base: 2, n: 1"),
        ("mfs-efs-test-in-training-camvid", "base: 2, n: 1"),
        ("rmp-plain-last-voc", "width: 2"),
        ("rmp-aspp-all-ade20k", "width: 2, aspp: [1, 6, 12, 18]"),
        ("rmp-aspp-last-digits32-mnist-cifar10", "width: 2, aspp: [1, 6, 12, 18]"),
        ("rmp-plain-steady-state-voc", "width: 2"),
    ],
)
def test_a_recipe_of_each_kind_trains_on_tiny_data(
    name: str, width: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its own settings, but narrow, with T = 2 and two samples a step."""
    options = recipes.load(name).model
    kept = ", ".join(f"{k}: {v}" for k, v in options.options.items() if k in ("preset", "norm"))
    model = f"{{name: {options.name}, options: {{{', '.join(filter(None, (width, kept)))}}}}}"
    fields = [f"model={model}", "encoder.steps=2", "training.epochs=1", "training.batch_size=2"]
    if "sensor" in recipes.load(name).encoder:
        fields.append("encoder.sensor=[20, 32]")
    recipe = recipes.load(name, fields)
    kind = recipe.encoder["kind"]
    events = kind.startswith("event")
    shape = (2, 20, 32) if events else (4 if kind == "frames" else 3, 32, 32)
    part = Tiny(shape, events=events)
    tiny = DataSet("tiny", part, part, ("a", "b"))
    monkeypatch.setattr(data, "load", lambda *_, **__: tiny)
    run = train(recipe, tmp_path / "run", progress=False)
    (row,) = run.history()
    assert np.isfinite(row["loss"])
    assert ("rmp" in row) == (recipe.rmp.weight > 0)
    assert ("val_miou" in row) == (not recipe.training.train_on_all)
    assert isinstance(run.model, AnalogModel) == ("-ann-" in name)
    assert 0 <= evaluate(run, progress=False).miou <= 1


class _Watched:
    """Samples that note which of them were asked for."""

    def __init__(self, samples: Any) -> None:
        self.samples, self.asked = samples, set[int]()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        self.asked.add(index)
        return self.samples[index]


@pytest.mark.parametrize("official", [True, False])
def test_training_on_all_uses_every_sample_reads_no_held_out_part_and_keeps_the_last_epoch(
    official: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = data.load("digits-photos", train=20, test=4, validation=10)
    assert whole.validation is not None
    held = _Watched(whole.validation) if official else None
    watched = replace(whole, train=_Watched(whole.train), validation=held)
    monkeypatch.setattr(data, "load", lambda *_, **__: watched)
    recipe = small(training__train_on_all=True, training__epochs=2, training__learning_rate=1.0)
    fed = []
    step = Segmenter.training_step
    monkeypatch.setattr(
        Segmenter, "training_step", lambda self, b, i: (fed.append(len(b[1])), step(self, b, i))[1]
    )
    monkeypatch.setattr(Segmenter, "validation_step", lambda *_: pytest.fail("validated"))
    parts = [part for part in (watched.train, held) if part is not None]

    def forget(_: Run) -> None:  # what was read to check the labels
        for part in parts:
            part.asked.clear()  # type: ignore[attr-defined]

    run = train(recipe, tmp_path / "run", described_as=forget)
    count = 30 if official else 20
    assert sum(fed) == 2 * count
    for part in parts:
        assert part.asked == set(range(len(part)))  # type: ignore[attr-defined]
    rows = run.history()
    assert len(rows) == 2
    assert not [key for row in rows for key in row if key.startswith("val")]
    last = torch.load(tmp_path / "run" / "checkpoints" / "metrics.ckpt", weights_only=True)
    for name, value in weights_of(tmp_path / "run").items():
        assert torch.equal(value, last["state_dict"][f"model.{name}"]), name
    said = capsys.readouterr().err
    assert f"all {count} samples outside of the test part train" in said
    assert "the last one is kept" in said
    with pytest.raises(LavasegError, match=r"trained on all samples .* no validation part"):
        evaluate(run, split="validation", progress=False)
    page = write_report(run).read_text("utf-8")
    assert "no held-out part selected an epoch, and the weights of the last one were kept" in page
    assert "best validation mIoU were kept" not in page


def test_a_run_on_all_samples_resumes_exactly(tmp_path: Path) -> None:
    watched = {"training__membrane_histograms": True, "training__epochs": 2}
    recipe = small(training__train_on_all=True, **watched)
    whole = train(recipe, tmp_path / "whole", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segmenter, "on_train_epoch_start", _stop_in_second, raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "parts", progress=False)
    resumed = train(recipe, tmp_path / "parts", resume=True, progress=False)
    assert without_time(resumed) == without_time(whole)
    expected, found = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    membranes = resumed.files.membranes.load()
    assert membranes.epochs == (1, 2)
    for name, histograms in whole.files.membranes.load().histograms.items():
        for one, other in zip(histograms, membranes.histograms[name], strict=True):
            np.testing.assert_array_equal(one.counts, other.counts)
            assert one.counts.sum() == 8 * resumed.network.neurons(name) * STEPS
    export(resumed, progress=False)
    (row,) = resumed.files.tuning_history.load()
    assert "val_miou" not in row, "fine-tuning, too, holds nothing out"
    assert evaluate_net(resumed, progress=False).samples == 10


def _stop_in_second(module: Segmenter) -> None:
    if module.trainer.current_epoch:
        raise KeyboardInterrupt


def test_training_warns_of_dilations_that_reach_beyond_the_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"model__options__aspp": [1, 6, 12, 18], "model__options__output_stride": 4}
    train(small(training__epochs=1, **options), tmp_path / "run")
    said = capsys.readouterr().err
    (warning,) = [text for text in said.splitlines() if "beyond its sheet" in text]
    assert "branch12 (dilation 12, a 3x3 kernel on a sheet of 8x8) acts as 1x1" in warning
    assert "branch18 (dilation 18, a 3x3 kernel on a sheet of 8x8) acts as 1x1" in warning
    assert "branch6" not in warning
    run = Run.open(tmp_path / "run")
    export(run, finetune=False, progress=False)
    told = CliRunner().invoke(app, ["info", str(run.files.net.path)]).stdout
    assert "branch18 (dilation 18, a 3x3 kernel on a sheet of 8x8) acts as 1x1" in " ".join(
        told.split()
    )
    found = json.loads(CliRunner().invoke(app, ["info", str(run.files.net.path), "--json"]).stdout)
    assert [b["acts_as"] for b in found["beyond_sheet"]] == [[1, 1], [1, 1]]
    assert "branch18 (dilation 18, a 3x3 kernel" in write_report(run).read_text("utf-8")
