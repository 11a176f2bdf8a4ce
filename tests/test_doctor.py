"""`lavaseg doctor`: each fault of a machine is provoked, named, and has what mends it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from doctor_tools import PATIENCE, Tool, assert_mendable, look, no_choice, tool
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.deploy import doctor
from lavaseg.deploy.doctor import Check, cluster
from lavaseg.deploy.doctor.probes import Probes
from lavaseg.errors import LavasegError

__all__ = ["no_choice", "tool"]
pytestmark = pytest.mark.usefixtures("no_choice")


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
