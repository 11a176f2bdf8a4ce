"""Keeps what surrounds a training from changing it: batch schedulers and lightning's variables.

Lightning asks the environment whether a scheduler (Slurm, LSF, MPI, torchrun) has started it, how
many processes belong to it, and for defaults of its own settings (PL_TRAINER_...); some of that on
import, so all modules take lightning and torchmetrics from here. Under Slurm it also takes up any
hpc_ckpt_N.ckpt that lies in the working directory. A run follows its recipe and its folder alone,
in the processes that it asks for.
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
    from lightning.pytorch.strategies import DDPStrategy
    from torchmetrics.classification import MulticlassConfusionMatrix

__all__ = [
    "DDPStrategy",
    "ModelCheckpoint",
    "MulticlassConfusionMatrix",
    "OneOf",
    "TensorBoardLogger",
    "TorchCheckpointIO",
    "alone",
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


class OneOf(LightningEnvironment):
    """The environment of a process that trains alone or with others, whatever a scheduler started.

    Args:
        number: its rank.
    """

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.number = number
        self.set_global_rank(number)  # on import, lightning took the rank that a scheduler gave

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning starts no processes."""
        return True

    def local_rank(self) -> int:
        """The rank on this machine."""
        return self.number


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
