"""Keeps what surrounds a training from changing it: batch schedulers and lightning's variables.

Lightning asks the environment whether a scheduler (Slurm, LSF, MPI, torchrun) has started it, how
many processes belong to it, and for defaults of its own settings (PL_TRAINER_...). Under Slurm it
also takes up any hpc_ckpt_N.ckpt that lies in the working directory. A run follows its recipe and
its folder alone, in one process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning.fabric.plugins.environments import LightningEnvironment

_PREFIXES = ("SLURM_", "PL_", "LSB_", "JSM_", "TORCHELASTIC_", "OMPI_", "PMI_")
_NAMES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE")


@contextmanager
def without_schedulers() -> Iterator[None]:
    """While open, variables of schedulers and of lightning are not there.

    A scheduler's warning that the time is nearly up (SIGUSR1, `sbatch --signal=USR1@60`) ends the
    training as SIGTERM does, where nothing else handles it.
    """
    names = [name for name in os.environ if name.startswith(_PREFIXES) or name in _NAMES]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        with _warned():
            yield
    finally:
        os.environ.update(hidden)


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
