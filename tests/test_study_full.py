"""`lavaseg study run NAME --full` starts on a CPU: a step of each kind of recipe that it trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import DDD17, WRITERS
from test_study_papers import OWN
from typer.testing import CliRunner

from lavaseg import data
from lavaseg.cli import app
from lavaseg.data import ddd17
from lavaseg.data.split import Subset
from lavaseg.recipes import Recipe
from lavaseg.studies import load, local, names
from lavaseg.studies.plan import Job, plan
from lavaseg.studies.work import do_task
from lavaseg.training.segmenter import Segmenter

PUBLISHED = [name for name in names() if name not in OWN]
"""Studies whose full versions train what a paper prints."""

KINDS = {
    "voc ann_deeplab direct": "full",
    "voc ann_fcn direct": "full",
    "voc spiking_deeplab onoff_poisson": "slow",
    "voc spiking_fcn onoff_poisson": "full",
    "ddd17 spiking_deeplab frames": "full",
    "ddd17 spiking_fcn frames": "full",
    "camvid spiking_unet direct": "full",
    "camvid mfs_seg direct": "full",
    "camvid unet direct": "full",
    "mnist-cifar10 spiking_deeplab onoff_poisson": "full",
    "mnist-cifar10 spiking_fcn onoff_poisson": "full",
    "mnist-cifar10 ann_deeplab direct": "full",
    "mnist-cifar10 ann_fcn direct": "full",
    "ddd17 ann_deeplab frames": "full",
    "ddd17 ann_fcn frames": "full",
    "voc spiking_deeplab poisson": "full",
    "voc spiking_fcn poisson": "full",
    "ddd17-events mfs_seg event_histogram": "full",
    "mnist-cifar10 spiking_deeplab direct": "full",
    "ddd17-events spike_brgnet event_voxel_grid": "full",
    "camvid ann_fcn direct": "",
    "camvid segnet direct": "full",
    "camvid mimo_unet direct": "full",
    "camvid spiking_fcn direct": "full",
    "camvid ann_mfs_seg direct": "full",
    "ade20k spiking_deeplab onoff_poisson": "full",
    "mnist-cifar10 spiking_deeplab poisson": "full",
    "mnist-cifar10 spiking_fcn poisson": "full",
}
"""Data set, model and encoder of the recipes, and the mark of their test, if any."""
SMALL = [32, 32]
"""Rows and columns of pictures that are resized to something as published."""


def kind_of(recipe: Recipe) -> str:
    """Data set, model and encoder."""
    return f"{recipe.data.name} {recipe.model.name} {recipe.encoder['kind']}"


@cache
def kinds() -> dict[str, tuple[str, int]]:
    """A study and the index of one of its jobs for each kind of recipe of the full versions."""
    found: dict[str, tuple[str, int]] = {}
    for name in PUBLISHED:
        for index, job in enumerate(plan(load(name, "full", seeds=[0])).jobs):
            if job.recipe.data.name in WRITERS:
                found.setdefault(kind_of(job.recipe), (name, index))
    return found


def test_every_kind_of_recipe_of_the_full_versions_is_tried() -> None:
    used = {
        job.recipe.data.name
        for name in PUBLISHED
        for job in plan(load(name, "full", seeds=[0])).jobs
    }
    assert used - WRITERS.keys() == {"dsec"}
    assert kinds().keys() == KINDS.keys()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(k, marks=getattr(pytest.mark, mark) if mark else ())
        for k, mark in KINDS.items()
    ],
)
def test_the_command_begins_training_at_the_published_settings(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is as published but the pictures: few, random and small."""
    name, index = kinds()[kind]
    job = plan(load(name, "full", seeds=[0])).jobs[index]
    WRITERS[job.recipe.data.name](tmp_path / "data")
    monkeypatch.setenv("LAVASEG_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(ddd17, "TRAIN", DDD17["train"])
    monkeypatch.setattr(ddd17, "TEST", DDD17["test"])
    monkeypatch.chdir(tmp_path)
    real = data.load

    def smaller(name: str, /, **options: Any) -> data.DataSet:
        if name == "mnist-cifar10":
            options |= {"train": 2, "validation": 1, "test": 1}
        if "size" in options:
            options["size"] = SMALL
        found = real(name, **options)
        if name == "ddd17-events":  # whose sensor keeps its size: a batch would not fit in memory
            found = replace(found, train=Subset(found.train, np.arange(1)))
        return found

    losses: list[float] = []

    def stop(module: Segmenter, outputs: Any, batch: Any, number: int) -> None:
        losses.append(float(outputs["loss"]))
        raise KeyboardInterrupt

    def here(folder: Path, jobs: Sequence[Job], *_: Any) -> dict[int, str]:
        assert jobs[index].recipe == job.recipe
        with pytest.raises(KeyboardInterrupt):
            do_task(folder, index, progress=False)
        return {}

    monkeypatch.setattr(data, "load", smaller)
    monkeypatch.setattr(Segmenter, "on_train_batch_end", stop)
    monkeypatch.setattr(local, "run_jobs", here)
    result = CliRunner().invoke(app, ["study", "run", name, "--full", "--seeds", "0"])
    assert result.exit_code == 0, result.output
    assert len(losses) == 1
    assert math.isfinite(losses[0])
