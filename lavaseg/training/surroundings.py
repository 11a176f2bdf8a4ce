"""Keeps what surrounds a training from changing it: batch schedulers and lightning's variables.

Lightning asks the environment whether a scheduler (Slurm, LSF, MPI, torchrun) has started it, how
many processes belong to it, and for defaults of its own settings (PL_TRAINER_...); some of that on
import, so all modules take lightning and torchmetrics from here. Under Slurm it also takes up any
hpc_ckpt_N.ckpt that lies in the working directory. A run follows its recipe and its folder alone,
in one process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lavaseg.system.environment import without_schedulers

with without_schedulers():
    import lightning.pytorch as pl
    from lightning.fabric.plugins.environments import LightningEnvironment
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers import TensorBoardLogger
    from lightning.pytorch.plugins.io import TorchCheckpointIO
    from torchmetrics.classification import MulticlassConfusionMatrix

__all__ = [
    "ModelCheckpoint",
    "MulticlassConfusionMatrix",
    "TensorBoardLogger",
    "TorchCheckpointIO",
    "alone",
    "one_process",
    "pl",
]


@contextmanager
def alone() -> Iterator[None]:
    """While open, variables of schedulers and of lightning are not there.

    A scheduler's warning that the time is nearly up (SIGUSR1, `sbatch --signal=USR1@60`) ends the
    training as SIGTERM does, where nothing else handles it.
    """
    with without_schedulers(), _warned():
        yield


def one_process() -> LightningEnvironment:
    """The environment of a training that is a single process, whatever a scheduler started."""
    environment = LightningEnvironment()
    environment.set_global_rank(0)  # on import, lightning took the rank that a scheduler gave
    return environment


@contextmanager
def _warned() -> Iterator[None]:
    usable = hasattr(signal, "SIGUSR1") and threading.current_thread() is threading.main_thread()
    if not usable or signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGUSR1, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
