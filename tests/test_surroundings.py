"""Nothing but the run folder and the command line influences a training."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lavaseg import recipes
from lavaseg.runs import Run
from lavaseg.training import train
from lavaseg.training.surroundings import alone

FOREIGN = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "seg",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "3",
    "SLURM_NODEID": "0",
    "SLURM_NODELIST": "n1",
    "PL_TRAINER_MAX_EPOCHS": "1",
    "PL_TRAINER_GRADIENT_CLIP_VAL": "0.001",
    "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1",
    "WORLD_SIZE": "8",
    "NODE_RANK": "1",
}


def trained(folder: Path, **options: Any) -> Run:
    fields = [
        "data.options={train: 24, test: 4}",
        "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 4]",
        "encoder.steps=2",
        "training.epochs=2",
        "training.batch_size=8",
    ]
    return train(recipes.load("demo", fields), folder, progress=False, **options)


def test_scheduler_and_a_foreign_checkpoint_in_the_working_directory_change_no_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "plain")
    torch.save({"state_dict": {}, "epoch": 1}, tmp_path / "hpc_ckpt_1.ckpt")
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    trained(tmp_path / "slurm")
    plain, slurm = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "slurm"))
    assert plain.keys() == slurm.keys()
    assert all(torch.equal(plain[name], slurm[name]) for name in plain)
    assert {name: os.environ[name] for name in FOREIGN} == FOREIGN
    assert list((tmp_path / "slurm" / "tensorboard").rglob("events*"))


def test_warning_of_a_scheduler_ends_a_training_as_sigterm_does() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("SIGTERM"))
    try:
        with alone():
            signal.raise_signal(signal.SIGUSR1)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["SIGTERM"]
