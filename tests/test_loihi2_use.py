"""Boards as a user meets them: where a run goes, what is missing, what is refused, the command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from loihi2_nets import like_the_demo, wide
from typer.testing import CliRunner

from lavaseg import netx
from lavaseg.cli import app
from lavaseg.deploy import verify_spikes
from lavaseg.deploy.loihi2 import System, profile, run_loihi2
from lavaseg.deploy.loihi2.system import check_place, placed, use, variables
from lavaseg.deploy.slurm.cluster import Node
from lavaseg.errors import LavasegError
from lavaseg.network.interleave import interleave

BOARD = System(board="ncl-og-01")
Spikes = Callable[..., np.ndarray]


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (System(board="ncl-og-09"), "Slurm has no board 'ncl-og-09'; there are ncl-og-01"),
        (System(board="ncl-og-02"), "board 'ncl-og-02' takes no job: ncl-og-02 is down"),
        (System(partition="loihi"), "Slurm has no partition 'loihi'; there are kp, oheogulch"),
        (System(partition="kp"), "partition 'kp' takes no job: partition 'kp' is down"),
        (None, "where is the board.*--board NAME or --partition NAME"),
    ],
)
@pytest.mark.usefixtures("chip")
def test_a_board_that_cannot_be_had_is_named(
    system: System | None, words: str, random_spikes: Spikes
) -> None:
    net = like_the_demo()
    with pytest.raises(LavasegError, match=words):
        run_loihi2(net, random_spikes(net, 1), system=system)


@pytest.mark.parametrize("order", [1, -1])
def test_a_board_that_one_of_its_partitions_gives_can_be_had(
    order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [Node("kp-1", "kp", True, "idle"), Node("kp-1", "old", False, "idle")]
    monkeypatch.setattr("lavaseg.deploy.loihi2.system.find_nodes", lambda: nodes[::order])
    check_place(System(board="kp-1"))
    with pytest.raises(LavasegError, match="partition 'old' takes no job"):
        check_place(System(partition="old"))


def test_two_places_are_refused() -> None:
    with pytest.raises(LavasegError, match="board 'a' and partition 'b' were both given"):
        System(board="a", partition="b")
    with pytest.raises(LavasegError, match="board 'a' and partition 'b' were both given"):
        placed(None, {"BOARD": "a", "PARTITION": "b"})
    with pytest.raises(LavasegError, match="no generation 'N2A2' of Loihi 2; there are N3B3"):
        System(board="a", generation="N2A2")


def test_the_environment_says_where_unless_it_is_told() -> None:
    environment = {"PARTITION": "kp", "LOIHI_GEN": "N3C1"}
    assert placed(None, environment) == System(partition="kp", generation="N3C1")
    assert placed(BOARD, environment) == System(board="ncl-og-01", generation="N3C1")
    host = System(host="10.1.1.1", generation="N3B3")
    assert placed(None, {"NOSLURM": "1", "NXSDKHOST": "10.1.1.1", "BOARD": "x"}) == host
    assert placed(None, {"NXSDKHOST": "10.1.1.1"}) == host, "as `lavaseg doctor` advises"
    with pytest.raises(LavasegError, match="where is the board"):
        placed(None, {"NXSDKHOST": "10.1.1.1", "SLURM": "1"})
    assert placed(None, {"NXSDKHOST": "10.1.1.1", "BOARD": "x"}).board == "x"


@pytest.mark.parametrize(
    ("system", "told"),
    [
        (System(board="ncl-og-01"), {"SLURM": "1", "BOARD": "ncl-og-01", "LOIHI_GEN": "N3B3"}),
        (
            System(partition="oheogulch", generation="N3C1"),
            {"SLURM": "1", "PARTITION": "oheogulch", "LOIHI_GEN": "N3C1"},
        ),
    ],
)
@pytest.mark.usefixtures("chip")
def test_lava_is_told_one_place_and_a_generation(
    system: System, told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NXSDKHOST", "10.1.1.1")
    use(placed(system))
    names = ("SLURM", "NOSLURM", "BOARD", "PARTITION", "NXSDKHOST", "LOIHI_GEN")
    assert {name: os.environ[name] for name in names if name in os.environ} == told


def test_a_job_of_slurm_needs_no_sinfo(chip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (chip.parent / "bin" / "sinfo").write_text("#!/bin/sh\nexit 1\n")
    system = placed(System(board="ncl-og-01"))
    for name, value in variables(system).items():
        monkeypatch.setenv(name, value)
    check_place(system)
    use(system)
    with pytest.raises(LavasegError, match="Slurm does not answer: `sinfo` fails"):
        check_place(placed(System(board="ncl-og-02")))


@pytest.mark.usefixtures("chip")
def test_power_of_any_board_of_a_partition_is_refused(random_spikes: Spikes) -> None:
    net = like_the_demo()
    with pytest.raises(LavasegError, match=r"power is compared .*--board NAME"):
        profile(net, random_spikes(net, 1), system=System(partition="oheogulch"))


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in arguments], env={"COLUMNS": "200"})
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def net_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.net"
    netx.write(like_the_demo(), path)
    np.save(tmp_path / "sheet.npy", np.full((3, 6, 5), 90, np.uint8))
    return path


def test_without_the_extension_one_sentence_says_who_gives_it(net_file: Path) -> None:
    sheet = net_file.with_name("sheet.npy")
    for words in (
        ("run", net_file, sheet, "--backend", "loihi2"),
        ("verify", net_file, "--data", sheet, "--backend", "loihi2"),
        ("verify", net_file, "--data", sheet),
    ):
        code, output = call(*words, "--board", "ncl-og-01")
        assert code == 2
        assert "lava-loihi" in output
        assert "Intel's neuromorphic research community (INRC)" in output


def test_profiles_need_a_board(net_file: Path) -> None:
    sheet = net_file.with_name("sheet.npy")
    code, output = call("run", net_file, sheet, "--profile", "time")
    assert code == 2
    assert "--profile time needs --backend loihi2" in output
    code, output = call("run", net_file, sheet, "--backend", "loihi2", "--profile", "tme")
    assert code == 2
    assert "no profile 'tme': did you mean 'time'?" in output


@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_board_is_not_ignored_by_what_runs_on_the_cpu(command: str, net_file: Path) -> None:
    source = [net_file.with_name("sheet.npy")]
    words = source if command == "run" else ["--data", *source]
    code, output = call(command, net_file, *words, "--backend", "lava", "--board", "ncl-og-01")
    assert code == 2
    assert "--loihi-gen need --backend loihi2, got lava" in output


@pytest.mark.usefixtures("chip")
def test_power_of_any_board_of_a_partition_is_refused_before_the_run(net_file: Path) -> None:
    sheet, labels = net_file.with_name("sheet.npy"), net_file.with_name("labels.png")
    on_any = ("--backend", "loihi2", "--partition", "oheogulch")
    code, output = call("run", net_file, sheet, *on_any, "--profile", "all", "-o", labels)
    assert code == 2
    assert "give --board NAME" in output
    assert not labels.exists()


@pytest.mark.full
@pytest.mark.usefixtures("chip")
def test_the_command_runs_and_profiles_on_a_board(net_file: Path) -> None:
    sheet, labels = net_file.with_name("sheet.npy"), net_file.with_name("labels.png")
    on_board = ("--backend", "loihi2", "--board", "ncl-og-01")
    code, output = call(
        "run", net_file, sheet, *on_board, "--profile", "time", "-o", labels, "--json"
    )
    assert code == 0, output
    found = json.loads(output)
    assert found["backend"] == "loihi2"
    assert found["profile"]["time"]["execution_time_per_step"] > 0
    assert labels.exists()


@pytest.mark.usefixtures("chip")
def test_a_network_that_would_lose_spikes_is_refused_before_anything_runs(
    random_spikes: Spikes, tmp_path: Path
) -> None:
    net = wide()
    spikes = random_spikes(net, 1)
    sentence = "input: 260 columns, and a convolution reads them; the limit is 254: `--widest 254`"
    for act in (
        lambda: run_loihi2(net, spikes, system=BOARD),
        lambda: profile(net, spikes, system=BOARD),
        lambda: verify_spikes(net, spikes, backends=("torch", "loihi2"), system=BOARD),
    ):
        with pytest.raises(LavasegError) as raised:
            act()
        assert sentence in str(raised.value)
    netx.write(net, tmp_path / "wide.net")
    np.save(tmp_path / "sheet.npy", np.full((1, 2, 260), 90, np.uint8))
    for words in (("run", "wide.net", "sheet.npy"), ("verify", "wide.net", "--data", "sheet.npy")):
        paths = [tmp_path / word if "." in word else word for word in words]
        code, output = call(*paths, "--backend", "loihi2", "--board", "ncl-og-01")
        assert code == 2
        assert sentence in output


@pytest.mark.usefixtures("chip")
def test_what_is_repaired_or_unknown_is_said_before_the_run(tmp_path: Path) -> None:
    net, _ = interleave(wide(), 254)
    netx.write(net, tmp_path / "net.net")
    np.save(tmp_path / "sheet.npy", np.full((1, 2, 260), 90, np.uint8))
    words = ("run", tmp_path / "net.net", tmp_path / "sheet.npy", "--board", "ncl-og-09")
    code, output = call(*words, "--backend", "loihi2")
    assert code == 2
    assert "no board 'ncl-og-09'" in output
    assert "repaired: time steps: T = 5; the limit is a power of two" in output
