"""The hardware path, with the double of Intel's extension in the place of a board."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from fuzzing import EXAMPLES, Spikes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loihi2_nets import like_the_demo, of_events, u_net, wide

from lavaseg import netx
from lavaseg.deploy import simulate, verify_spikes
from lavaseg.deploy.lava import LavaError
from lavaseg.deploy.loihi2 import PROFILES, System, profile, run_loihi2
from lavaseg.deploy.loihi2.lags import timing_of
from lavaseg.deploy.loihi2.profiles import derived, dynamic_power
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.interleave import interleave

BOARD = System(board="ncl-og-01")
LAGS = Timing(conv=1, dense=1, buffer=0, spikes=1, reset=0)
"""Those of the double, unless it is told others."""


@pytest.mark.parametrize(
    "make",
    [like_the_demo, *(pytest.param(make, marks=pytest.mark.full) for make in (u_net, of_events))],
)
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


@pytest.mark.full
@pytest.mark.usefixtures("chip")
def test_the_chip_gives_the_simulators_spikes_of_an_interleaved_network(
    random_spikes: Spikes,
) -> None:
    net, factors = interleave(wide(), 254)
    assert max(factors.values()) > 1
    verdict = verify_spikes(
        net, random_spikes(net, 2), backends=("loihi2",), system=BOARD, progress=False
    )
    assert verdict.ok, str(verdict.first_difference)
    assert all(row.spikes for row in verdict.rows if row.population in ("a", "b"))


@pytest.mark.slow
def test_the_chip_gives_the_simulators_spikes_on_random_graphs_with_any_lags(
    ask_double: Callable[[str, Path], str],
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
    said = ask_double("compare", tmp_path)
    assert said.split("\n")[:-1] == [f"compared {next(drawn)}"]


@pytest.mark.full
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
