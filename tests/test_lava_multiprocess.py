"""Lava's multi-process runtime: same spikes, and nothing left behind whatever happens."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from lavaseg import netx
from lavaseg.deploy.lava import LavaError, multiprocess, run_inprocess, run_multiprocess
from lavaseg.deploy.lava.job import Job
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork

LIMIT = 100.0
"""Seconds that any run here may take."""

pytestmark = [
    pytest.mark.slow,  # each run starts an interpreter and one OS process for each Lava process
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc and /dev/shm"),
]


class Traces:
    """What runs started by this test have left on the machine."""

    def __init__(self, folder: Path, token: str) -> None:
        self.folder, self.token = folder, token

    def processes(self) -> list[int]:
        """Living processes whose environment names our temporary folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(self.folder).encode() in environment and state != "Z":
                found.append(int(entry.name))
        return found

    def shared_memory(self) -> list[str]:
        """Shared memory whose name holds this test's token."""
        return [path.name for path in Path("/dev/shm").iterdir() if self.token in path.name]

    def files(self) -> list[Path]:
        return list(self.folder.iterdir())


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Traces]:
    """Asserts at the end that no process, file or shared memory of this test is left.

    (tmp_path is asked for so that it exists before the temporary folder moves.)
    """
    token = uuid.uuid4().hex[:8]
    folder = Path(tempfile.gettempdir()) / f"lt-{token}"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(multiprocess, "shared_memory_prefix", lambda _: f"lvs{token}_")
    found = Traces(folder, token)
    yield found
    assert found.processes() == []
    assert found.shared_memory() == []
    assert found.files() == []
    folder.rmdir()


@pytest.fixture
def net() -> IntegerNetwork:
    """input -> hidden -> out, T = 4."""
    network = Network(
        Input("input", (2, 6, 5)),
        (Population("hidden", 60), Population("out", None)),
        (
            Projection("input", "hidden", Conv(3, padding=(1, 1))),
            Projection("hidden", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    rng = np.random.default_rng(1)
    weights = {
        p.name: (2 * rng.integers(-30, 40, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, Poisson(4), ("a", "b"))


def spikes_for(net: IntegerNetwork, samples: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return (rng.random((samples, net.steps, *net.network.input.shape)) < 0.4).astype(np.uint8)


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Function that makes the child run a statement in every convolution at step 3."""

    def set_up(statement: str) -> None:
        script = tmp_path / "child.py"
        script.write_text(
            "import os, signal, sys, time\n"
            "from pathlib import Path\n"
            "from lavaseg.deploy import supervised\n"
            "from lavaseg.deploy.lava import process_models\n"
            "original = process_models.FastConv.run_spk\n"
            "def run_spk(self):\n"
            "    if self.time_step == 3:\n"
            f"        {statement}\n"
            "    original(self)\n"
            "process_models.FastConv.run_spk = run_spk\n"
            "supervised.main(Path(sys.argv[1]))\n"
        )
        monkeypatch.setattr(multiprocess, "COMMAND", (sys.executable, str(script)))

    return set_up


def test_gives_the_same_as_one_process_and_leaves_nothing(
    net: IntegerNetwork, traces: Traces
) -> None:
    spikes = spikes_for(net, 3)
    steps = []
    there = run_multiprocess(
        net,
        spikes,
        record="all",
        timeout=LIMIT,
        progress=lambda done, total: steps.append((done, total)),
    )
    here = run_inprocess(net, spikes, record="all")
    assert there.spikes["hidden"].any()
    for name in ("input", "hidden", "out"):
        np.testing.assert_array_equal(there.spikes[name], here.spikes[name])
        np.testing.assert_array_equal(there.counts[name], here.counts[name])
    np.testing.assert_array_equal(there.readout, here.readout)
    assert steps[-1] == (14, 14)
    assert sorted(steps) == steps


def test_random_network_gives_the_same_as_one_process(
    traces: Traces,
    sequential_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Callable[..., np.ndarray],
) -> None:
    deep = find(
        sequential_networks(message_bits=4, most_steps=3),
        lambda net: len(net.network.nodes) > 2 and net.steps > 1,
        settings=settings(
            max_examples=30, database=None, phases=[Phase.generate], derandomize=True
        ),
    )
    spikes = random_spikes(deep, 2)
    there = run_multiprocess(deep, spikes, record="all", timeout=LIMIT)
    here = run_inprocess(deep, spikes, record="all")
    for name, wanted in here.spikes.items():
        np.testing.assert_array_equal(there.spikes[name], wanted, err_msg=name)
    np.testing.assert_array_equal(there.readout, here.readout)


def test_a_process_that_raises_is_named(
    net: IntegerNetwork, traces: Traces, sabotage: Callable[[str], None]
) -> None:
    sabotage("raise ArithmeticError('too much')")
    with pytest.raises(LavaError, match=r"projection .* raised ArithmeticError: too much") as error:
        run_multiprocess(net, spikes_for(net, 2), timeout=LIMIT)
    assert "\n" not in str(error.value)


def test_a_process_that_is_killed_is_named(
    net: IntegerNetwork, traces: Traces, sabotage: Callable[[str], None]
) -> None:
    sabotage("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(LavaError, match=r"process of projection .* died"):
        run_multiprocess(net, spikes_for(net, 2), timeout=LIMIT)


def test_the_main_process_being_killed_is_reported(
    net: IntegerNetwork, traces: Traces, sabotage: Callable[[str], None]
) -> None:
    sabotage("os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)")
    with pytest.raises(LavaError, match="main process ended with code -9"):
        run_multiprocess(net, spikes_for(net, 2), timeout=LIMIT)


def test_a_run_ends_at_its_time_limit(net: IntegerNetwork, traces: Traces) -> None:
    with pytest.raises(LavaError, match=r"step \d+ of 10 .* time limit of 0.5 s"):
        run_multiprocess(net, spikes_for(net, 2), timeout=0.5)


def test_ctrl_c_ends_everything_and_goes_on_to_the_caller(
    net: IntegerNetwork, traces: Traces, sabotage: Callable[[str], None]
) -> None:
    sabotage("time.sleep(600)")
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append((len(traces.processes()), len(traces.shared_memory())))
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_multiprocess(net, spikes_for(net, 2), timeout=LIMIT, progress=progress)
    processes, memory = seen[0]
    assert processes > 5  # there was something to end ...
    assert memory == 0  # ... and no shared memory has a name that could stay behind


def test_the_death_of_the_caller_ends_everything(
    net: IntegerNetwork, traces: Traces, sabotage: Callable[[str], None], tmp_path: Path
) -> None:
    sabotage("time.sleep(600)")
    caller = tmp_path / "caller.py"
    caller.write_text(
        "import os, signal, sys, tempfile\n"
        "from pathlib import Path\n"
        "from lavaseg.deploy.lava import multiprocess\n"
        "from lavaseg.deploy.lava.job import Job\n"
        "folder, command = Path(sys.argv[1]), tuple(sys.argv[2:])\n"
        "multiprocess.COMMAND = command\n"
        "def die(done, total):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "multiprocess.supervise(folder, Job.load(folder), 10, die)\n"
    )
    folder = traces.folder / "job"
    folder.mkdir()
    prefix = multiprocess.shared_memory_prefix(folder)
    multiprocess.Job(net, spikes_for(net, 2), (), True, net.steps, LIMIT, prefix).save(folder)
    ended = subprocess.run(
        [sys.executable, str(caller), str(folder), *multiprocess.COMMAND], timeout=LIMIT
    )
    assert ended.returncode == -signal.SIGKILL
    patience = time.monotonic() + 20
    while traces.processes() and time.monotonic() < patience:
        time.sleep(0.1)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_job_is_handed_over_as_it_is(
    data: st.DataObject, graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]]
) -> None:
    net = data.draw(graph_networks())
    sent = Job(
        net, spikes_for(net, 2), ("input", net.network.readout), True, net.steps, 7.5, "lvs_"
    )
    with tempfile.TemporaryDirectory() as folder:
        sent.save(Path(folder))
        found = Job.load(Path(folder))
        np.testing.assert_array_equal(found.spikes, sent.spikes)
    for name in ("record", "fast", "limit", "prefix"):
        assert getattr(found, name) == getattr(sent, name)
    for name in ("network", "encoder", "classes", "scales"):
        assert getattr(found.net, name) == getattr(net, name)
    assert {n: (b.mantissa.tolist(), b.exponent) for n, b in found.net.biases.items()} == {
        n: (b.mantissa.tolist(), b.exponent) for n, b in net.biases.items()
    }
    for name in ("weights", "clocks"):
        np.testing.assert_equal(dict(getattr(found.net, name)), dict(getattr(net, name)))


def test_wrong_spikes_are_refused_before_anything_starts(
    net: IntegerNetwork, traces: Traces
) -> None:
    with pytest.raises(LavasegError, match=r"spikes must be uint8 \(samples, 4, 2, 6, 5\)"):
        run_multiprocess(net, spikes_for(net, 1)[:, :3])


def test_temporary_folder_may_have_a_long_path(
    net: IntegerNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a-folder-of-a-cluster" / ("long" * 30)
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    spikes = spikes_for(net, 1)
    there = run_multiprocess(net, spikes, timeout=LIMIT)
    np.testing.assert_array_equal(there.readout, run_inprocess(net, spikes).readout)
    assert list(folder.iterdir()) == []


def test_modules_of_the_working_directory_hide_no_others(
    net: IntegerNetwork, traces: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("random", "numpy", "lava", "h5py"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('of the working directory')\n")
    monkeypatch.chdir(tmp_path)
    spikes = spikes_for(net, 1)
    there = run_multiprocess(net, spikes, timeout=LIMIT)
    np.testing.assert_array_equal(there.readout, run_inprocess(net, spikes).readout)


def test_what_a_killed_command_leaves_is_gone_after_the_next_one(
    net: IntegerNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    kills = importlib.import_module("kills")
    netx.write(net, tmp_path / "net.net")
    picture = np.random.default_rng(3).integers(0, 256, net.network.input.shape, np.uint8)
    np.save(tmp_path / "picture.npy", picture)
    result = kills.lava(tmp_path / "net.net", str(tmp_path / "picture.npy"), tmp_path, 3, seed=4)
    assert result["kills"] == 3
    assert result["left"] == []
