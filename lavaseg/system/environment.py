"""Variables of the environment that steer the libraries in use: kept from changing or ending a run.

Schedulers (Slurm, LSF, MPI, torchrun) tell each process its rank, and lightning takes defaults of
its own settings from the environment (PL_TRAINER_...). Numba, BLAS, OpenMP and matplotlib have
switches there, too. What a run computes follows from its folder and the command line alone; of the
environment it takes `LAVASEG_DATA`, numbers of threads and places of caches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

_SCHEDULERS = ("SLURM_", "LSB_", "JSM_", "OMPI_", "PMI_", "PMIX_", "TORCHELASTIC_")
_LIGHTNING = ("PL_", "LIGHTNING_")
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
_PORTS = ("MASTER_ADDR", "MASTER_PORT", "STANDALONE_PORT")
_SWITCHES = ("NUMBA_", "TORCH_LOGS", "PYTORCH_JIT", "MPLBACKEND", "MATPLOTLIBRC")
"""How the names of switches begin that change how libraries compute, draw or report."""
_CACHE = "NUMBA_CACHE_DIR"
"""Where compiled kernels are kept, if their own folder cannot be written."""
_THREADS = tuple(f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "VECLIB"))
_COUNT = re.compile(r" *[1-9][0-9]{0,4} *(, *[1-9][0-9]{0,4} *)*")
"""A number of threads; OpenMP takes one for each level of nesting."""


@contextmanager
def without_schedulers() -> Iterator[None]:
    """While open, variables of schedulers and of lightning are not there."""
    beginnings = (*_SCHEDULERS, *_LIGHTNING)
    exact = (*_RANKS, *_PORTS)
    names = [name for name in os.environ if name.startswith(beginnings) or name in exact]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


def settle(variables: MutableMapping[str, str]) -> list[str]:
    """Drop switches of libraries, and settings that they could not read.

    To be called before they are imported, in a process that is ours alone.

    Args:
        variables: `os.environ`.

    Returns:
        A sentence for each setting that was dropped because it makes no sense.
    """
    cache = variables.get(_CACHE)
    for name in [name for name in variables if name.startswith(_SWITCHES)]:
        del variables[name]
    remarks = []
    if cache:
        if _can_be_written(Path(cache)):
            variables[_CACHE] = cache
        else:
            remarks.append(f"{_CACHE} is ignored: {cache!r} cannot be written")
    for name in _THREADS:
        value = variables.get(name)
        if value is not None and not _COUNT.fullmatch(value):
            del variables[name]
            remarks.append(f"{name} is ignored: {value!r} is no number of threads")
    return remarks


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
