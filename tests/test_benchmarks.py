"""Benchmarks run at toy size and print ratios against their references; no time is asserted."""

from __future__ import annotations

import importlib
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of benchmarks/, as running a script there does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def quick(
    load: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> Callable[[str], dict[str, Any]]:
    """Runs a benchmark at toy size; its JSON, checked for what all have in common."""

    def run(name: str) -> dict[str, Any]:
        load(name).main(["--quick", "--json"])
        report = json.loads(capsys.readouterr().out)
        assert report["reference"]
        assert report["machine"]["cores"] >= 1
        assert report["rows"]
        for row in report["rows"]:
            numbers = [value for value in row.values() if not isinstance(value, str)]
            assert all(math.isfinite(value) and value >= 0 for value in numbers)
        return report

    return run


@pytest.mark.slow
@pytest.mark.full
def test_lava_graph_compares_both_runtimes_and_the_simulator_with_stock_netx(
    quick: Callable[[str], dict[str, Any]],
) -> None:
    report = quick("lava_graph")
    rows = {row["what"]: row for row in report["rows"]}
    assert len(rows) == 5
    stock = rows[report["reference"]]["ms a sample-step"]
    for row in rows.values():
        ratio = row["times faster than stock"]
        assert ratio == pytest.approx(stock / row["ms a sample-step"])


def test_published_width_compares_every_layer_and_says_what_is_extrapolated(
    quick: Callable[[str], dict[str, Any]],
) -> None:
    report = quick("published_width")
    assert "EXTRAPOLATED" in report["reference"]
    stock = [row["stock ms (extrapolated)"] for row in report["rows"]]
    assert len(stock) == 9 + 3, "nine layers, the graph, the simulator at two batches"
    assert stock[-1] == pytest.approx(sum(stock[:9]))


@pytest.mark.slow
def test_training_step_compares_neuron_convolution_and_step_with_slayer(
    quick: Callable[[str], dict[str, Any]],
) -> None:
    report = quick("training_step")
    named = {row["what"].split()[0] for row in report["rows"]}
    assert named == {"neuron", "3x3", "training"}
    for row in report["rows"]:
        slower, faster = row["SLAYER"], row["lavaseg"]
        if row["unit"] == "samples/s":
            slower, faster = faster, slower
        assert row["times faster"] == pytest.approx(slower / faster)


def test_integer_neurons_are_compared_with_binary_ones_of_the_same_network(
    quick: Callable[[str], dict[str, Any]],
) -> None:
    (row,) = quick("integer_neurons")["rows"]
    slower, faster = row["binary T 4 [ms]"], row["T 1, D 4 [ms]"]
    assert row["times faster"] == pytest.approx(slower / faster)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: it would run")
def test_gpu_training_says_that_it_needs_a_gpu(load: Callable[[str], ModuleType]) -> None:
    with pytest.raises(SystemExit, match="needs an NVIDIA GPU"):
        load("gpu_training").main([])


@pytest.mark.slow
def test_simulator_compares_with_its_base_and_names_the_growth(
    quick: Callable[[str], dict[str, Any]],
) -> None:
    report = quick("simulator")
    assert report["rows"][0]["time/base"] == 1
    assert any("Fitted growth" in note and "batch^" in note for note in report["notes"])


def test_loaders_are_compared_with_the_training_that_waits_for_them(
    quick: Callable[[str], dict[str, Any]],
) -> None:
    (row,) = quick("loaders")["rows"]
    for pass_ in ("first", "later"):
        rate = next(v for k, v in row.items() if k.startswith(f"{pass_} pass"))
        assert row[f"{pass_} / training"] == pytest.approx(rate / row["training, samples/s"])


@pytest.mark.slow
@pytest.mark.full
def test_startup_compares_graphs_of_both_runtimes(
    quick: Callable[[str], dict[str, Any]],
) -> None:
    rows = quick("startup")["rows"]
    assert [row["runtime"] for row in rows] == ["lava-inprocess", "lava"]
    for row in rows:
        assert row["times"] == pytest.approx(row["start-up s"] / rows[0]["start-up s"])


@pytest.mark.slow
@pytest.mark.full
def test_rmp_memory_compares_its_variants(quick: Callable[[str], dict[str, Any]]) -> None:
    rows = quick("rmp_memory")["rows"]
    assert [row["RMP on steps"] for row in rows] == ["none", "last", "all"]
    assert all(row["peak MiB"] > 0 for row in rows)
    assert rows[0]["times as long"] == 1
    assert all(row["seconds"] > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.full
def test_a_run_that_is_killed_on_another_file_system_ends_with_the_same_bits(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    here = tmp_path.stat().st_dev
    others = [p for p in map(Path, ("/dev/shm", "/tmp", "/var/tmp")) if p.is_dir()]
    other = next((p for p in others if p.stat().st_dev != here), None)
    if other is None:
        pytest.skip("there is no second file system that can be written")
    with tempfile.TemporaryDirectory(dir=other) as temporary:
        found = load("kills").training(tmp_path, Path(temporary), 8, 1, ["training.epochs=12"])
    assert found["kills"] >= 4
    assert found["differing"] == []
    assert found["left in the end"] == []


def test_growth_is_the_exponent_of_a_power_law(load: Callable[[str], ModuleType]) -> None:
    sizes = [2.0, 4.0, 16.0]
    assert load("simulator").growth(sizes, [3 * n**1.5 for n in sizes]) == pytest.approx(1.5)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_every_population_of_a_benchmark_net_spikes_as_often_as_asked(
    load: Callable[[str], ModuleType], rate: float
) -> None:
    networks = load("_networks")
    simulate = importlib.import_module("lavaseg.deploy").simulate
    for net in (
        networks.deeplab(width=4, size=16, steps=12, rate=rate),
        networks.fcn(width=4, size=16, steps=12, rate=rate),
        networks.chain(3, channels=5, size=9, steps=12, rate=rate),
    ):
        activity = simulate(net, networks.random_input(net, 4))
        rates = networks.spike_rates(net, activity.counts)
        assert len(rates) == len(net.network.nodes) - 1
        assert all(0.3 * rate < found < 2 * rate for found in rates.values()), rates


def test_a_benchmark_ends_when_two_sides_compute_different_things(
    load: Callable[[str], ModuleType],
) -> None:
    with pytest.raises(RuntimeError, match="1 other membranes"):
        load("lava_graph").expect(np.zeros(3), np.array([0, 0, 1]), "somebody")


def test_the_least_of_the_repeats_counts_and_warming_up_does_not(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    timing = load("_timing")
    clock = iter([0.0, 3.0, 10.0, 12.0, 20.0, 25.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    calls: list[int] = []
    assert timing.best(lambda: calls.append(1), 3) == 2.0
    assert len(calls) == 4


def test_a_table_lines_up_and_a_small_ratio_keeps_its_digits(
    load: Callable[[str], ModuleType],
) -> None:
    report = load("_timing").Report("title", "ref", ("what", "ms"), [("a", 0.0123), ("bb", 1500.4)])
    lines = report.as_table().splitlines()
    assert lines[2] == "reference: ref"
    assert lines[4:8] == ["what      ms", "----  ------", "a     0.0123", "bb     1,500"]
