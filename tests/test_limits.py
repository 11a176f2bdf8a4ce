"""Limits of the machine are raised where that is allowed, else named with the number needed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from lavaseg.deploy import verify_spikes
from lavaseg.deploy.backends import Backend
from lavaseg.deploy.lava import run_multiprocess
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.system import limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/shm and ulimit")

DEEP = """
import sys
import numpy as np
from lavaseg.deploy.lava import run_inprocess, run_multiprocess
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork

depth = int(sys.argv[1])
names = [f"l{i}" for i in range(depth)]
network = Network(
    Input("input", (2, 2, 2)),
    tuple(Population(name, None if name == names[-1] else 60) for name in names),
    tuple(Projection(a, b, Conv(2, (1, 1))) for a, b in zip(["input", *names], names)),
    names[-1],
)
rng = np.random.default_rng(0)
weights = {
    p.name: (2 * rng.integers(10, 30, network.weight_shape(p))).astype(np.int16)
    for p in network.projections
}
net = IntegerNetwork(network, weights, Poisson(2), ("a", "b"))
spikes = np.ones((1, 2, 2, 2, 2), np.uint8)
try:
    one = run_inprocess(net, spikes, record="all")
    other = run_multiprocess(net, spikes, record="all")
except LavasegError as error:
    sys.exit(f"error: {error}")
assert (one.readout == other.readout).all()
assert all((one.spikes[name] == other.spikes[name]).all() for name in one.spikes)
print("equal")
"""


def limited(
    ulimit: str, code: str, *arguments: str, patience: int = 60
) -> subprocess.CompletedProcess[str]:
    """Python code under limits of the shell, as a user whom they bind (root goes beyond some)."""
    python = [sys.executable, "-c", code, *arguments]
    words = ["bash", "-c", f'{ulimit}; exec "$0" "$@"', *python]
    return subprocess.run(words, capture_output=True, text=True, timeout=patience, check=False)


def deep(depth: int, ulimit: str) -> subprocess.CompletedProcess[str]:
    """A network of `depth` populations on both Lava runtimes, under limits of the shell."""
    return limited(ulimit, DEEP, str(depth), patience=300)


@pytest.mark.full
def test_deep_network_runs_with_1024_open_files() -> None:
    result = deep(70, "ulimit -n 1024")
    assert result.stdout == "equal\n", result.stderr


@pytest.mark.slow
def test_soft_limit_of_open_files_is_raised() -> None:
    result = deep(20, "ulimit -Hn 1024; ulimit -Sn 100")
    assert result.stdout == "equal\n", result.stderr


def test_hard_limit_of_open_files_is_named_before_the_run() -> None:
    result = deep(20, "ulimit -n 100")
    assert result.returncode == 1
    assert "open files at a time, and this system allows 100: run it" in result.stderr
    assert result.stderr.count("\n") == 1


Machine = Callable[[pytest.MonkeyPatch], None]


def _few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (80, 80))


def _full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))


def _little_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    state = SimpleNamespace(f_bavail=1, f_frsize=4096)
    monkeypatch.setattr(limits, "os", SimpleNamespace(statvfs=lambda folder: state))


def _few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_of_group", lambda: (64, 60, "{}"))


@pytest.mark.parametrize(
    ("lack", "words"),
    [
        (_few_files, r"needs \d+ open files at a time, and this system allows 80"),
        (_full_disk, r"needs [\d,]+ bytes in .*, and that disk has 1,000 left"),
        (_little_shared_memory, r"needs 1 MB of shared memory, and /dev/shm has 1 MB left"),
        (_few_threads, r"needs \d+ processes and threads besides the 60 that run"),
    ],
)
def test_what_a_machine_lacks_for_one_backend_is_said_before_any_runs(
    lack: Machine, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(
        Input("input", (2, 2, 2)),
        (Population("readout", None),),
        (Projection("input", "readout", Conv(2, (1, 1))),),
        "readout",
    )
    weights = {network.projections[0].name: np.full((2, 2, 1, 1), 20, np.int16)}
    net = IntegerNetwork(network, weights, Poisson(2), ("a", "b"))
    spikes = np.ones((1, 2, 2, 2, 2), np.uint8)
    ran = []
    monkeypatch.setattr(Backend, "run", lambda *_: ran.append(1))
    importlib.import_module("lavaseg.deploy.lava.needs")
    lack(monkeypatch)
    with pytest.raises(LavasegError, match=words):
        verify_spikes(net, spikes, progress=False)
    with pytest.raises(LavasegError, match=words):
        run_multiprocess(net, spikes)
    assert not ran


def test_too_little_shared_memory_is_named_with_what_is_needed() -> None:
    limits.check_shared_memory(1, "it")
    with pytest.raises(LavasegError, match=r"^it needs 1048576 MB of shared memory, and /dev/shm"):
        limits.check_shared_memory(2**40, "it")


def test_too_few_processes_and_threads_are_named_with_what_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits.allow_threads(1, "it")
    monkeypatch.setattr(limits, "_of_user", lambda: (64, 60, "`ulimit -Hu` of {}"))
    limits.allow_threads(4, "it")
    wanted = r"^it needs 5 .* besides the 60 that run, and this system allows 64: .* of 65$"
    with pytest.raises(LavasegError, match=wanted):
        limits.allow_threads(5, "it")


def test_threads_of_a_user_are_counted_and_its_limit_is_raised() -> None:
    code = (
        "import os, resource; from lavaseg.system import limits\n"
        "os.getuid = lambda: os.stat('/proc/self').st_uid or 1\n"
        "limit, running, _ = limits._of_user()\n"
        "assert limit == 5000, limit\n"
        "assert resource.getrlimit(resource.RLIMIT_NPROC) == (5000, 5000)\n"
    )
    result = limited("ulimit -u 5000; ulimit -Su 4000", code)
    assert result.returncode == 0, result.stderr


def test_a_limit_on_addresses_is_named_whatever_it_made_fail() -> None:
    code = (
        "from lavaseg.system.faults import explanation\n"
        "for error in (MemoryError(), OSError('no object file'), ImportError('no segment'),\n"
        '              RuntimeError("can\'t start new thread")):\n'
        "    print(explanation(error))\n"
        "print(explanation(RuntimeError('else')))"
    )
    said = limited("ulimit -v 2000000", code).stdout.splitlines()
    assert all("lets this process use 1953 MB of addresses, which was" in text for text in said[:4])
    assert said[4:] == ["None"]
    assert "ulimit -u" in limited("true", code).stdout.splitlines()[3]
