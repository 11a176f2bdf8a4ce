"""What a bundle's `run.py` does: looks at the machine, runs the samples, keeps what they gave."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavaseg.deploy.backends import BACKENDS, check_backend
from lavaseg.deploy.cloud import bundle as members
from lavaseg.deploy.cloud.archive import MANIFEST
from lavaseg.deploy.cloud.collect import judge, say_judgement
from lavaseg.deploy.cloud.results import read_results, write_results
from lavaseg.deploy.cloud.spikes import spikes_from_bytes
from lavaseg.deploy.doctor import as_plain, examine, obstacles
from lavaseg.deploy.loihi2.job import PROFILES, check_power, profile_kinds
from lavaseg.deploy.loihi2.system import GENERATIONS, System, check_extension, placed
from lavaseg.errors import LavasegError
from lavaseg.system.extras import optional
from lavaseg.system.faults import explanation
from lavaseg.system.versions import version_of
from lavaseg.system.words import counted

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.network.integers import IntegerNetwork


def main(folder: Path, words: Sequence[str]) -> int:
    """Run the bundle that was unpacked in `folder`.

    Returns:
        Exit code: 0 equal, 1 different, 2 a mistake in the call or in a file.
    """
    manifest = json.loads((folder / MANIFEST).read_bytes())
    options = _parser(manifest).parse_args(words)
    try:
        with optional(), _ended_cleanly():
            return _run(folder, manifest, options)
    except LavasegError as error:
        sentence: str | None = str(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        sentence = explanation(error)
        if sentence is None:
            raise
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def _parser(manifest: Mapping[str, Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "run.py", description=f"Run bundle {manifest['name']!r} and compare what it gives."
    )
    add = parser.add_argument
    add("--backend", default=manifest["backend"], help=f"one of {', '.join(BACKENDS)}")
    add("--partition", help="partition of Slurm whose boards may run it")
    add("--board", help="the one board that is to run it, such as ncl-og-01")
    add("--host", help="address of a board's host, reached without Slurm")
    add("--loihi-gen", choices=GENERATIONS, help="generation of the chip")
    add("--out", default="results", type=Path, help="folder of the results, which must be new")
    add("--profile", help=f"measure the board: all, or some of {','.join(PROFILES)}")
    add("--timeout", type=float, help="give up after this many seconds (backend lava)")
    return parser


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """While open, the signal by which Slurm ends a job unwinds, so that nothing is left behind."""

    def unwind(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(folder: Path, manifest: Mapping[str, Any], options: argparse.Namespace) -> int:
    check_backend(options.backend, tuple(BACKENDS))
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise LavasegError(f"--out {options.out} exists already: choose a new folder")
    system = System(options.board, options.partition, options.host, options.loihi_gen)
    kinds = profile_kinds(options.profile, options.backend)
    if BACKENDS[options.backend].on_chip:
        check_extension()
        check_power(kinds, placed(system).partition)  # refused before the run, not after it
    elif system.given:
        _say(f"on {options.backend} no chip is used: --backend loihi2 takes the board")
    doctor = _examine(_purpose(options.backend))

    from lavaseg.deploy.requests import check_request
    from lavaseg.network.ranges import check_ranges
    from lavaseg.netx import read

    net = read(folder / members.NETWORK)
    path = folder / members.SAMPLES
    samples = spikes_from_bytes(path.read_bytes(), str(path))
    record = check_request(net, samples, manifest["recorded"])
    check_ranges(net)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != manifest["python"]:
        _say(f"this is Python {here}, and the bundle was made with {manifest['python']}")
    what = f"{counted(len(samples), 'sample')} of {counted(net.steps, 'step')}"
    _say(f"running {what} on {options.backend}")
    found = BACKENDS[options.backend].run(net, samples, record, options.timeout, None, system)
    facts = {
        "backend": options.backend,
        "partition": options.partition,
        "board": options.board,
        "job": os.environ.get("SLURM_JOB_ID"),
        "seconds": found.seconds,
        "profile": _profile(net, samples, kinds, system, options.timeout),
        "machine": _machine(),
    }
    expected = (folder / members.EXPECTED).read_bytes()
    write_results(options.out, manifest, expected, found, facts, doctor)
    verdict = judge(read_results(options.out))
    say_judgement(verdict, _say)
    return 0 if verdict.ok else 1


def _profile(
    net: IntegerNetwork,
    samples: np.ndarray,
    kinds: tuple[str, ...],
    system: System,
    timeout: float | None,
) -> dict[str, Any] | None:
    """What the board measures, each in a run of its own; None if nothing is asked for.

    The spikes are there already: a profile that fails is said and kept as its sentence, `error`.
    """
    if not kinds:
        return None
    from lavaseg.deploy.loihi2 import profile

    try:
        return profile(net, samples, kinds=kinds, system=system, timeout=timeout)
    except LavasegError as error:
        return {"error": str(error)}


def _purpose(backend: str) -> str:
    """What the machine is wanted for, as `lavaseg doctor --for` names it."""
    if BACKENDS[backend].on_chip:
        return "loihi2"
    return "lava" if BACKENDS[backend].on_lava else "simulate"


def _examine(purpose: str) -> dict[str, Any]:
    """What `lavaseg doctor` says of this machine; what hinders the purpose is printed."""
    checks = examine()
    for check in obstacles(checks, purpose):
        _say(f"doctor: {check.name}: {check.found}; {check.remedy}")
    return as_plain(checks)


def _machine() -> dict[str, Any]:
    packages = ("numpy", "numba", "lava-nc", "lava-loihi")
    return {
        "node": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version_of(name) for name in packages},
    }


def _say(text: str) -> None:
    print(text, flush=True)
