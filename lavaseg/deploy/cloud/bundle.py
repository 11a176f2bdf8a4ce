"""A bundle: a network, encoded samples, what they must give, and all that runs them elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg import __version__
from lavaseg.deploy.backends import BACKENDS, REFERENCE, Progress, check_backend
from lavaseg.deploy.cloud import environment, spikes
from lavaseg.deploy.cloud.archive import Archive, read_archive, write_archive
from lavaseg.errors import LavasegError
from lavaseg.netx import read
from lavaseg.results.activity import Activity

FORMAT = "lavaseg bundle 1"
"""Says what a manifest is of, and in which layout."""
NETWORK, SAMPLES, EXPECTED = "network.net", "samples.npz", "expected.npz"
"""Names of members: the network, its encoded input, what the simulator made of it."""

_README = """\
{name}: {samples} samples of a spiking network, and what they must give, spike for spike.
Made by lavaseg {version} (its sources are in the folder lavaseg) on Python {python}.

By hand, in this folder:
  python3 -m venv env
  env/bin/pip install -r requirements.txt
  env/bin/pip install --no-deps --ignore-requires-python -r lava.txt
  env/bin/python run.py --backend lava --out results
On Loihi 2 the environment is the one that holds Intel's extension; lava.txt is left out there:
  python run.py --backend loihi2 --partition PARTITION --out results
As one job of Slurm:
  sbatch --partition PARTITION job.sbatch --backend loihi2 --partition PARTITION --out results
Where the bundle was made, once the folder results is back:
  lavaseg collect results --bundle BUNDLE
`run.py --help` lists the rest.
"""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found whole.

    Args:
        path: its file.
        archive: its members.
    """

    path: Path
    archive: Archive

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read and check a bundle.

        Raises:
            LavasegError: no such file, no bundle, or one that was damaged or changed.
        """
        return cls(Path(path), read_archive(Path(path), FORMAT))

    @property
    def manifest(self) -> Mapping[str, Any]:
        return self.archive.manifest

    @property
    def identity(self) -> str:
        return self.archive.identity

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    def expected(self) -> Activity:
        """What the simulator gave for the samples."""
        return spikes.activity_from_bytes(
            self.archive.members[EXPECTED], f"{self.path}: {EXPECTED}"
        )


def make_bundle(
    net: str | Path,
    samples: np.ndarray,
    path: str | Path,
    *,
    name: str | None = None,
    names: Sequence[str] = (),
    record: Sequence[str] = (),
    backend: str = "lava",
    progress: Progress | None = None,
) -> Bundle:
    """Simulate encoded samples and write them with their network as one archive.

    The same network, samples and installation give the same bytes.

    Args:
        net: a `.net` file; its bytes go into the bundle as they are.
        samples: uint8 (N, T, C, H, W), as the network's encoder gives them.
        path: the file to write.
        name: of the bundle; by default that of `net`.
        names: of the samples.
        record: populations whose spikes the bundle holds and the run must give back, or "all".
            By default all, if they are not more than `spikes.MOST_RECORDED`; else none, and of
            each neuron the number of its spikes is compared.
        backend: what the bundle runs on unless its user says otherwise.
        progress: called with (units of the simulation done, units in all).

    Raises:
        LavasegError: no network, samples that do not fit it, an unknown population or backend, a
            limit of the chip that is broken where it is to run on one, or the file cannot be
            written.
    """
    check_backend(backend, tuple(BACKENDS))
    net, path = Path(net), Path(path)
    network = read(net)
    recorded = spikes.recorded(network, len(samples), record)
    pins = environment.requirements()

    from lavaseg.deploy.loihi2.limits import check_limits
    from lavaseg.deploy.requests import check_request
    from lavaseg.network.ranges import check_ranges

    check_request(network, samples, recorded)
    check_ranges(network)
    if BACKENDS[backend].on_chip:
        check_limits(network)
    expected = BACKENDS[REFERENCE].run(network, samples, recorded, None, progress)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    facts = {
        "format": FORMAT,
        "name": re.sub(r"[^\w.-]", "-", name or net.stem),
        "lavaseg": __version__,
        "python": python,
        "backend": backend,
        "samples": len(samples),
        "names": list(names),
        "recorded": list(recorded),
        **spikes.shapes(network),
    }
    members = {
        NETWORK: net.read_bytes(),
        SAMPLES: spikes.spikes_to_bytes(samples),
        EXPECTED: spikes.activity_to_bytes(expected),
        "requirements.txt": pins.encode(),
        "lava.txt": environment.lava_requirements().encode(),
        "README.txt": _README.format(**{**facts, "version": __version__}).encode(),
        "run.py": _own("start.py"),
        "job.sbatch": _own("job.sbatch"),
        **environment.sources(),
    }
    write_archive(path, members, facts)
    return Bundle.open(path)


def _own(name: str) -> bytes:
    return files("lavaseg.deploy.cloud").joinpath(name).read_bytes()


def check_same_network(bundle: Mapping[str, Any], digest: str, net: Path) -> None:
    """LavasegError unless a bundle's network is the `.net` file with this SHA-256."""
    if bundle["members"][NETWORK]["sha256"] != digest:
        raise LavasegError(f"{net} is another network than the one of bundle {bundle['name']!r}")
