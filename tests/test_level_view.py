"""Results of integer neurons are shown by population, and keep each slot."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from fuzzing import Spikes
from levelled import FORMS, integers_sent, small
from typer.testing import CliRunner

from lavaseg import export, recipes
from lavaseg.cli import app
from lavaseg.deploy import record, simulate, verify_spikes
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import described, unroll_levels
from lavaseg.network import STATE_SCALE
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.levels import refolded
from lavaseg.report import drawings, tables
from lavaseg.report.costs import cost
from lavaseg.report.gather import collect
from lavaseg.report.sources import NetSource, RecordedSource, Wanted
from lavaseg.results.energy import account
from lavaseg.results.evaluation import Evaluation, Meter
from lavaseg.results.levels import LevelView
from lavaseg.results.recording import NEAR, Recording
from lavaseg.training import train


def unrolled(form: str, delay: int = 0) -> IntegerNetwork:
    """input -> a -> b -> read-out, 3 levels each; with a delay a is two relays if graded."""
    return unroll_levels(small(delay=delay), form)  # type: ignore[arg-type]


def evaluation(net: IntegerNetwork, spikes: np.ndarray) -> tuple[Evaluation, dict[str, np.ndarray]]:
    """The evaluation of a few samples without labels, and the integers that were sent."""
    activity = simulate(net, spikes, record="all")
    meter = Meter(net.classes, net.steps, view=LevelView.of(net.network, net.weights))
    none = np.zeros((len(spikes), 2, 2), np.uint8)
    meter.add(none, none, activity.counts)
    return meter.result(), integers_sent(net, activity)


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_a_verdict_has_a_row_a_population_and_one_for_each_slot_behind_it(
    form: str, delay: int, random_spikes: Spikes
) -> None:
    net = unrolled(form, delay)
    spikes = random_spikes(net, 3)
    verdict = verify_spikes(net, spikes, backends=("torch",), progress=False)
    assert [row.population for row in verdict.populations] == ["a", "b", "out", "out membrane"]
    assert {"a_sum", "a_1", "a_2", "a_3"} <= {row.population for row in verdict.rows}
    compared = sum(row.compared for row in verdict.populations)
    assert compared == sum(row.compared for row in verdict.rows)
    _, sent = evaluation(net, spikes)
    for row in verdict.populations[:2]:
        assert row.spikes == sent[row.population].sum() > 0
    rows = tuple(
        dataclasses.replace(row, differing=int(row.population == "a_2")) for row in verdict.rows
    )
    wrong = dataclasses.replace(verdict, rows=rows)
    assert not wrong.ok
    assert [row.differing for row in wrong.populations] == [1, 0, 0, 0]
    plain = json.loads(json.dumps(wrong.to_dict()))
    assert list(tables.verified_rows(plain)) == ["a", "b", "out", "out membrane"]
    assert plain["levels"]["a"]["slots"] == ["a_1", "a_2", "a_3"]


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_an_evaluation_gives_the_mean_and_the_share_of_each_level(
    form: str, delay: int, random_spikes: Spikes, tmp_path: Path
) -> None:
    net = unrolled(form, delay)
    found, sent = evaluation(net, random_spikes(net, 4))
    found.save(tmp_path / "a.json")
    for result in (found, Evaluation.load(tmp_path / "a.json")):
        assert list(result.rates) == ["input", "a", "b", "out"]
        assert {"a_1", "a_2", "a_3", "b_sum"} <= set(result.counts)
        assert result.to_dict()["populations"].keys() == result.rates.keys()
        for name in ("a", "b"):
            assert result.rates_per_step[name] == pytest.approx(sent[name].mean())
            shares = np.bincount(sent[name].ravel(), minlength=4) / sent[name].size
            np.testing.assert_allclose(result.level_shares[name], shares, atol=1e-12)
            assert (shares > 0).sum() > 2


def test_operations_of_a_population_are_those_of_all_its_nodes(random_spikes: Spikes) -> None:
    net = unrolled("graded")
    found, _ = evaluation(net, random_spikes(net, 4))
    energy = account(net.network, found.counts, found.samples, found.steps)
    by_population = [found.view.operations_into(energy, name) for name in found.rates]
    waiting = sum(delay.operations for delay in energy.delays) / energy.samples
    assert sum(by_population) == energy.synaptic_operations - waiting
    assert by_population[1] > energy.operations_into("a_sum") > 0


@pytest.mark.parametrize("form", FORMS)
def test_the_rate_of_a_comparison_is_that_of_the_populations(
    form: str, random_spikes: Spikes
) -> None:
    net = unrolled(form)
    found, sent = evaluation(net, random_spikes(net, 3))
    neurons = sum(net.network.neurons(f"{name}_1") for name in sent)
    expected = sum(int(spikes.sum()) for spikes in sent.values()) / (3 * net.steps * neurons)
    assert cost(net.network, found, None, exported=True).rate == pytest.approx(expected)


def test_counts_of_a_file_are_bounded_by_the_levels_of_their_population(tmp_path: Path) -> None:
    view = LevelView.of(small().network)  # as trained: one population sends up to 3
    meter = Meter(("x", "y"), steps=2, view=view)
    none = np.zeros((5, 2, 2), np.uint8)
    counts = {name: np.full((5, 1, 1, 1), 2) for name in ("input", "out")}
    meter.add(none, none, {**counts, "a": np.full((5, 1, 1, 1), 6)})
    good = meter.result()
    good.save(tmp_path / "good.json")
    assert Evaluation.load(tmp_path / "good.json").rates_per_step["a"] == 3
    for name, most in (("a", "30 .* 3 levels"), ("out", "10 ")):
        wrong = {**good.counts, name: good.counts[name] + 1}
        dataclasses.replace(good, counts=wrong).save(tmp_path / "wrong.json")
        with pytest.raises(LavasegError, match=f"'{name}' are beyond 0 to {most}"):
            Evaluation.load(tmp_path / "wrong.json")


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_shows_a_population_as_the_network_was_described(
    form: str, tmp_path: Path
) -> None:
    net = unrolled(form)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 2, 6, 6), np.uint8)
    recorded = record(net, pictures)
    recorded.save(tmp_path / "a.npz")
    activity = simulate(net, net.encoder.encode(pictures), record="all")
    sent = integers_sent(net, activity)
    for found in (recorded, Recording.load(tmp_path / "a.npz")):
        assert list(found.populations) == ["input", "a", "b", "out"]
        assert found["a_2"].spikes is not None
        layer = found.populations["a"]
        assert layer.spikes is not None
        assert layer.membranes is not None
        assert layer.near is not None
        assert layer.operations is not None
        assert (layer.levels, layer.threshold) == (3, 40 * STATE_SCALE)
        np.testing.assert_array_equal(layer.spikes, sent["a"])
        assert layer.rate == pytest.approx(sent["a"].mean())
        thresholds = layer.threshold * (np.arange(3) + 0.5)
        away = np.abs(layer.membranes[..., None] - thresholds).min(-1)
        near = (away <= NEAR * layer.threshold).mean((1, 2, 3, 4))
        np.testing.assert_allclose(layer.near, near)
        nodes = [name for name in found.layers if found.view.population(name) == "a"]
        total = sum(found[name].operations for name in nodes)  # type: ignore[misc]
        np.testing.assert_array_equal(layer.operations, total)


def test_a_population_is_asked_for_by_its_name_and_gives_all_its_nodes() -> None:
    net = unrolled("graded")
    pictures = np.zeros((1, 2, 6, 6), np.uint8)
    assert set(record(net, pictures, layers=["a"]).layers) == {"a_sum", "a_1", "a_2", "a_3", "a"}
    assert set(record(net, pictures, layers=["a_2"]).populations) == {"a_2"}
    with pytest.raises(LavasegError, match=r"no layer 'c' .* there are input, a, b, out"):
        record(net, pictures, layers=["c"])


@pytest.mark.parametrize("form", FORMS)
def test_figures_count_an_integer_as_as_many_spikes(form: str) -> None:
    net = unrolled(form)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 2, 6, 6), np.uint8)
    spikes = net.encoder.encode(pictures)
    sent = integers_sent(net, simulate(net, spikes, record="all"))
    for source in (NetSource(net, "net"), RecordedSource(record(net, pictures), "recorded")):
        assert list(source.shapes) == ["input", "a", "b"]
        assert source.firing == ["a", "b"]
    recorded = RecordedSource(record(net, pictures), "recorded")
    counts, samples, _ = drawings.spike_totals(recorded, Wanted())
    assert samples == 2
    for name in ("a", "b"):
        np.testing.assert_array_equal(counts[name], sent[name].sum((0, 1)))
    assert (counts["input"] <= 2 * net.steps).all()  # messages, not what they carry


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("form", FORMS)
def test_a_network_alone_is_described_as_it_was_trained(form: str, delay: int) -> None:
    wanted, net = small(delay=delay).network, unrolled(form, delay)
    for found in (refolded(net.network, net.weights), described(net.network, None, {})[0]):
        assert {node.name: node for node in found.nodes} == {n.name: n for n in wanted.nodes}
        assert {p.name: p for p in found.projections} == {p.name: p for p in wanted.projections}
        assert found.macs() == wanted.macs()


def test_a_name_that_another_node_has_is_not_taken() -> None:
    net = unrolled("binary")
    renamed = {"b_1": "a"}  # a stranger called as the population that a_sum was
    network = dataclasses.replace(
        net.network,
        nodes=tuple(
            dataclasses.replace(n, name=renamed.get(n.name, n.name)) for n in net.network.nodes
        ),
        projections=tuple(
            dataclasses.replace(
                p,
                source=renamed.get(p.source, p.source),
                target=renamed.get(p.target, p.target),
            )
            for p in net.network.projections
        ),
    )
    view = LevelView.of(network, net.weights)
    assert [*view.sheets] == ["a_sum", "b"]
    assert view.population("a") == "b"
    assert LevelView.from_dict(json.loads(json.dumps(view.to_dict()))) == view


@pytest.mark.slow
def test_no_command_and_no_report_lists_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    settings = [
        "data.options={train: 40, test: 8}",
        "model.options.channels=[3, 3, 3, 3, 3, 3, 3, 4]",
        "training.epochs=1",
        "finetune.epochs=0",
    ]
    run = train(recipes.load("demo-levels", settings), tmp_path / "run", progress=False)
    export.export(run, levels="binary", progress=False)
    commands = (
        ("evaluate", "run"),
        ("evaluate", "run/net.net"),
        ("verify", "run", "-n", "2", "--backend", "torch"),
        ("record", "run/net.net", "-n", "1"),
        ("simulate", "run/net.net", "digits-photos:0", "--out", "map.png"),
        ("plot", "energy", "run/net.net", "--out", "a.png"),
        ("plot", "membranes", "run/net.net", "--layers", "conv2", "--out", "b.png"),
    )
    for command in commands:
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        words = {line.split()[0] for line in result.output.splitlines() if line.strip()}
        if command[0] != "plot":
            assert {"conv1", "conv8"} <= words, result.output
        assert not {"conv1_1", "conv1_sum", "conv8_4"} & words, result.output
        if command[1:] == ("run/net.net",):
            assert "integers    as spikes of 4 slots from conv1, conv2" in result.output
    assert (tmp_path / "a.png").stat().st_size
    page = collect(run)
    names = [row["name"] for row in tables.layer_rows(page)]
    assert names == [node.name for node in (run.network.input, *run.network.ordered)]
    assert all(row["operations"] != "–" for row in tables.layer_rows(page)[1:])
    assert "4 levels" in tables.layer_rows(page)[1]["kind"]
    assert set(tables.verified_rows(page.verification)) >= {"conv1", "conv8"}
    projections = [row["projection"] for row in tables.projection_rows(page)]
    assert len(projections) == len(set(projections))
    assert not any(name.endswith(("_2", "_3", "_4")) for name in projections)
    total = sum(row["operations"] for row in tables.projection_rows(page))
    assert page.energy is not None
    assert total == pytest.approx(page.energy.synaptic_operations)
