"""Pixels without a class: they count nowhere, and where nothing else is left that is said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lavaseg import recipes
from lavaseg.deploy import evaluate as evaluate_net
from lavaseg.errors import LavasegError
from lavaseg.export import export
from lavaseg.recipes import Recipe
from lavaseg.runs import Run
from lavaseg.training import evaluate, train
from lavaseg.training.loss import segmentation_loss
from lavaseg.training.segmenter import Segmenter

IGNORED = 255


def folder(root: Path, blank: dict[str, set[int]]) -> Recipe:
    """A recipe at toy size on pictures of 16 x 16; `blank` names labels without any class."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("validation", 3), ("test", 3)):
        for kind in ("pictures", "labels"):
            (root / part / kind).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
            label = rng.integers(0, 2, (16, 16)).astype(np.uint8)
            label[:, :3] = IGNORED
            if i in blank.get(part, ()):
                label[:] = IGNORED
            Image.fromarray(picture).save(root / part / "pictures" / f"{i}.png")
            Image.fromarray(label).save(root / part / "labels" / f"{i}.png")
    return recipes.load(
        "demo",
        [
            "data.name=folder",
            f"data.options={{root: {root}, classes: 2, ignore: {IGNORED}}}",
            "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
            "encoder={kind: direct, steps: 2}",
            "training.epochs=2",
            "training.batch_size=1",
            "finetune.epochs=1",
        ],
    )


def test_a_batch_without_labels_adds_neither_loss_nor_gradient() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    nothing = torch.full((2, 4, 4), IGNORED)
    loss = segmentation_loss(logits, nothing, ignore_index=IGNORED)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()  # type: ignore[union-attr]
    weightless = torch.where(torch.rand(2, 4, 4) < 0.5, 1, IGNORED)
    weights = (1.0, 0.0, 2.0)
    found = segmentation_loss(logits, weightless, ignore_index=IGNORED, class_weights=weights)
    assert float(found.detach()) == 0


def test_losses_are_the_means_of_the_batches_with_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = folder(tmp_path / "data", {"train": {1, 4}, "validation": {0}, "test": {2}})
    seen: list[float] = []
    honest = Segmenter._loss

    def watched(
        self: Segmenter, logits: torch.Tensor, labels: torch.Tensor, *rest: Any, **how: Any
    ) -> torch.Tensor:
        loss = honest(self, logits, labels, *rest, **how)
        if (labels != IGNORED).any():
            seen.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(Segmenter, "_loss", watched)
    run = train(recipe, tmp_path / "run", progress=False)
    assert len(seen) == 2 * 4
    for row, first in zip(run.history(), (0, 4), strict=True):
        assert row["loss"] == pytest.approx(np.mean(seen[first : first + 4]), rel=1e-6)
        assert math.isfinite(row["val_loss"])
    export(run)
    for result in (evaluate(run, progress=False), evaluate_net(run, progress=False)):
        assert result.loss is not None
        assert math.isfinite(result.loss)
        assert result.confusion.sum() == 2 * 16 * 13
    with pytest.raises(LavasegError, match=r"label 255 is no class.*ignore_index=255 leaves"):
        evaluate_net(run.net(), run.data.test, progress=False)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_without_labels_is_refused_before_anything_is_written(
    tmp_path: Path, part: str
) -> None:
    recipe = folder(tmp_path / "data", {part: set(range(6))})
    with pytest.raises(LavasegError, match=f"no pixel of the {part}.* part has a class"):
        train(recipe, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_test_part_without_labels_is_not_evaluated(tmp_path: Path) -> None:
    run = train(folder(tmp_path / "data", {}), tmp_path / "run", progress=False)
    export(run)
    folder(tmp_path / "data", {"test": set(range(6))})
    run = Run.open(run.path)
    with pytest.raises(LavasegError, match="no pixel of the test part has a class"):
        evaluate(run, progress=False)
    with pytest.raises(LavasegError, match="no pixel of the evaluated part has a class"):
        evaluate_net(run, progress=False)
    assert not run.files.evaluation.exists()


@pytest.mark.parametrize("broken", ["weights", "loss"])
def test_nan_names_its_epoch_and_keeps_what_was_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    recipe = folder(tmp_path / "data", {})
    honest = Segmenter.training_step
    kept: list[bytes] = []

    def diverging(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
        second = self.trainer.current_epoch == 1
        if second and not index:
            kept.append((tmp_path / "run" / "model.safetensors").read_bytes())
        if second and index == 4 and broken == "weights":
            with torch.no_grad():
                next(self.model.parameters()).fill_(math.nan)
        if second and index == 4 and broken == "loss":
            self.log("loss", torch.tensor(math.nan), on_step=False, on_epoch=True, batch_size=1)
        return honest(self, batch, index)

    monkeypatch.setattr(Segmenter, "training_step", diverging)
    with pytest.raises(LavasegError) as refused:
        train(recipe, tmp_path / "run", progress=False)
    assert str(refused.value).startswith(("epoch 2: ", "epoch 2, step "))
    assert ("conv1" in str(refused.value)) == (broken == "weights")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == kept[0]
    monkeypatch.undo()
    assert len(Run.open(tmp_path / "run").history()) == 1
    assert math.isfinite(evaluate(Run.open(tmp_path / "run"), progress=False).loss or math.nan)
