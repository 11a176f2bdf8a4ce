"""A run as files: how the calling process hands a network to the one that runs Lava, and back.

The folder holds `network.net`, `spikes.npy` and `job.json`; the recorders' files join them while
the run goes on (`session`), and `outcome.json` ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg import netx
from lavaseg.deploy.lava.session import make_recorders
from lavaseg.network.integers import IntegerNetwork
from lavaseg.system.faults import writing
from lavaseg.system.files import write_atomically
from lavaseg.system.limits import check_disk

_OPTIONS = ("record", "fast", "period", "limit", "prefix", "chip")
"""The fields of a job that stand in `job.json`."""

_BLOCK = 4096
"""Bytes by which a file takes more of a disk."""
_NET, _NET_PART = 2**16, 2**10
"""Bytes of a .net file besides its weights, at most: of any, and of each node and projection."""
_SPARE = 2**17
"""Bytes of the disk for what the processes print, and for the outcome."""


def job_bytes(net: IntegerNetwork, spikes: np.ndarray, record: Iterable[str]) -> int:
    """Bytes of a job's files, those of its recorders included."""
    weights = sum(weight.nbytes for weight in net.weights.values())
    parts = len(net.network.nodes) + len(net.network.projections)
    network = weights + _NET + _NET_PART * parts
    return network + spikes.nbytes + _record_bytes(net, spikes, record) + _SPARE


def _record_bytes(net: IntegerNetwork, spikes: np.ndarray, record: Iterable[str]) -> int:
    samples, steps = spikes.shape[:2]
    recorders = make_recorders(net.network, samples, steps, record).values()
    arrays = [a for r in recorders for a in (r.counts, r.spikes, r.membrane, r.clock)]
    return sum(_BLOCK * (2 + a.nbytes // _BLOCK) for a in arrays if a is not None)


@dataclass(frozen=True)
class Job:
    """One run of Lava: the network, its input, and how to run it.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W).
        record: names of recorded populations.
        fast: our process models, or Lava's own arithmetic.
        period: physical steps from sample to sample.
        limit: seconds after which the run is given up.
        prefix: how the names of its shared memory begin.
        chip: the task on a board (`lavaseg/deploy/loihi2/job.py`), or None: it runs on CPUs.
    """

    net: IntegerNetwork
    spikes: np.ndarray
    record: tuple[str, ...]
    fast: bool
    period: int
    limit: float
    prefix: str
    chip: dict[str, Any] | None = None

    def save(self, folder: Path) -> None:
        """Write the job into `folder`.

        Raises:
            LavasegError: there is no room for it, or for the recorders' files.
        """
        netx.write(self.net, folder / "network.net")
        with writing(folder / "spikes.npy"):
            np.save(folder / "spikes.npy", self.spikes)
        _write_json(folder / "job.json", {name: getattr(self, name) for name in _OPTIONS})
        records = _record_bytes(self.net, self.spikes, self.record)
        check_disk(folder.parent, records + _SPARE, "a run on Lava's multi-process runtime")

    @classmethod
    def load(cls, folder: Path) -> Job:
        """The job that `save` wrote."""
        options = json.loads((folder / "job.json").read_text("utf-8"))
        record = tuple(options.pop("record"))
        spikes = np.load(folder / "spikes.npy", mmap_mode="r")
        return cls(netx.read(folder / "network.net"), spikes, record, **options)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: seconds of the run itself, or what went wrong.

    Args:
        data: further figures, plain data.
    """

    seconds: float = 0.0
    error: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        _write_json(folder / "outcome.json", asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Outcome | None:
        """The outcome, or None if the run ended without a word."""
        path = folder / "outcome.json"
        return cls(**json.loads(path.read_text("utf-8"))) if path.exists() else None


def _write_json(path: Path, data: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(data))
