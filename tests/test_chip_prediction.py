"""Time and energy on a chip: operations counted exactly, ranges that hold what was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lavaseg import recipes
from lavaseg.chip import Interval, Power, map_net, padded, predict
from lavaseg.chip.boards import CORES_PER_CHIP
from lavaseg.chip.energy import DYNAMIC_PICOJOULES, STATIC_POWER
from lavaseg.chip.measured import MEASUREMENTS, NOISE, PILOTNET_LIF, PILOTNET_SDNN, S4D, YOLO_KP
from lavaseg.chip.timing import CONSTANTS, ERROR, StepTime, step_time
from lavaseg.chip.work import work
from lavaseg.cli import app
from lavaseg.deploy import simulate
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Dense, Input, Network, OneToOne, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write
from lavaseg.results.energy import account
from lavaseg.results.evaluation import Evaluation
from lavaseg.runs import Run

ROOT = Path(__file__).resolve().parents[1]
OPERATION, UPDATE, BARRIER = (
    CONSTANTS[name].value for name in ("synaptic operation", "neuron update", "barrier")
)
BINARY = CONSTANTS["binary spikes over a link"].value


# -- work ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_operations_of_each_population_are_those_of_the_energy_account(
    data: st.DataObject,
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Callable[..., np.ndarray],
) -> None:
    """On every operator, with clocks, loops and relays; an echo does its population's once more."""
    net = data.draw(graph_networks())
    network, samples = net.network, 2
    activity = simulate(net, random_spikes(net, samples))
    counts = {name: count.sum(0) for name, count in activity.counts.items()}
    parts = {
        part.layer.name: part
        for part in work(network, map_net(network, steps=net.steps), counts, samples, net.steps)
    }
    counted = account(network, counts, samples, net.steps)
    for node in network.senders:
        part = parts[node.name]
        operations = part.operations.sum() * net.steps
        np.testing.assert_allclose(operations, counted.operations_into(node.name), rtol=1e-9)
        assert int(part.updates.sum()) == network.neurons(node.name)
        assert len(part.operations) == part.layer.cores


def chain(side: int, channels: int, threshold: int = 7) -> Network:
    """A convolution and a read-out with one neuron a place."""
    return Network(
        Input("input", (1, side, side)),
        (Population("hidden", threshold), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(channels, 3, padding=1)),
            Projection("hidden", "readout", Conv(1, 1)),
        ),
        "readout",
    )


def counts_of(network: Network, rate: float, rounds: int = 1) -> dict[str, np.ndarray]:
    return {name: np.full(shape, rate * rounds) for name, shape in network.shapes.items()}


def test_spikes_in_a_corner_load_the_cores_of_that_corner_alone() -> None:
    network = chain(64, 4)
    mapping = map_net(network)
    assert mapping["hidden"].cores > 1
    counts = counts_of(network, 0.0)
    counts["input"][0, 0, 0] = 1
    (hidden, _) = work(network, mapping, counts, 1, 1)
    assert hidden.operations.sum() == 4 * 4  # four places that see the corner, four channels
    assert hidden.operations.max() == 4 * 4
    assert np.count_nonzero(hidden.operations) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: counts.pop("hidden"), "spike counts of 'hidden' are missing"),
        (lambda counts: counts.update(hidden=np.zeros((1, 2, 2))), "have shape"),
        (lambda counts: counts.update(input=np.full((1, 8, 8), 3)), "possible are 0 to 2"),
        (lambda counts: counts.update(input=np.full((1, 8, 8), -1)), "reach from -1"),
    ],
)
def test_spikes_that_cannot_be_are_named(
    change: Callable[[dict[str, np.ndarray]], object], message: str
) -> None:
    network = chain(8, 2)
    counts = counts_of(network, 1.0)
    change(counts)
    with pytest.raises(LavasegError, match=message):
        predict(network, map_net(network), counts, 2, 1)
    with pytest.raises(LavasegError, match="mapping is of another network"):
        predict(network, map_net(Network(network.input, (Population("x", None),),
            (Projection("input", "x", OneToOne()),), "x")), counts, 2, 1)  # fmt: skip
    with pytest.raises(LavasegError, match="samples and steps"):
        predict(network, map_net(network), counts_of(network, 1.0), 0, 1)


def test_a_read_out_that_never_fires_needs_no_counts() -> None:
    network = chain(8, 2)
    counts = counts_of(network, 0.0)
    mapping = map_net(network)
    expected = predict(network, mapping, counts, 1, 1)
    del counts["readout"]
    assert predict(network, mapping, counts, 1, 1) == expected


# -- time ----------------------------------------------------------------------------------------


def test_the_time_of_a_step_is_that_of_the_slowest_core_and_the_barrier() -> None:
    network = chain(8, 2)
    mapping = map_net(network)
    assert mapping.cores == len(mapping.layers) == 2  # one core a layer
    silent = step_time(work(network, mapping, counts_of(network, 0.0), 1, 1))
    assert silent.slowest == "hidden"
    assert silent.model.low == pytest.approx(128 * UPDATE + BARRIER)
    busy = step_time(work(network, mapping, counts_of(network, 1.0), 1, 1))
    # along each axis 6 of 8 places see three inputs, 2 see two
    operations = 2 * (6 * 3 + 2 * 2) ** 2
    assert busy.core == pytest.approx(operations * OPERATION + 128 * UPDATE)
    assert busy.link == Interval(0, 0)
    assert busy.host == pytest.approx(64 / BINARY)
    assert busy.limiting == "the barrier"  # of 10 us, the core has 1
    assert busy.seconds.high == pytest.approx(busy.model.high * ERROR)
    assert busy.seconds.low == busy.model.low > silent.model.low


def test_what_takes_most_of_a_step_is_named() -> None:
    core = StepTime(30e-6, "hidden", Interval(1e-6, 90e-6), 0.0, BARRIER)
    assert core.limiting == "a core of hidden"
    assert replace(core, link=Interval(40e-6, 90e-6)).limiting == "a link between chips"
    assert replace(core, barrier=31e-6).limiting == "the barrier"


def test_input_that_is_played_from_the_chip_needs_no_host() -> None:
    network = chain(8, 2)
    mapping = map_net(network, steps=1, replay=True)
    played = step_time(work(network, mapping, counts_of(network, 1.0), 1, 1))
    assert played.host == 0


def test_spikes_between_chips_take_a_link_and_those_on_one_chip_none() -> None:
    sizes = (20_000, 8_000, 4)  # of flat layers
    populations = (Population("a", 1), Population("b", 1), Population("out", None))
    network = Network(
        Input("input", (1, 1, 1)),
        populations,
        (
            Projection("input", "a", Dense(sizes[0])),
            Projection("a", "b", Dense(sizes[1])),
            Projection("b", "out", Dense(sizes[2])),
        ),
        "out",
    )
    mapping = map_net(network)
    b = mapping["b"]
    assert b.core_ids.stop > CORES_PER_CHIP  # it takes more than a chip
    one = step_time(work(network, mapping, counts_of(network, 1.0), 1, 1))
    tenth = step_time(work(network, mapping, counts_of(network, 0.1), 1, 1))
    assert 0 < one.link.low <= one.link.high
    assert tenth.link.low == pytest.approx(one.link.low / 10)
    # each neuron of a sends to every core of b: at most one copy for each of these
    assert one.link.high <= sizes[0] * b.cores / BINARY * 1.01
    assert one.link.low <= sizes[0] / BINARY * 1.01


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_more_spikes_never_take_less_time_or_energy(one: float, other: float) -> None:
    network = chain(40, 8)
    mapping = map_net(network)
    few, many = (
        predict(network, mapping, counts_of(network, rate), 1, 1) for rate in sorted((one, other))
    )
    for of_few, of_many in (
        (few.step.seconds, many.step.seconds),
        (few.joules, many.joules),
        (many.samples_per_second, few.samples_per_second),
    ):
        assert of_few.low <= of_many.low * (1 + 1e-9)
        assert of_few.high <= of_many.high * (1 + 1e-9)
        assert of_few.low <= of_few.high


@pytest.mark.parametrize(
    ("steps", "period"), [(1, 1), (2, 2), (3, 4), (16, 16), (17, 32), (20, 32)]
)
def test_samples_follow_each_other_after_a_power_of_two_of_steps(steps: int, period: int) -> None:
    assert padded(steps) == period
    network = chain(8, 2)
    counts = counts_of(network, 0.5, steps)
    found = predict(network, map_net(network, steps=steps), counts, 1, steps)
    assert found.period == period
    assert found.latency == steps + network.latency
    longest = found.step.seconds.high * period
    assert found.samples_per_second.low == pytest.approx(1 / longest)
    given = predict(network, map_net(network, steps=steps), counts, 1, steps, period=100)
    assert given.period == 100


# -- energy --------------------------------------------------------------------------------------


def test_energy_is_static_power_over_time_and_a_bound_for_each_operation() -> None:
    network, steps = chain(8, 2), 4
    counts = counts_of(network, 1.0, steps)
    mapping = map_net(network, steps=steps)
    found = predict(network, mapping, counts, 1, steps)
    counted = account(network, {k: v.astype(int) for k, v in counts.items()}, 1, steps)
    assert found.operations == pytest.approx(counted.synaptic_operations)
    assert found.updates == counted.neuron_updates
    for bound in ("low", "high"):
        static = getattr(STATIC_POWER, bound) * getattr(found.step.seconds, bound) * found.period
        dynamic = getattr(DYNAMIC_PICOJOULES, bound) * 1e-12 * counted.synaptic_operations
        assert getattr(found.joules, bound) == pytest.approx(static + dynamic)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["measured_on_a_chip"] is False
    assert plain["joules"] == [found.joules.low, found.joules.high]


@pytest.mark.parametrize(
    ("total_", "static"), [(0.5, 0.506), (0.5, 0.5), (0.5 + NOISE / 2, 0.5), (0.0, 1.0)]
)
def test_a_dynamic_power_that_is_negative_or_within_noise_is_refused(
    total_: float, static: float
) -> None:
    power = Power(total_, static)
    assert not power.meaningful
    with pytest.raises(LavasegError, match=r"dynamic power of -?[\d.e-]+ mW .* means nothing"):
        _ = power.dynamic


def test_a_dynamic_power_above_noise_is_the_difference() -> None:
    assert Power(0.679, 0.232).dynamic == pytest.approx(0.447)
    with pytest.raises(LavasegError, match="within the noise of 500 mW"):
        _ = Power(0.679, 0.232, noise=0.5).dynamic


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_powers_that_no_board_has_are_refused(bad: float) -> None:
    for arguments in ((bad, 0.1), (0.1, bad), (0.1, 0.1, bad)):
        with pytest.raises(LavasegError, match="must be 0 W or more"):
            Power(*arguments)


@pytest.mark.parametrize("bounds", [(2, 1), (-1, 1), (float("nan"), 1), (0, float("nan"))])
def test_intervals_that_are_none_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(LavasegError, match="0 <= low <= high"):
        Interval(*bounds)


@pytest.mark.parametrize(
    ("interval", "unit", "words"),
    [
        (Interval(74e-6, 212e-6), "s", "74 to 210 µs"),
        (Interval(0, 0), "J", "0 J"),
        (Interval(1.2, 3456), "", "1.2 to 3,500"),
        (Interval(0.019, 0.0191), "J", "19 mJ"),
        (Interval(2e-10, 3e-10), "J", "200 to 300 pJ"),
        (Interval(0.5e-3, 2), "s", "0.0005 to 2 s"),
        (Interval(99.4, 99.6), "", "99 to 100"),
        (Interval(995, 99_600), "", "1,000 to 100,000"),
    ],
)
def test_intervals_are_worded_with_two_digits(interval: Interval, unit: str, words: str) -> None:
    assert interval.in_words(unit) == words


# -- public measurements -------------------------------------------------------------------------


def test_published_figures_agree_with_each_other() -> None:
    """Energy is power times time, and total power the sum of its parts, to their last digits."""
    for run in (YOLO_KP, PILOTNET_LIF):
        assert run.power is not None
        assert run.dynamic == pytest.approx(run.power.dynamic, abs=1e-3)
        seconds = (run.seconds_per_step or 0) * run.steps
        for watts, millijoules in zip((run.total, run.dynamic), run.millijoules or (), strict=True):
            assert 1000 * (watts or 0) * seconds == pytest.approx(millijoules, rel=5e-3)
    assert YOLO_KP.total == pytest.approx(2.142 + 2.323 + 0.205)
    assert PILOTNET_SDNN.dynamic == -NOISE
    assert all(run.source and run.name for run in MEASUREMENTS)


def test_derived_bounds_are_those_of_the_runs_that_they_are_derived_from() -> None:
    assert YOLO_KP.picojoules_per_operation == pytest.approx(22, abs=0.5)
    for run in (YOLO_KP, PILOTNET_LIF):
        assert (run.picojoules_per_operation or 0) in DYNAMIC_PICOJOULES
    assert S4D.picojoules_per_operation is None
    assert PILOTNET_LIF.static in STATIC_POWER
    assert pytest.approx(2.9, abs=0.05) == ERROR == YOLO_KP.error


def cell(seconds: float) -> str:
    return f"{round(seconds * 1e6):,} µs"


def test_the_document_shows_predicted_beside_measured_and_every_constant() -> None:
    text = (ROOT / "docs" / "loihi2.md").read_text("utf-8")
    section = text.partition("## Time and energy")[2].partition("\n## ")[0]
    units = {"ns": 1e-9, "µs": 1e-6, "million a second": 1e6}
    for name, constant in CONSTANTS.items():
        found = re.search(rf"^\| {name} \| ([\d.]+) (.+) \|$", section, re.M)
        assert found, name
        assert float(found[1]) * units[found[2]] == pytest.approx(constant.value), name
    assert YOLO_KP.predicted is not None
    for run in MEASUREMENTS:
        assert f"| {run.name} | {cell(run.seconds_per_step or 0)} |" in section, run.name
    assert f"{cell(YOLO_KP.predicted)}, by its authors | {ERROR:.2f} |" in section
    assert STATIC_POWER.in_words("W") in section
    for run in (YOLO_KP, PILOTNET_LIF):
        assert f"{run.picojoules_per_operation:.1f} pJ" in section


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with an exported network, evaluated on two samples of five steps."""
    network = chain(8, 2)
    weights = {p.name: np.full(network.synapse_shape(p), 2, np.int16) for p in network.projections}
    net = IntegerNetwork(network, weights, Poisson(5), ("thing",))
    recipe = recipes.load("demo", ["encoder={kind: poisson, steps: 5}"])
    made = Run(tmp_path / "run", recipe, network, net.classes, None, (1, 8, 8))
    made.save()
    write(net, made.files.net.path)
    counts = {name: np.full(shape, 5) for name, shape in network.shapes.items()}
    made.files.net_evaluation.save(Evaluation(np.eye(1, dtype=int), net.classes, counts, 2, 5))
    return made


def call(*words: str) -> str:
    result = CliRunner().invoke(app, ["map", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_map_predicts_from_the_spikes_of_an_evaluated_run(run: Run) -> None:
    for target in (str(run.path), str(run.files.net.path)):
        printed = call(target)
        assert "by spikes of 2 test samples, 5 steps each" in printed
        assert "one every 8 steps\n" in printed
        assert "(T = 5, padded to a power of two)" in printed
        assert "Not run on a chip" in printed
    found = json.loads(call(str(run.path), "--json"))["prediction"]
    net = run.net()
    counts = run.files.net_evaluation.load().counts
    expected = predict(net, map_net(net), counts, 2, 5)
    assert found == json.loads(json.dumps(expected.to_dict()))
    # twice as many spikes: twice the operations
    twice = json.loads(call(str(run.path), "--rate", "1", "--json"))["prediction"]
    assert twice["operations"] == pytest.approx(2 * found["operations"])


def test_map_says_what_it_lacks_where_spikes_are_not_known(run: Run) -> None:
    run.files.net_evaluation.remove()
    assert "not predicted without its spikes: `lavaseg evaluate` it" in call(str(run.path))
    assert json.loads(call(str(run.path), "--json"))["prediction"] is None
    assert "by an assumed rate of 0.25" in call(str(run.path), "--rate", "0.25")
    for rate in ("-0.1", "1.5", "nan"):
        result = CliRunner().invoke(app, ["map", str(run.path), "--rate", rate])
        assert result.exit_code == 2
        assert "expected spikes a neuron and step, 0 to 1" in result.output
