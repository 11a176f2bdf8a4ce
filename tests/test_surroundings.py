"""Nothing but the run folder and the command line influences a training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lavaseg import recipes
from lavaseg.runs import Run
from lavaseg.system.environment import settle
from lavaseg.training import train
from lavaseg.training.surroundings import alone

NONSENSE = {
    **dict.fromkeys(("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE"), "abc"),
    **dict.fromkeys(("SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"), "abc"),
    **dict.fromkeys(("MASTER_PORT", "STANDALONE_PORT", "OMPI_COMM_WORLD_RANK"), "abc"),
    **dict.fromkeys(("PL_GLOBAL_SEED", "PL_TRAINER_DEVICES", "LIGHTNING_CLOUD_URL"), "abc"),
    **dict.fromkeys(("NUMBA_NUM_THREADS", "NUMBA_OPT", "NUMBA_CPU_NAME"), "abc"),
    "NUMBA_DISABLE_JIT": "1",
    "NUMBA_CACHE_DIR": "/dev/null/cache",
    "MKL_NUM_THREADS": "-3",
    "TORCH_LOGS": "abc",
    "MPLBACKEND": "abc",
}

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


FIELDS = (
    "data.options={train: 24, test: 4}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 4]",
    "encoder.steps=2",
    "training.epochs=2",
    "training.batch_size=8",
)


def trained(folder: Path, **options: Any) -> Run:
    return train(recipes.load("demo", FIELDS), folder, progress=False, **options)


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


@pytest.mark.slow
def test_nonsense_in_the_environment_changes_no_weight(tmp_path: Path) -> None:
    right = trained(tmp_path / "plain")
    fields = [word for field in FIELDS for word in ("--set", field)]
    command = [sys.executable, "-m", "lavaseg", "train", "demo", *fields]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    result = subprocess.run(
        [*command, "--out", str(tmp_path / "run")],
        env={**os.environ, **threads, **NONSENSE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = Run.open(tmp_path / "run")
    assert found.weights.read_bytes() == right.weights.read_bytes()
    said = result.stderr.splitlines()
    assert said[0] == "NUMBA_CACHE_DIR is ignored: '/dev/null/cache' cannot be written"
    assert said[1] == "MKL_NUM_THREADS is ignored: '-3' is no number of threads"
    # two epochs of few samples: most pixels are called background, which training says
    begun = (
        "warning: after epoch 2, ",
        "network ",
        "parameters ",
        "data ",
        "classes ",
        "training ",
        "device ",
        "memory ",
    )
    rest = [text for text in said[2:] if not text.startswith((*begun, "train epoch", "Loihi 2 "))]
    assert rest == []


def test_only_switches_and_what_makes_no_sense_are_dropped_from_the_environment(
    tmp_path: Path,
) -> None:
    kept = {"OMP_NUM_THREADS": "4,2", "NUMBA_CACHE_DIR": str(tmp_path / "new"), "HOME": "/abc"}
    kept |= {"SLURM_CONF": "/etc/slurm.conf", "LAVASEG_DATA": "data"}
    variables = {**kept, "MKL_NUM_THREADS": "0", "NUMBA_DEBUG": "1", "MATPLOTLIBRC": "abc"}
    assert settle(variables) == ["MKL_NUM_THREADS is ignored: '0' is no number of threads"]
    assert variables == kept
    for value in ("", "abc", "-1", "1.5", "1;2", "9" * 40):
        variables = {"OMP_NUM_THREADS": value}
        assert len(settle(variables)) == 1
        assert variables == {}


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
