"""A bundle through a real Slurm: equal to the local run, and no job or file is ever left behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.deploy.cloud import submit as submitting
from lavaseg.deploy.cloud.bundle import Bundle, make_bundle
from lavaseg.deploy.cloud.collect import Judgement, collect
from lavaseg.deploy.cloud.results import read_results
from lavaseg.deploy.cloud.submit import Job, follow, prepare, submit, submit_and_follow
from lavaseg.deploy.loihi2.system import System, check_place, use
from lavaseg.deploy.slurm import jobs as queue
from lavaseg.deploy.slurm.cluster import find_cluster
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write

pytestmark = pytest.mark.usefixtures("slurm")

PATIENCE = 120
"""Seconds that something may take that happens in a moment on a machine without other work."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    network = Network(
        Input("input", (1, 4, 4)),
        (Population("hidden", 40), Population("out", None)),
        (
            Projection("input", "hidden", Conv(2, (3, 3))),
            Projection("hidden", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    rng = np.random.default_rng(0)
    weights = {
        p.name: (2 * rng.integers(-10, 30, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    net = IntegerNetwork(network, weights, Poisson(3), ("a", "b"))
    write(net, folder / "tiny.net")
    pictures = list(rng.integers(0, 256, (2, 1, 4, 4), np.uint8))
    return make_bundle(
        folder / "tiny.net", net.encoder.encode(pictures, seed=0), folder / "tiny.zip"
    )


@pytest.fixture
def waiting(tmp_path: Path) -> str:
    """An interpreter for jobs that never gets to its work."""
    path = tmp_path / "waiting"
    path.write_text("#!/bin/sh\necho waiting\nexec sleep 600\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "job"


def jobs() -> str:
    """The jobs in the queue that have not ended."""
    return subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout


def nothing_is_left(out: Path) -> bool:
    return not jobs().strip() and not [p for p in out.parent.iterdir() if "job" in p.name]


def when(holds: Callable[[], bool]) -> None:
    patience = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < patience
        time.sleep(0.05)


def followed(job: Job, during: Callable[[], object]) -> tuple[str, list[str]]:
    """The sentence that following a job ends with, and its lines; `during` once it runs."""
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line == "waiting":
            during()

    with pytest.raises((LavasegError, KeyboardInterrupt)) as caught:
        follow(job, say)
    return str(caught.value), lines


def test_a_bundle_through_sbatch_gives_what_it_gives_here(bundle: Bundle, out: Path) -> None:
    lines: list[str] = []
    job = submit(prepare(bundle.path, out, backend="lava-inprocess", partition="kp", minutes=5))
    judgement: Judgement = follow(job, lines.append)
    assert judgement.ok, lines
    assert not judgement.unread
    assert judgement == collect(out, bundle.path)
    facts = judgement.facts
    assert (facts["job"], facts["partition"], facts["backend"]) == (
        job.number, "kp", "lava-inprocess"
    )  # fmt: skip
    assert any(line.endswith("on board-1") for line in lines)
    found, expected = read_results(out).found, bundle.expected()
    assert np.array_equal(found.readout, expected.readout)
    for name, spikes in expected.spikes.items():
        assert np.array_equal(found.spikes[name], spikes)
    assert not jobs().strip()


@pytest.mark.full
def test_a_folder_of_any_name_and_a_closed_environment_change_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")  # the job would take another Python
    out = tmp_path / "100%j of 'job \"$(touch evil); %x"
    lines: list[str] = []
    assert follow(submit(prepare(bundle.path, out, backend="lava-inprocess")), lines.append).ok
    assert any(line.startswith("equal: every spike") for line in lines), lines
    assert sorted(p.name for p in out.iterdir()) == ["bundle", "log.txt", "results"]
    assert list(tmp_path.iterdir()) == [out]


def test_places_that_take_no_job_are_refused_in_one_sentence(bundle: Bundle, out: Path) -> None:
    for words, sentence in (
        (["--partition", "loihi"], "no partition 'loihi'; there are kp, vpx"),
        (["--board", "ncl-og-01"], "no board 'ncl-og-01'; there are board-1, board-2"),
        (["--board", "board-2"], "board board-2 is down; boards that take jobs: board-1"),
        (["--partition", "vpx"], "partition 'vpx' takes no job: board-2 is down"),
        (
            ["--partition", "kp", "--board", "board-1"],
            "board 'board-1' and partition 'kp' were both given: a run takes one place",
        ),
        (["--time", "61"], "--time 61: partition 'kp' lets a job take 60 minutes at most"),
        (["--backend", "tpu"], "no backend 'tpu'"),
    ):
        called = CliRunner().invoke(app, ["submit", str(bundle.path), "-o", str(out), *words])
        assert called.exit_code == 2, called.output
        assert called.output.startswith(f"error: {sentence}"), called.output
        assert called.output.count("\n") == 1
        assert nothing_is_left(out)


def test_what_slurm_itself_refuses_leaves_nothing(
    bundle: Bundle, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_ACCOUNT", "nobody")
    monkeypatch.setenv("SBATCH_GRES", "loihi:99")
    with pytest.raises(LavasegError, match=r"Slurm's sbatch failed: sbatch: error: .*gres"):
        submit(prepare(bundle.path, out))
    assert nothing_is_left(out)


def test_a_job_ended_by_scancel_is_said_and_leaves_nothing(
    bundle: Bundle, out: Path, waiting: str
) -> None:
    job = submit(prepare(bundle.path, out, python=waiting))
    sentence, lines = followed(job, lambda: subprocess.run(["scancel", job.number], check=True))
    assert sentence == f"job {job.number} was cancelled (scancel) before it had ended"
    assert f"job {job.number} running on board-1" in lines
    assert nothing_is_left(out)


def update(*words: str) -> None:
    subprocess.run(["scontrol", "update", *words], check=True)


def test_a_job_whose_board_goes_down_is_said_and_leaves_nothing(
    bundle: Bundle, out: Path, waiting: str
) -> None:
    job = submit(prepare(bundle.path, out, python=waiting))
    try:
        sentence, _ = followed(job, lambda: update("nodename=board-1", "state=down", "reason=test"))
        assert sentence == f"job {job.number} was lost: its board failed while it ran"
        assert nothing_is_left(out)
        with pytest.raises(LavasegError, match="'kp' takes no job: board-1 is down"):
            submit(prepare(bundle.path, out))
    finally:
        update("nodename=board-1", "state=idle")
        when(lambda: find_cluster().boards["board-1"].node.state == "idle")


@pytest.mark.parametrize("followed_then", [True, False])
def test_an_interrupt_in_the_moment_after_sbatch_leaves_no_job(
    bundle: Bundle,
    out: Path,
    waiting: str,
    followed_then: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program in the place of `sbatch` submits, and interrupts whoever called it."""
    there = shutil.which("sbatch")
    folder = tmp_path / "interrupting"
    folder.mkdir()
    script = folder / "sbatch"
    script.write_text(f'#!/bin/sh\n{there} "$@"\nkill -INT $PPID\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    prepared = prepare(bundle.path, out, python=waiting)
    act = (
        (lambda: submit_and_follow(prepared, print)) if followed_then else lambda: submit(prepared)
    )
    with pytest.raises(KeyboardInterrupt):
        act()
    assert nothing_is_left(out)


def test_a_job_that_cannot_start_is_taken_back(
    bundle: Bundle, out: Path, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = find_cluster()
    update("partitionname=kp", "state=down")
    try:
        with pytest.raises(LavasegError, match="partition 'kp' takes no job: it is not up"):
            submit(prepare(bundle.path, out))
        # and where it goes down in the moment after it was looked at
        monkeypatch.setattr(submitting, "find_cluster", lambda: before)
        job = submit(prepare(bundle.path, out, python=waiting))
        sentence, _ = followed(job, lambda: None)
        assert f"job {job.number} cannot start (PartitionDown) and was cancelled" in sentence
        assert nothing_is_left(out)
    finally:
        update("partitionname=kp", "state=up")


def test_a_job_that_fails_is_said_in_its_own_words(bundle: Bundle, out: Path) -> None:
    job = submit(prepare(bundle.path, out, python="/nowhere/python"))
    with pytest.raises(LavasegError, match=f"job {job.number} failed: .*python: not found"):
        follow(job, lambda _: None)
    assert nothing_is_left(out)


def command(bundle: Bundle, out: Path, *words: str) -> subprocess.Popen[str]:
    """`lavaseg submit`, whose job has printed something."""
    called = subprocess.Popen(
        [sys.executable, "-m", "lavaseg", "submit", str(bundle.path), "-o", str(out), *words],
        stderr=subprocess.PIPE,
        text=True,
        cwd=out.parent,
    )
    assert called.stderr is not None
    assert any(line == "waiting\n" for line in called.stderr)
    return called


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_takes_the_job_out_of_the_queue(
    bundle: Bundle, out: Path, waiting: str, number: signal.Signals
) -> None:
    called = command(bundle, out, "--python", waiting)
    called.send_signal(number)
    _, errors = called.communicate(timeout=PATIENCE)
    assert called.returncode == 130
    assert errors.startswith("interrupted; job ")
    assert errors.endswith(" was cancelled\n")
    assert nothing_is_left(out)


def test_an_interrupt_leaves_the_job_where_that_was_asked_for(
    bundle: Bundle, out: Path, waiting: str
) -> None:
    called = command(bundle, out, "--python", waiting, "--leave")
    called.send_signal(signal.SIGINT)
    _, errors = called.communicate(timeout=PATIENCE)
    assert called.returncode == 130
    assert "goes on: `lavaseg collect " in errors
    number = jobs().split()[0]
    assert f"scancel {number}" in errors
    assert queue.state_of(number).name == "RUNNING"
    queue.cancel(number)
    when(lambda: not jobs().strip())


@pytest.mark.slow
@pytest.mark.full
def test_a_job_that_reaches_its_limit_is_said_and_leaves_nothing(
    bundle: Bundle, out: Path, waiting: str
) -> None:
    sentence, _ = followed(
        submit(prepare(bundle.path, out, minutes=1, python=waiting)), lambda: None
    )
    assert "reached its time limit and was ended by Slurm; --time gives it more minutes" in sentence
    assert nothing_is_left(out)


def test_lavas_own_names_of_boards_and_variables_are_those_that_a_job_gets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lava.utils import loihi
    from lava.utils import slurm as lavas

    when(lambda: find_cluster().boards["board-1"].node.state == "idle")  # Lava shortens others
    # lava-nc 0.10.0 stumbles over the line break at the end of what sinfo prints
    with pytest.raises(IndexError):
        lavas.get_boards()
    ask = lavas.try_run_command
    monkeypatch.setattr(lavas, "try_run_command", lambda command: [x for x in ask(command) if x])
    monkeypatch.setattr(loihi, "is_installed", lambda: True)
    found = find_cluster()
    for board in lavas.get_boards():
        ours = found.boards[board.nodename]
        assert board.partition.rstrip("*") in ours.partitions
        assert board.state.rstrip("*") == ours.node.state.rstrip("*")
        assert board.state.endswith("*") is ours.node.state.endswith("*")
    names = {item.name.removesuffix("*") for item in lavas.get_partitions()}
    assert names == set(found.partitions)
    names_of = ("SLURM", "NOSLURM", "BOARD", "PARTITION", "NXSDKHOST", "LOIHI_GEN")

    def left_by(call: Callable[[], None]) -> dict[str, str | None]:
        for name in names_of:
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        call()
        return {name: os.environ.get(name) for name in names_of}

    generation = loihi.ChipGeneration.N3C1
    theirs = left_by(lambda: loihi.use_slurm_host(board="board-1", loihi_gen=generation))
    assert theirs["BOARD"] == "board-1"
    with pytest.raises(ValueError, match="board is down"):
        loihi.use_slurm_host(board="board-2")
    monkeypatch.setattr(lavas, "try_run_command", ask)
    assert left_by(lambda: use(System(board="board-1", generation=generation.value))) == theirs
    with pytest.raises(LavasegError, match="'board-2' takes no job: board-2 is down"):
        check_place(System(board="board-2"))


@pytest.mark.full
def test_a_bundle_through_slurm_on_the_double_of_a_board_is_equal_and_profiled(
    bundle: Bundle, out: Path, extension: Path
) -> None:
    lines: list[str] = []
    job = submit(prepare(bundle.path, out, backend="loihi2", board="board-1", profile="time"))
    judgement = follow(job, lines.append)
    assert judgement.ok, lines
    assert not judgement.unread
    profile = judgement.facts["profile"]
    assert profile["system"]["board"] == "board-1"
    assert profile["derived"]["seconds_per_sample"] > 0
    called = CliRunner().invoke(app, ["collect", str(out), "--bundle", str(bundle.path)])
    assert called.exit_code == 0
    assert "measured on Loihi 2: board-1 (N3B3), 2 samples of 3 steps" in called.output
    assert "time of a sample: " in called.output


def test_without_intels_extension_a_job_says_so_and_leaves_nothing(
    bundle: Bundle, out: Path
) -> None:
    job = submit(prepare(bundle.path, out, backend="loihi2", partition="kp"))
    sentence, _ = followed(job, lambda: None)
    assert sentence.startswith(f"job {job.number} failed: backend 'loihi2' needs Intel's extension")
    assert nothing_is_left(out)
