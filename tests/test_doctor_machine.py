"""`lavaseg doctor` on packages and the machine: each fault is provoked, named, and mendable."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from doctor_tools import PATIENCE, Tool, assert_mendable, look, no_choice, tool

from lavaseg.deploy import doctor
from lavaseg.deploy.doctor import machine, packages
from lavaseg.deploy.doctor.probes import Probes

__all__ = ["no_choice", "tool"]
pytestmark = pytest.mark.usefixtures("no_choice")


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
    monkeypatch.setattr(packages, "version_of", lambda package: "0.9.0")
    found = look(packages.lava)
    assert_mendable(found["Lava"], doctor.WRONG, "lava-nc 0.9.0", "tested: lava-nc==0.10.0")
    assert_mendable(found["Lava's runtime"], doctor.WRONG, "not for this Python")
    assert_mendable(found["Loihi extension"], doctor.WRONG)
    monkeypatch.setattr(packages, "version_of", lambda package: None)
    assert_mendable(packages._lava_version(), doctor.MISSING, "lava-nc missing")


def test_without_lava_dl_networks_run_and_only_the_demo_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {"lava-nc": "0.10.0"}
    monkeypatch.setattr(packages, "version_of", there.get)
    monkeypatch.setattr(doctor, "EXAMINATIONS", (packages.lava,))
    checks = doctor.examine()
    (lava,) = (check for check in checks if check.name == "Lava")
    assert_mendable(lava, doctor.MISSING, "lava-dl missing")
    assert not doctor.obstacles(checks, "lava")
    assert lava in doctor.obstacles(checks, "demo")
    there.clear()
    assert doctor.obstacles(doctor.examine(), "lava")


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
