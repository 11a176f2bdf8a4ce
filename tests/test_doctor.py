"""`lavaseg doctor`: each fault of a machine is provoked, named, and has what mends it."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.deploy import doctor
from lavaseg.deploy.doctor import Check, cluster, machine, packages
from lavaseg.deploy.doctor.probes import Probes
from lavaseg.errors import LavasegError

PATIENCE = 60.0
Tool = Callable[[str, str], Path]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Makes a program of a name and a shell script; no other of its kind is on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("sh", "sleep", "echo"):
        (folder / program).symlink_to(Path("/bin") / program)
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BOARD", "PARTITION", "NXSDKHOST", "LOIHI_GEN", "SLURM", "LAVASEG_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name in (*machine._THREAD_VARIABLES, "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def look(examination: doctor.Examination, patience: float = PATIENCE) -> dict[str, Check]:
    with Probes(patience) as probes:
        return {check.name: check for check in examination(probes)}


def assert_mendable(check: Check, state: str, *words: str) -> None:
    assert check.state == state, check
    assert check.remedy
    for word in words:
        assert word in check.found, check


# The whole.


def test_this_machine_is_examined_completely_and_json_says_the_same() -> None:
    result = CliRunner().invoke(app, ["doctor", "--for", "simulate", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    names = [check["name"] for check in found["checks"]]
    assert len(set(names)) == len(names)
    assert {"Python", "torch", "Lava", "Lava's runtime", "/dev/shm", "Slurm", "board"} <= {*names}
    for check in found["checks"]:
        assert check["found"]
        assert bool(check["remedy"]) == (check["state"] != "good"), check
    for purpose, able in found["able"].items():
        assert able != any(
            purpose in check["needed_for"] for check in found["checks"] if check["state"] != "good"
        )
    assert found["able"]["lava"]  # the tests of this project run Lava


def stand_in(*checks: Check) -> tuple[doctor.Examination, ...]:
    return (lambda _: list(checks),)


def test_what_the_demo_needs_makes_it_fail_and_what_is_optional_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    optional = Check("GPU", doctor.MISSING, "none", "buy one")
    needed = Check("torch", doctor.MISSING, "none", "pip install torch", ("demo",))
    monkeypatch.setattr(doctor, "EXAMINATIONS", stand_in(optional))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    monkeypatch.setattr(doctor, "EXAMINATIONS", stand_in(optional, needed))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "pip install torch" in result.output
    assert CliRunner().invoke(app, ["doctor", "--for", "lava"]).exit_code == 0


def test_an_unknown_purpose_is_refused_before_anything_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "EXAMINATIONS", (pytest.fail,))
    result = CliRunner().invoke(app, ["doctor", "--for", "world peace"])
    assert result.exit_code == 2
    assert "no purpose 'world peace'; there are simulate, lava" in result.output
    with pytest.raises(LavasegError, match="no purpose"):
        doctor.obstacles((), "x")


def test_an_examination_that_fails_is_reported_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shared_memory(_: Probes) -> list[Check]:
        raise PermissionError(13, "Permission denied")

    fine = Check("fine", doctor.GOOD, "yes")
    monkeypatch.setattr(doctor, "EXAMINATIONS", (shared_memory, *stand_in(fine)))
    broken, other = doctor.examine()
    assert_mendable(broken, doctor.WRONG, "PermissionError", "Permission denied")
    assert broken.name == "shared memory"
    assert other is fine


# Programs that are asked.


def test_a_program_that_hangs_is_ended_with_its_children(tool: Tool, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    tool("sinfo", f"sleep 1000 & echo $! > {pid}; wait")
    found = look(cluster.cluster, patience=0.5)["Slurm"]
    assert_mendable(found, doctor.WRONG, "no answer within")
    child = Path("/proc", pid.read_text("ascii").strip(), "status")
    assert not child.exists() or "zombie" in child.read_text("ascii")


def test_leaving_ends_what_still_runs(tool: Tool, tmp_path: Path) -> None:
    tool("slow", f"echo > {tmp_path / 'started'}; sleep 1000")
    answers: list[Any] = []
    with Probes(PATIENCE) as probes:
        asking = threading.Thread(target=lambda: answers.append(probes.ask(["slow"])))
        asking.start()
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
    asking.join(PATIENCE / 2)
    assert answers[0].fault
    assert probes.ask(["slow"]) is None


# Slurm and boards.

NODES = "ncl-1|kp|up|idle\nncl-2|kp|up|mixed\nncl-3|vpx|up|allocated"


def test_slurm_is_good_with_partitions_whose_nodes_are_up(tool: Tool) -> None:
    tool("sinfo", f"echo '{NODES}'")
    found = look(cluster.cluster)
    assert found["Slurm"].good
    assert "kp (2 of 2 nodes up), vpx (1 of 1 nodes up)" in found["Slurm"].found
    assert "nodes" not in found


@pytest.mark.parametrize(
    ("script", "state", "words"),
    [
        ("echo cannot reach slurmctld >&2; exit 1", doctor.WRONG, "cannot reach slurmctld"),
        ("exit 3", doctor.WRONG, "code 3"),
        ("true", doctor.WRONG, "no node"),
        ("echo 'a|kp|up|down*'; echo 'b|kp|up|drained'", doctor.WRONG, "kp (0 of 2 nodes up)"),
        ("echo 'a|kp|down|idle'", doctor.WRONG, "no node is up"),
    ],
)
def test_slurm_that_gives_no_node_is_wrong(tool: Tool, script: str, state: str, words: str) -> None:
    tool("sinfo", script)
    assert_mendable(look(cluster.cluster)["Slurm"], state, words)


@pytest.mark.parametrize(
    "state", ["down", "down*", "idle*", "draining", "DRAINED", "fail", "maint"]
)
def test_nodes_that_are_away_are_named_beside_those_that_are_up(tool: Tool, state: str) -> None:
    tool("sinfo", f"echo '{NODES}'; echo 'ncl-9|kp|up|{state}'")
    found = look(cluster.cluster)
    assert found["Slurm"].good
    assert_mendable(found["nodes"], doctor.WRONG, f"ncl-9 is {state.lower()}")
    assert not found["nodes"].needed_for
    assert "nodename=ncl-9 " in found["nodes"].remedy


def test_no_slurm_is_missing_and_a_slow_one_is_wrong(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_mendable(look(cluster.cluster)["Slurm"], doctor.MISSING)
    tool("sinfo", f"echo '{NODES}'")
    monkeypatch.setattr(cluster, "LAVA_PATIENCE", 0.0)
    assert_mendable(look(cluster.cluster)["Slurm"], doctor.WRONG, "Lava waits")


@pytest.mark.parametrize(
    ("chosen", "state", "words"),
    [
        ({}, doctor.MISSING, "none"),
        ({"BOARD": "ncl-1"}, doctor.GOOD, "BOARD=ncl-1"),
        ({"PARTITION": "vpx"}, doctor.GOOD, "PARTITION=vpx"),
        ({"BOARD": "ncl-1", "PARTITION": "kp"}, doctor.WRONG, "not both"),
        ({"BOARD": "ncl-9"}, doctor.WRONG, "ncl-9 is down*"),
        ({"BOARD": "ncl-7"}, doctor.WRONG, "Slurm knows ncl-1, ncl-2"),
        ({"PARTITION": "moon"}, doctor.WRONG, "Slurm knows kp, vpx"),
        ({"PARTITION": "kp", "LOIHI_GEN": "N9"}, doctor.WRONG, "N3B3, N3C1"),
        ({"NXSDKHOST": "far"}, doctor.WRONG, "ping"),
        ({"NXSDKHOST": "near"}, doctor.GOOD, "NXSDKHOST=near"),
        ({"NXSDKHOST": "near", "SLURM": "1"}, doctor.WRONG, "exclude each other"),
    ],
)
def test_the_board_is_the_one_that_the_environment_chooses_and_must_be_up(
    tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
    chosen: dict[str, str],
    state: str,
    words: str,
) -> None:
    tool("sinfo", f"echo '{NODES}'; echo 'ncl-9|og|up|down*'")
    tool("ping", '[ "$3" = near ]')
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    board = look(cluster.cluster)["board"]
    assert board.state == state, board
    assert words in board.found
    assert board.needed_for == ("loihi2",)


def test_a_board_without_slurm_or_ping_cannot_be_looked_at(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    del tool
    monkeypatch.setenv("NXSDKHOST", "near")
    assert_mendable(look(cluster.cluster)["board"], doctor.WRONG, "no ping")
    monkeypatch.delenv("NXSDKHOST")
    monkeypatch.setenv("BOARD", "ncl-1")
    assert_mendable(look(cluster.cluster)["board"], doctor.WRONG, "Slurm does not say")


# Packages.


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str = "") -> None:
    """Put a module before all others in the processes that are asked."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    # the package itself comes first, whatever stands in this variable
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_python_and_numpy_of_other_versions_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(check.good for check in look(packages.python).values())
    monkeypatch.setattr(packages, "sys", SimpleNamespace(version_info=(3, 14), executable="p"))
    assert_mendable(look(packages.python)["Python"], doctor.WRONG, "3.10 to 3.13")
    monkeypatch.setattr(packages.metadata, "version", lambda _: "2.4.0")
    assert_mendable(look(packages.python)["NumPy"], doctor.WRONG, "below 2.4")


def test_packages_that_are_absent_are_named_with_the_command_that_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = {"sklearn", "numba", "torch", "lava"}
    there = packages._there
    monkeypatch.setattr(packages, "_there", lambda name: name not in absent and there(name))
    found = {**look(packages.python), **look(packages.extras)}
    assert_mendable(found["packages"], doctor.MISSING, "no numba")
    assert_mendable(found["extra data"], doctor.MISSING, "no scikit-learn")
    assert found["extra data"].remedy == "pip install 'lavaseg[data]'"
    assert found["extra events"].good
    assert_mendable(look(packages.torch)["torch"], doctor.MISSING)
    without = look(packages.lava)
    assert_mendable(without["Lava"], doctor.MISSING)
    assert "--no-deps --ignore-requires-python" in without["Lava"].remedy
    assert_mendable(without["Loihi extension"], doctor.MISSING)


def test_kernels_that_can_be_kept_nowhere_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(packages.kernels)["kernels"].good
    fake(tmp_path, monkeypatch, "numba/__init__.py", "raise RuntimeError('no locator available')")
    assert_mendable(look(packages.kernels)["kernels"], doctor.WRONG, "no locator available")


TORCH = """
__version__ = "9.9"
class version: cuda = "13.2"
class cuda:
    is_available = staticmethod(lambda: {count} > 0)
    device_count = staticmethod(lambda: {count})
    get_device_name = staticmethod(lambda card: f"Card {{card}}")
"""


@pytest.mark.parametrize(
    ("count", "driver", "state", "words"),
    [
        (2, "exit 1", doctor.GOOD, "Card 0, Card 1"),
        (0, None, doctor.MISSING, "none"),
        (0, "true", doctor.MISSING, "none"),
        (0, "echo Card 0", doctor.WRONG, "Card 0, which torch cannot use"),
        (0, "echo no driver; exit 9", doctor.WRONG, "no driver"),
    ],
)
def test_gpus_are_good_if_torch_uses_them_and_wrong_if_only_the_driver_sees_them(
    tool: Tool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    driver: str | None,
    state: str,
    words: str,
) -> None:
    fake(tmp_path, monkeypatch, "torch.py", TORCH.format(count=count))
    if driver is not None:
        tool("nvidia-smi", driver)
    found = look(packages.torch)
    assert found["torch"].good
    assert "9.9, for CUDA 13.2" in found["torch"].found
    assert found["GPU"].state == state
    assert words in found["GPU"].found
    assert not found["GPU"].needed_for


def test_a_torch_that_cannot_be_imported_is_wrong_and_its_words_are_shown(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del tool
    fake(tmp_path, monkeypatch, "torch.py", "raise ImportError('libgomp.so.1 not found')")
    assert_mendable(look(packages.torch)["torch"], doctor.WRONG, "libgomp.so.1 not found")


def test_lava_that_cannot_be_imported_or_has_another_version_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, "lava/__init__.py", "raise SyntaxError('not for this Python')")
    monkeypatch.setattr(packages, "_version", lambda package: "0.9.0")
    found = look(packages.lava)
    assert_mendable(found["Lava"], doctor.WRONG, "lava-nc 0.9.0", "tested: lava-nc==0.10.0")
    assert_mendable(found["Lava's runtime"], doctor.WRONG, "not for this Python")
    assert_mendable(found["Loihi extension"], doctor.WRONG)
    monkeypatch.setattr(packages, "_version", lambda package: None)
    assert_mendable(packages._lava_version(), doctor.MISSING, "lava-nc missing")


def test_the_extension_is_good_if_all_its_parts_are_there_and_wrong_if_some_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Probes(PATIENCE) as probes:
        assert_mendable(packages._extension(probes), doctor.MISSING, "not installed")
        fake(tmp_path, monkeypatch, "lava/utils/loihi2_profiler.py")
        assert_mendable(packages._extension(probes), doctor.WRONG, "without lava.proc.embedded_io")
        fake(tmp_path, monkeypatch, "lava/proc/embedded_io/__init__.py")
        assert packages._extension(probes).good


# The machine itself.


def test_shared_memory_without_room_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path / "none")
    assert next(iter(look(machine.shared_memory).values())).good
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    small = SimpleNamespace(f_bavail=1, f_blocks=2, f_frsize=2**20)
    monkeypatch.setattr(machine.os, "statvfs", lambda _: small)
    found = look(machine.shared_memory)[str(tmp_path)]
    assert_mendable(found, doctor.WRONG, "1 MB of 2 MB free")
    assert "demo" in found.needed_for
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    assert_mendable(look(machine.shared_memory)[str(tmp_path)], doctor.WRONG, "cannot be written")


def test_leftovers_are_what_no_process_holds_and_the_remedy_removes_just_those(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    left = [tmp_path / name for name in ("psm_1", "lvs2_3", "sem.mp-x y")]
    others = [tmp_path / name for name in ("psm_held", "PostgreSQL.1")]
    for path in [*left, *others]:
        path.write_bytes(b"1234")
    name = "shared memory left over"
    with others[0].open("rb"):
        assert look(machine.shared_memory)[name].good  # all of it is new
        monkeypatch.setattr(machine, "_SETTLED", -1)
        found = look(machine.shared_memory)[name]
        assert_mendable(found, doctor.WRONG, "3 pieces")
        assert not found.needed_for
        subprocess.run(["sh", "-c", found.remedy], check=True)
        assert look(machine.shared_memory)[name].good
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_without_fork_lava_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(machine.start_method)["start method"].good
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    found = look(machine.start_method)["start method"]
    assert_mendable(found, doctor.MISSING, "no fork")
    assert "demo" in found.needed_for


@pytest.mark.parametrize(
    ("variable", "value", "good"),
    [
        ("OMP_NUM_THREADS", "2", True),
        ("OMP_NUM_THREADS", "4,2", True),
        ("OMP_NUM_THREADS", "two", False),
        ("MKL_NUM_THREADS", "-1", False),
        ("NUMBA_NUM_THREADS", "0", False),
        ("NUMBA_NUM_THREADS", "many", False),
    ],
)
def test_variables_that_are_no_number_of_threads_are_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, good: bool
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setenv(variable, value)
    found = look(machine.threads)["threads"]
    assert found.good == good
    assert f"{variable}={value}" in found.found
    assert good or found.remedy == f"unset {variable}"


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_container_that_may_use_fewer_cores_than_it_sees_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], share: float | None
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "cores", lambda: 8)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n", "ascii")
    found = look(machine.threads)["threads"]
    assert found.good == (share is None)
    if share is not None:
        assert_mendable(found, doctor.WRONG, f"may use {share:.3g}")
        assert not found.needed_for
        assert "taskset -c 0-1 " in found.remedy


def test_memory_is_what_the_system_has_and_the_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_PROC", tmp_path)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert look(machine.memory)["memory"].good  # nothing is known
    (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n", "ascii")
    assert look(machine.memory)["memory"].found == "7813 MB available"
    (tmp_path / "memory.max").write_text("max\n", "ascii")
    (tmp_path / "memory.current").write_text(f"{2**30}\n", "ascii")
    assert look(machine.memory)["memory"].good
    (tmp_path / "memory.max").write_text(f"{2**31}\n", "ascii")
    assert_mendable(look(machine.memory)["memory"], doctor.WRONG, "1024 MB available")


def test_a_full_disk_is_wrong_for_runs_and_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert all(check.good for check in look(machine.disk).values())
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    found = look(machine.disk)
    assert_mendable(found["disk"], doctor.WRONG, "1 MB free")
    assert_mendable(found["temporary files"], doctor.WRONG, "1 MB free")
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    assert_mendable(look(machine.disk)["disk"], doctor.WRONG, "cannot be written")


def test_a_folder_that_was_removed_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert_mendable(look(machine.disk)["disk"], doctor.WRONG, "was removed")


def test_few_open_files_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    assert look(machine.open_files)["open files"].good
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert_mendable(look(machine.open_files)["open files"], doctor.WRONG, "64 allowed")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, resource.RLIM_INFINITY))
    assert look(machine.open_files)["open files"].good


def test_folders_of_data_are_good_missing_or_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_mendable(look(machine.data)["data"], doctor.MISSING)
    (tmp_path / "data" / "camvid").mkdir(parents=True)
    assert look(machine.data)["data"].found == "data: camvid"
    monkeypatch.setenv("LAVASEG_DATA", str(tmp_path / "gone"))
    assert_mendable(look(machine.data)["data"], doctor.WRONG, "gone is no folder")
    monkeypatch.setenv("LAVASEG_DATA", str(tmp_path / "data" / "camvid"))
    assert "camvid: empty" in look(machine.data)["data"].found
    assert not os.listdir(tmp_path / "data" / "camvid")
