"""Warnings of a training that goes wrong: each comes when it should, once, and not on the demo."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import DEMO

from lavaseg import recipes
from lavaseg.errors import LavasegError
from lavaseg.network import Population
from lavaseg.recipes import Recipe
from lavaseg.runs import Run
from lavaseg.training import SpikingNetwork, experiment, train
from lavaseg.training.health import SATURATED, Health, check_finite
from lavaseg.training.segmenter import Segmenter


def small(*more: str) -> Recipe:
    return recipes.load("demo", [*DEMO, *more])


def warnings_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    text = capsys.readouterr().err
    return [line for line in text.splitlines() if line.startswith("warning")]


def begin_with(monkeypatch: pytest.MonkeyPatch, change: Callable[[SpikingNetwork], None]) -> None:
    """Let trainings begin with a network that was changed."""
    honest = experiment.drawn

    def changed(run: Run) -> Any:
        model = honest(run)
        assert isinstance(model, SpikingNetwork)
        with torch.no_grad():
            change(model)
        return model

    monkeypatch.setattr(experiment, "drawn", changed)


def shift(model: SpikingNetwork, layer: str, value: float) -> None:
    bias = model.norm(layer).bias
    assert bias is not None
    bias.fill_(value)


@pytest.mark.parametrize("held_out", [True, False])
def test_layers_that_die_are_named_once_with_a_remedy(
    held_out: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin_with(monkeypatch, lambda model: shift(model, "conv3", -50.0))
    train(small(f"training.train_on_all={not held_out}"), tmp_path / "run")
    (found,) = [text for text in warnings_of(capsys) if "sent no spike" in text]
    assert "conv3 sent no spike for any sample of epoch 1 (nor did conv4" in found
    assert "conv2" not in found
    assert "lower model.options.threshold or training.learning_rate" in found


@pytest.mark.parametrize("levels", [None, 3])
def test_layers_at_their_maximum_are_named_once_with_a_remedy(
    levels: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin_with(monkeypatch, lambda model: shift(model, "conv5", 50.0))
    more = () if levels is None else (f"model.options.levels={levels}", "encoder.steps=1")
    train(small(*more), tmp_path / "run")
    found = [text for text in warnings_of(capsys) if "conv5" in text]
    assert len(found) == 1, found
    most = "spikes at 100% of all steps" if levels is None else "sends 3.00 of 3 levels"
    assert f"conv5 {most} on average at the end of epoch 1" in found[0]
    assert ("model.options.levels" if levels else "model.options.threshold") in found[0]
    assert 0.5 < SATURATED < 1


def test_one_class_that_takes_all_pixels_is_named_once_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = ("training.class_weights=[1, 0]", "training.epochs=8", "training.learning_rate=0.02")
    train(small(*fields), tmp_path / "run")
    (found,) = [text for text in warnings_of(capsys) if "pixels" in text]
    assert "of the validation pixels of all other classes are labelled 'background'" in found
    assert "check training.class_weights" in found


def test_a_rare_class_of_which_something_is_found_is_not_dominated() -> None:
    told: list[str] = []
    health = Health(("road", "post"), told.append, "training")
    module = Segmenter.__new__(Segmenter)
    object.__setattr__(module, "plan", type("Plan", (), {"class_weights": None}))
    for epoch in range(1, 5):
        health._tell_dominated(module, np.array([[100_000, 0], [95, 5]]), epoch)
    assert told == []
    health._tell_dominated(module, np.array([[100_000, 0], [100, 0]]), 5)
    assert told == [], "the first epoch of it says nothing yet"
    for epoch in (6, 7):
        health._tell_dominated(module, np.array([[100_000, 0], [100, 0]]), epoch)
    assert len(told) == 1
    assert "training.class_weights=median_frequency" in told[0]


def test_remedies_of_fine_tuning_are_fields_of_fine_tuning(tmp_path: Path) -> None:
    told: list[str] = []
    health = Health(("road", "post"), told.append, "finetune")
    layers = [Population("a"), Population("b")]
    health.silent, health.rates = {"a"}, {"b": 1.0}
    health._tell_silent(layers, 1)
    health._tell_saturated(layers, 1)
    module = Segmenter.__new__(Segmenter)
    object.__setattr__(module, "plan", type("Plan", (), {"class_weights": None}))
    for epoch in (1, 2):
        health._tell_dominated(module, np.array([[9, 0], [9, 0]]), epoch)
    with pytest.raises(LavasegError, match="loss is no longer finite numbers") as caught:
        check_finite(torch.nn.Linear(1, 1), 1, torch.tensor(torch.nan), "finetune")
    assert len(told) == 3
    for text in (*told, str(caught.value)):
        assert "finetune.learning_rate" in text
        assert not re.search(r"\b(training|model)\.", text), text


@pytest.mark.parametrize("recipe", ["demo", "demo-levels"])
def test_the_demo_is_trained_without_a_warning(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = ("data.options={train: 160, test: 4}", "training.epochs=3")
    train(recipes.load(recipe, fields), tmp_path / "run")
    assert warnings_of(capsys) == []


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_numbers_that_are_none_stop_before_the_weights_and_the_run_goes_on_from_the_last_epoch(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(small(), tmp_path / "whole", progress=False)
    honest = Segmenter.training_step

    def spoilt(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
        loss = honest(self, batch, index)
        if (self.trainer.current_epoch, index) != (1, 1):
            return loss
        if broken == "loss":
            self.terms["total"] = (loss * torch.nan).detach()
            return loss * torch.nan
        conv4 = self.model.get_submodule("norms.conv4").weight
        assert isinstance(conv4, torch.nn.Parameter)
        conv4.register_hook(lambda gradient: gradient * torch.inf)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "training_step", spoilt)
        with pytest.raises(LavasegError) as caught:
            train(small(), tmp_path / "run", progress=False)
    said = str(caught.value)
    assert said.startswith("epoch 2, step 5: ")
    what = "the loss is" if broken == "loss" else "gradients of norms.conv4.weight are"
    assert what in said
    assert "weights and checkpoint of the epochs before are kept" in said
    assert "training.gradient_clip" in said
    assert len(Run.open(tmp_path / "run").history()) == 1
    assert not [*(tmp_path / "run").rglob("*.part")]
    resumed = train(small(), tmp_path / "run", resume=True, progress=False)
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()


def test_a_learning_rate_that_is_far_too_large_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LavasegError, match="no epoch has finished, so there is nothing to keep"):
        train(small("training.learning_rate=1e30"), tmp_path / "run", progress=False)
