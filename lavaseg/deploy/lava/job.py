"""A run as files: how the calling process hands a network to the one that runs Lava, and back.

The folder holds `job.json`, `weights.npz` and `spikes.npy`; the recorders' files join them while
the run goes on (`session`), and `outcome.json` ends it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.encoders import encoder_from_dict
from lavaseg.network import Network
from lavaseg.network.integers import Bias, IntegerNetwork


@dataclass(frozen=True)
class Job:
    """What to run.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W).
        record: names of recorded populations.
        fast: our process models, or Lava's own arithmetic.
        limit: seconds after which the run is given up.
        prefix: how the names of its shared memory begin.
    """

    net: IntegerNetwork
    spikes: np.ndarray
    record: tuple[str, ...]
    fast: bool
    limit: float
    prefix: str

    def save(self, folder: Path) -> None:
        """Write the job into `folder`."""
        net = self.net
        arrays = {f"weight {name}": weight for name, weight in net.weights.items()}
        arrays |= {f"bias {name}": bias.mantissa for name, bias in net.biases.items()}
        arrays |= {f"clock {name}": clock for name, clock in net.clocks.items()}
        np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
        np.save(folder / "spikes.npy", self.spikes)
        write_json(
            folder / "job.json",
            {
                "network": net.network.to_dict(),
                "encoder": net.encoder.to_dict(),
                "classes": net.classes,
                "exponents": {name: bias.exponent for name, bias in net.biases.items()},
                "record": self.record,
                "fast": self.fast,
                "limit": self.limit,
                "prefix": self.prefix,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Job:
        """The job that `save` wrote."""
        data = json.loads((folder / "job.json").read_text("utf-8"))
        with np.load(folder / "weights.npz") as arrays:
            weights = {n[7:]: arrays[n] for n in arrays.files if n.startswith("weight ")}
            biases = {n: Bias(arrays[f"bias {n}"], e) for n, e in data["exponents"].items()}
            clocks = {n[6:]: arrays[n] for n in arrays.files if n.startswith("clock ")}
        net = IntegerNetwork(
            Network.from_dict(data["network"]),
            weights,
            encoder_from_dict(data["encoder"]),
            tuple(data["classes"]),
            biases,
            clocks=clocks,
        )
        spikes = np.load(folder / "spikes.npy", mmap_mode="r")
        options = {name: data[name] for name in ("fast", "limit", "prefix")}
        return cls(net, spikes, tuple(data["record"]), **options)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: seconds of the run itself, or what went wrong."""

    seconds: float = 0.0
    error: str = ""

    def save(self, folder: Path) -> None:
        write_json(folder / "outcome.json", asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Outcome | None:
        """The outcome, or None if the run ended without a word."""
        path = folder / "outcome.json"
        return cls(**json.loads(path.read_text("utf-8"))) if path.exists() else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(data), "utf-8")
    os.replace(draft, path)


def sweep_shared_memory(prefix: str) -> None:
    """Remove shared memory (and semaphores) whose names begin with `prefix`."""
    folder = Path("/dev/shm")
    if folder.is_dir():  # elsewhere the system does not list it
        for kind in ("", "sem."):
            for path in folder.glob(f"{kind}{prefix}*"):
                path.unlink(missing_ok=True)
