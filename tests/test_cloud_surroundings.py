"""Surroundings of a bundle: the packages that it pins, and the places of Slurm that it may take."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lavaseg.deploy.cloud import environment, submit
from lavaseg.deploy.slurm import jobs
from lavaseg.deploy.slurm.cluster import Board, Cluster, Node, Partition, choose, minutes
from lavaseg.deploy.slurm.jobs import State
from lavaseg.errors import LavasegError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


def test_requirements_pin_every_package_that_a_plain_installation_and_lava_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["lava"]]
    names = {Requirement(text).name for text in declared}
    assert names == {*environment.PLAIN, *environment.ON_LAVA}
    lines = [Requirement(line) for line in environment.requirements().splitlines()]
    pinned = {line.name for line in lines if str(line.specifier).startswith("==")}
    assert names <= pinned
    assert pinned.isdisjoint({"torch", "lava-nc", "lava-dl", "lightning"})
    assert environment.lava_requirements() == "lava-nc==0.10.0\n"


def test_limits_of_slurm_are_read_in_all_its_forms() -> None:
    found = {text: minutes(text) for text in ("30", "1:30", "2:00:00", "1-12:00:00", "infinite")}
    assert found == {"30": 0.5, "1:30": 1.5, "2:00:00": 120, "1-12:00:00": 2160, "infinite": None}


def test_a_board_is_chosen_with_a_partition_that_it_belongs_to() -> None:
    cluster = Cluster(
        {
            "og-1": Board(Node("og-1", "og", True, "idle"), ("og",)),
            "kp-1": Board(Node("kp-1", "kp", True, "mixed"), ("kp",)),
        },
        {
            "og": Partition("og", True, 20, True),
            "kp": Partition("kp", True, None, False),
        },
    )
    assert choose(cluster, None, "kp-1", 90) == ["--partition=kp", "--nodelist=kp-1", "--time=90"]
    assert choose(cluster, None, None, None) == ["--partition=og"]
    with pytest.raises(LavasegError, match="lets a job take 20 minutes at most"):
        choose(cluster, "og", None, 21)
    without = Cluster(cluster.boards, {"kp": cluster.partitions["kp"]})
    with pytest.raises(LavasegError, match="no default partition"):
        choose(without, None, None, None)


def test_a_board_in_two_partitions_goes_through_the_one_that_is_up() -> None:
    cluster = Cluster(
        {"kp-1": Board(Node("kp-1", "old", False, "idle"), ("old", "kp"))},
        {name: Partition(name, name == "kp", None, False) for name in ("old", "kp")},
    )
    assert choose(cluster, None, "kp-1", None) == ["--partition=kp", "--nodelist=kp-1"]


@pytest.mark.parametrize(("state", "starts"), [("reserved", True), ("drained", False)])
def test_a_job_is_only_given_up_if_its_board_can_take_none(
    state: str, starts: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Slurm gives the same reason where boards are down and where others are to go first."""
    cluster = Cluster(
        {"kp-1": Board(Node("kp-1", "kp", True, state), ("kp",))},
        {"kp": Partition("kp", True, None, True)},
    )
    why = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority parti"
    cancelled: list[str] = []
    states = iter([State("PENDING", why), State("COMPLETED"), State("COMPLETED")])
    monkeypatch.setattr(jobs, "find_cluster", lambda: cluster)
    monkeypatch.setattr(jobs, "state_of", lambda job: next(states))
    monkeypatch.setattr(jobs, "cancel", cancelled.append)
    monkeypatch.setattr(submit, "_POLL", 0.0)
    monkeypatch.setattr(submit, "_ARRIVAL", 0.0)
    job = submit.Job("7", tmp_path / "job", None, "kp")  # type: ignore[arg-type]
    with pytest.raises(LavasegError) as caught:
        submit.follow(job, lambda _: None)
    assert ("kp-1 is drained" in str(caught.value)) != starts
    assert cancelled == ([] if starts else ["7"])
