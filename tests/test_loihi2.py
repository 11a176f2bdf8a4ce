"""The hardware path, with the double of Intel's extension in the place of a board."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lavaseg import netx
from lavaseg.cli import app
from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava import LavaError
from lavaseg.deploy.loihi2 import PROFILES, System, profile, run_loihi2
from lavaseg.deploy.loihi2.chip_graph import period_on_chip
from lavaseg.deploy.loihi2.lags import timing_of
from lavaseg.deploy.loihi2.profiles import derived, dynamic_power
from lavaseg.deploy.loihi2.system import check_place, placed, use, variables
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.encoders import Direct, Encoder, Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    Node,
    OneToOne,
    Population,
    Projection,
    Relay,
    SumPool,
)
from lavaseg.network.integers import Bias, IntegerNetwork

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "150"))
BOARD = System(board="ncl-og-01")
LAGS = Timing(conv=1, dense=1, buffer=0, spikes=1, reset=0)
"""Those of the double, unless it is told others."""
Spikes = Callable[..., np.ndarray]


def network_of(
    source: Input,
    nodes: tuple[Node, ...],
    projections: tuple[Projection, ...],
    encoder: Encoder,
    *,
    biases: dict[str, Bias] | None = None,
    clocks: dict[str, np.ndarray] | None = None,
) -> IntegerNetwork:
    """A net with random even weights, read out at the last node."""
    network = Network(source, nodes, projections, nodes[-1].name)
    rng = np.random.default_rng(3)
    weights = {
        p.name: 2 * rng.integers(-8, 16, network.synapse_shape(p)).astype(np.int16)
        for p in projections
    }
    classes = tuple(str(i) for i in range(network.shape(network.readout)[0]))
    return IntegerNetwork(network, weights, encoder, classes, biases or {}, clocks=clocks or {})


def like_the_demo() -> IntegerNetwork:
    """Messages of 6 bits, convolutions at full resolution, biases, a 1 x 1 read-out."""
    return network_of(
        Input("input", (3, 6, 5), 6),
        (Population("a", 900, bias=True), Population("b", 60, 2048, 128), Population("out", None)),
        (
            Projection("input", "a", Conv(4, 3, 1, 1)),
            Projection("a", "b", Conv(4, 3, 1, 1)),
            Projection("b", "out", Conv(2, 1)),
        ),
        Direct(4, bits=6),
        biases={"a": Bias(np.array([300, -40, 0, 7]), 6)},
    )


def u_net() -> IntegerNetwork:
    """Down, up and across: the shorter path waits; five steps."""
    return network_of(
        Input("input", (2, 8, 8)),
        (
            Population("down", 20),
            Population("pooled", 10),
            Population("deep", 30, bias=True),
            Population("up", 12),
            Population("joined", 25),
            Population("out", None),
        ),
        (
            Projection("input", "down", Conv(3, 3, 1, 1)),
            Projection("down", "pooled", SumPool(2, 2)),
            Projection("pooled", "deep", Conv(4, 3, 1, 1)),
            Projection("deep", "up", ConvTranspose(3, 2, 2)),
            Projection("up", "joined", Conv(3, 3, 1, 1)),
            Projection("down", "joined", Conv(3, 3, 1, 1)),
            Projection("joined", "out", Conv(2, 1)),
        ),
        Poisson(5),
        biases={"deep": Bias(np.array([100, 0, -3, 50]), 5)},
    )


def of_events() -> IntegerNetwork:
    """Two polarities, a loop, a delay, a clock, a relay of sums, all-to-all ends; three steps."""
    return network_of(
        Input("input", (2, 6, 6)),
        (
            Population("seen", 8, 2048, bias=True),
            Population("looped", 30, clock=True),
            Relay("sum"),
            Population("late", 40),
            Population("never", 1),
            Population("out", None),
        ),
        (
            Projection("input", "seen", Conv(3, 3, 2, 1)),
            Projection("seen", "looped", OneToOne()),
            Projection("looped", "looped", OneToOne(), 1),
            Projection("seen", "sum", Conv(1, 1)),
            Projection("sum", "late", Conv(3, 1)),
            Projection("looped", "late", OneToOne(), 1),
            Projection("late", "out", Dense(4)),
            Projection("seen", "never", OneToOne(), 3),  # after the sample, and not in the next
            Projection("never", "out", Dense(4)),
            Projection("input", "out", Dense(4), 2),
        ),
        Poisson(3),
        biases={"seen": Bias(np.array([520, 520, 520]), 6)},  # fires before the first sample, too
        clocks={"looped": np.array([[10, 0, -20], [0, 40, 2], [6, -6, 0]])},
    )


@pytest.mark.parametrize("make", [like_the_demo, u_net, of_events])
@pytest.mark.usefixtures("chip")
def test_the_chip_gives_the_simulators_spikes(
    make: Callable[[], IntegerNetwork], random_spikes: Spikes
) -> None:
    net = make()
    verdict = verify_spikes(
        net, random_spikes(net, 3), backends=("loihi2",), system=BOARD, progress=False
    )
    assert verdict.ok, str(verdict.first_difference)
    assert all(row.spikes for row in verdict.rows if row.population in ("a", "joined", "late"))


@pytest.mark.slow
def test_the_chip_gives_the_simulators_spikes_on_random_graphs_with_any_lags(
    chip: Path,
    tmp_path: Path,
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Spikes,
) -> None:
    """T from 1 to 20; host and chip in one process; input from the host or the chip's buffer."""
    drawn = count()

    @settings(max_examples=EXAMPLES // 5, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        net = data.draw(graph_networks(most_populations=6, most_steps=20))
        number = next(drawn)
        netx.write(net, tmp_path / f"{number}.net")
        np.save(tmp_path / f"{number}.npy", random_spikes(net, 2, number))

    draw()
    root = Path(__file__).resolve().parents[1]
    result = subprocess.run(
        [sys.executable, "-m", "loihi2_double.compare", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(chip)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:-1] == [f"compared {next(drawn)}"]


@pytest.mark.slow
@pytest.mark.usefixtures("chip")
def test_whatever_steps_adapters_take_the_spikes_are_the_same(
    monkeypatch: pytest.MonkeyPatch, random_spikes: Spikes
) -> None:
    for part, steps in {"CONV": 3, "DENSE": 2, "BUFFER": 4, "SPIKES": 0, "RESET": 5}.items():
        monkeypatch.setenv(f"LOIHI2_DOUBLE_{part}", str(steps))
    net = of_events()
    spikes = random_spikes(net, 3)
    found = run_loihi2(net, spikes, record="all", system=BOARD)
    expected = simulate(net, spikes, record="all")
    np.testing.assert_array_equal(found.readout, expected.readout)
    for name, wanted in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], wanted)


def test_a_process_that_would_run_on_the_host_is_named(chip: Path, random_spikes: Spikes) -> None:
    (chip / "lava/proc/graded/ncmodels.py").unlink()
    net = of_events()
    with pytest.raises(LavaError, match=r"no model for the chip of GradedVec .*run on the host"):
        run_loihi2(net, random_spikes(net, 1), system=BOARD, timing=LAGS)


@pytest.mark.slow
@pytest.mark.usefixtures("chip")
def test_a_chip_that_fails_ends_the_run_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, random_spikes: Spikes
) -> None:
    monkeypatch.setenv("LOIHI2_DOUBLE_CONV", "broken")  # raised while the chip's service runs
    net = like_the_demo()
    with pytest.raises(LavaError, match=r"Loihi 2 \(run\): Lava's runtime service .*'broken'"):
        run_loihi2(net, random_spikes(net, 1), system=BOARD, timing=LAGS)


@pytest.mark.slow
@pytest.mark.usefixtures("chip")
def test_profiles_are_runs_of_their_own_and_power_follows_the_idle_board(
    random_spikes: Spikes,
) -> None:
    net = like_the_demo()
    found = profile(net, random_spikes(net, 3), system=BOARD, timing=LAGS)
    assert {"idle", *PROFILES, "derived"} <= found.keys()
    assert found["replayed"]
    assert found["time"]["on_host"] == {}, "nothing holds the chip up"
    assert found["derived"]["dynamic_power"] == pytest.approx(
        found["power"]["total_power"] - found["idle"]["total_power"]
    )
    seconds = found["time"]["execution_time_per_step"] * 1e-6 * found["period"]
    assert found["derived"]["energy_per_sample"] == pytest.approx(
        found["power"]["total_power"] * seconds
    )
    json.dumps(found)


@pytest.mark.parametrize(
    ("busy", "deviation"), [(0.994, 0.0), (1.0, 0.0), (1.003, 0.0), (1.02, 0.02)]
)
def test_dynamic_power_within_noise_is_meaningless(busy: float, deviation: float) -> None:
    idle = {"total_power": 1.0, "total_power_deviation": deviation}
    power, why = dynamic_power({"total_power": busy, "total_power_deviation": deviation}, idle)
    assert power is None
    assert "meaningless" in why
    found = derived(
        {
            "period": 8,
            "idle": idle,
            "power": {"total_power": busy, "total_power_deviation": deviation},
            "time": {"execution_time_per_step": 20.0},
        }
    )
    assert found["dynamic_energy_per_sample"] is None


def test_dynamic_power_above_noise_is_the_difference() -> None:
    busy = {"total_power": 1.25, "total_power_deviation": 0.03}
    assert dynamic_power(busy, {"total_power": 1.0, "total_power_deviation": 0.04})[0] == 0.25


def test_a_sample_takes_the_least_power_of_two_of_steps() -> None:
    assert [period_on_chip(steps) for steps in (1, 2, 3, 4, 5, 16, 17, 20)] == [
        1, 2, 4, 4, 8, 16, 32, 32,
    ]  # fmt: skip


def test_lags_that_contradict_one_another_are_refused() -> None:
    first, states = np.zeros((3, 48), int), np.zeros((3, 3, 48), int)
    inputs = np.arange(1, 49)
    for part, lag in enumerate((1, 1, 0)):
        first[part] = inputs + lag + 2
        states[-1, part, 32 - 2 - lag : 37 - lag] = 128
    assert timing_of(first, states).to_dict() == {
        "conv": 1, "dense": 1, "buffer": 0, "spikes": 1, "reset": 0,
    }  # fmt: skip
    first[1] += 1
    with pytest.raises(LavaError, match="contradict"):
        timing_of(first, states)
    first[1, 20:] += 1
    with pytest.raises(LavaError, match="differs from step to step"):
        timing_of(first, states)


# --------------------------------------------------------------------------------------------
# What a user does wrong, or does not have


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (System(board="ncl-og-09"), "Slurm has no board 'ncl-og-09'; there are ncl-og-01"),
        (System(board="ncl-og-02"), r"board 'ncl-og-02' is down\*"),
        (System(partition="loihi"), "Slurm has no partition 'loihi'; there are kp, oheogulch"),
        (System(partition="kp"), "partition 'kp' is down"),
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
    assert placed(None, {"NOSLURM": "1", "NXSDKHOST": "10.1.1.1", "BOARD": "x"}) == System(
        host="10.1.1.1", generation="N3B3"
    )


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
    assert "no profile 'tme'; there are all, power, time, activity, memory" in output


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


@pytest.mark.slow
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
