"""What tests of `lavaseg doctor` share: programs that stand in for others, one examination."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lavaseg.deploy import doctor
from lavaseg.deploy.doctor import Check, machine
from lavaseg.deploy.doctor.probes import Probes

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


@pytest.fixture
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
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
