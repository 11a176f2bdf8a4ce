"""`lavaseg.plot`: figures show what networks did, files are whole, mistakes are one sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lavaseg
from lavaseg.cli import app
from lavaseg.data import ddd17
from lavaseg.encoders import EventHistogram, OnOffPoisson, Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.report import drawings, plots
from lavaseg.report.drawings import Ask
from lavaseg.report.plots.layers import in_one_order
from lavaseg.report.plots.style import step_groups
from lavaseg.report.plotting import KINDS
from lavaseg.report.sources import Wanted, at_the_picture, open_sources
from lavaseg.report.sources.scenes import on_grey
from lavaseg.results.membranes import EDGES, MembraneHistory, binned
from lavaseg.results.metrics import predict
from lavaseg.results.recording import Recording
from lavaseg.runs import Run


def net(steps: int = 5, encoder: Any = None, channels: int = 1, classes: int = 2) -> IntegerNetwork:
    code = encoder or Poisson(steps)
    network = Network(
        Input("input", (channels, 8, 12), message_bits=code.message_bits),
        (Population("near", 40), Population("far", 60), Population("out", None)),
        (
            Projection("input", "near", Conv(4, 3, padding=1)),
            Projection("near", "far", Conv(6, 2, 2)),
            Projection("far", "out", Conv(classes, 1)),
        ),
        "out",
    )
    rng = np.random.default_rng(1)
    weights = {
        p.name: (2 * rng.integers(-20, 40, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, code, tuple(f"class {k}" for k in range(classes)))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (8, 12), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def net_file(tmp_path: Path) -> Path:
    lavaseg.write_net(net(), tmp_path / "a.net")
    return tmp_path / "a.net"


def stimuli(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(file))[None] for file in sorted(folder.iterdir())]


# -- the data behind a figure --------------------------------------------------------------------


def test_maps_add_up_to_the_counts_of_an_evaluation(pictures: Path) -> None:
    integers = net()
    wanted = Wanted((str(pictures),), samples=3)
    (source,) = open_sources(integers)
    maps = drawings.spike_data(source, ["input", "near", "far"], wanted)
    samples = [(picture, np.zeros((8, 12), np.uint8)) for picture in stimuli(pictures)]
    counts = lavaseg.evaluate_net(integers, samples, progress=False).counts
    for name in ("input", "near", "far"):
        shown = sum(found.spikes[name].sum(0) for found in maps)
        np.testing.assert_array_equal(shown, counts[name].sum(0))
        assert counts[name].sum() > 0


def test_rates_are_those_of_an_evaluation(pictures: Path) -> None:
    integers = net()
    counts, number, _ = drawings.spike_totals(
        open_sources(integers)[0], Wanted((str(pictures),), samples=3)
    )
    samples = [(picture, np.zeros((8, 12), np.uint8)) for picture in stimuli(pictures)]
    rates = lavaseg.evaluate_net(integers, samples, progress=False).rates
    figure = lavaseg.plot("rates", integers, inputs=str(pictures))
    drawn = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, [rates["near"], rates["far"]])
    assert number == 3
    assert counts["far"].sum() / counts["far"].size / 3 == pytest.approx(rates["far"])


def test_a_recording_shows_what_its_network_shows(pictures: Path, tmp_path: Path) -> None:
    integers = net()
    recorded = lavaseg.record(integers, stimuli(pictures))
    recorded.save(tmp_path / "r.npz")
    of_net = drawings.spike_data(
        open_sources(integers)[0], ["near", "far"], Wanted((str(pictures),), samples=3)
    )
    of_file = drawings.spike_data(
        open_sources(tmp_path / "r.npz")[0], ["near", "far"], Wanted(samples=3)
    )
    for a, b in zip(of_net, of_file, strict=True):
        np.testing.assert_array_equal(a.picture, b.picture)
        for name in a.spikes:
            np.testing.assert_array_equal(a.spikes[name], b.spikes[name])


def test_a_recording_is_read_as_it_was_written(pictures: Path, tmp_path: Path) -> None:
    recorded = lavaseg.record(net(), stimuli(pictures)[:2])
    recorded.save(tmp_path / "r.npz")
    again = Recording.load(tmp_path / "r.npz")
    assert again.to_dict() == recorded.to_dict()
    np.testing.assert_array_equal(again.readout, recorded.readout)
    np.testing.assert_array_equal(again.pictures, recorded.pictures)
    for name, layer in recorded.layers.items():
        for field in dataclasses.fields(layer):
            np.testing.assert_array_equal(
                getattr(again[name], field.name), getattr(layer, field.name)
            )


def test_predictions_at_every_t_are_those_of_the_network_at_that_t(pictures: Path) -> None:
    integers = net(steps=6)
    wanted = Wanted((str(pictures),), samples=3)
    found = drawings.predicted(open_sources(integers), Ask(wanted))
    assert list(found.rows) == ["T = 1", "T = 2", "T = 4", "T = 6"]
    for steps in (1, 2, 4, 6):
        at = integers.with_steps(steps)
        readout = lavaseg.simulate(at, at.encoder.encode(stimuli(pictures))).readout
        expected = predict(at.logits(readout), (8, 12))
        np.testing.assert_array_equal(found.rows[f"T = {steps}"], expected)


def test_a_signed_code_is_shown_as_on_and_off_spikes(pictures: Path) -> None:
    integers = net(encoder=OnOffPoisson(7), channels=2)
    (source,) = open_sources(integers)
    samples, largest = drawings.coded(source, Wanted((str(pictures),), samples=3))
    sent = integers.encoder.encode(stimuli(pictures))
    assert largest == 1
    np.testing.assert_array_equal(np.stack([s.messages for s in samples]), sent)


def test_maxima_are_taken_over_samples_places_and_channels() -> None:
    largest = np.array([[[1.0, 4.0]], [[2.0, 0.0]]])
    found = plots.Activations(largest)
    np.testing.assert_allclose(found.of_channels, [1, 0.5])
    np.testing.assert_allclose(found.of_places, [[0.5, 1]])
    assert not plots.Activations(np.zeros((2, 1, 2))).of_channels.any()


@pytest.mark.parametrize("steps", [1, 2, 6, 7, 20, 1000])
def test_groups_of_steps_hold_every_step_once(steps: int) -> None:
    groups = step_groups(steps)
    assert [step for group in groups for step in group] == list(range(steps))
    assert len(groups) <= 6
    assert max(map(len, groups)) - min(map(len, groups)) <= 1


def test_layers_of_several_networks_keep_their_order() -> None:
    lists = [["a", "b", "d"], ["a", "c", "d", "e"]]
    merged = in_one_order(lists)
    assert sorted(merged) == ["a", "b", "c", "d", "e"]
    for names in lists:
        assert [name for name in merged if name in names] == names


def test_interleaved_sheets_are_put_back_at_the_picture() -> None:
    from lavaseg.network.interleave import interleaved

    sheets = np.random.default_rng(0).integers(0, 2, (3, 4, 8, 12))
    narrow = interleaved(sheets, 3)
    np.testing.assert_array_equal(at_the_picture(narrow, (16, 24), interleaved=True), sheets)


def test_events_cover_the_grey_frame_and_leave_the_rest() -> None:
    events = np.full((2, 2, 3), 255, np.uint8)
    events[0, 0] = (213, 94, 0)
    grey = np.array([[9, 50], [100, 200]], np.uint8)
    shown = on_grey(events, grey)
    assert shown[:, 0, 0].tolist() == [213, 94, 0]
    assert shown[:, 1, 1].tolist() == [200, 200, 200]


def test_a_history_of_membranes_is_read_as_it_was_written() -> None:
    rng = np.random.default_rng(0)
    rows = [(e, {"a": binned(rng.normal(0, 2, 500), 1.5).tolist()}) for e in (1, 2, 3)]
    history = MembraneHistory.from_arrays(MembraneHistory.of_counts(rows).to_arrays())
    assert history.epochs == (1, 2, 3)
    for histogram, (_, counts) in zip(history.histograms["a"], rows, strict=True):
        assert histogram.counts.tolist() == counts["a"]
        assert histogram.counts.sum() == 500
        np.testing.assert_array_equal(histogram.edges, EDGES)


@pytest.mark.parametrize(
    "change",
    [{"epochs": np.array([2, 1, 3])}, {"edges": EDGES[:5]}, {"counts/a": np.zeros((2, 100))}],
)
def test_a_damaged_history_of_membranes_is_refused(change: dict[str, np.ndarray]) -> None:
    sound = MembraneHistory.of_counts([(e, {"a": [1] * 100}) for e in (1, 2, 3)])
    arrays = sound.to_arrays() | change
    with pytest.raises(LavasegError):
        MembraneHistory.from_arrays(arrays)


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["spikes", "rate-code", "activations", "predictions", "rates"])
def test_every_kind_is_drawn_of_a_net_file(
    kind: str, net_file: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.png"
    call = ["plot", kind, str(net_file), "-i", str(pictures), "-n", "2", "-o", str(out)]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    assert np.asarray(Image.open(out).convert("L")).std() > 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.net", "a.png", "pictures"]


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_the_same_figure_is_the_same_file(
    ending: str, net_file: Path, pictures: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / f"{k}.{ending}" for k in range(2)]
    for out in outs:
        lavaseg.plot("rates", net_file, out, inputs=str(pictures))
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert outs[0].stat().st_size > 1000


def test_events_are_drawn_too(tmp_path: Path) -> None:
    encoder = EventHistogram(3, sensor=(8, 12), slicing="count", size=40)
    integers = net(encoder=encoder, channels=2)
    figure = lavaseg.plot("spikes", integers, samples=2)
    assert len(figure.axes) > 4


def test_a_single_step_and_many_layers_are_drawn() -> None:
    shapes = {f"layer{k}": (3, 4, 6) for k in range(40)}
    spikes = {name: np.ones((1, 4, 6), int) for name in shapes}
    sample = plots.SpikeMaps("a", np.zeros((1, 8, 12), np.uint8), spikes, shapes)
    figure = plots.spike_maps([sample])
    assert len(figure.axes) == 40 * 3


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("nonsense", {}, "spikes, rate-code, activations"),
        (
            "spikes",
            {"layers": ["absent"]},
            "no layer 'absent' with spikes; it has input, near, far",
        ),
        ("spikes", {"layers": ["out"]}, "it has input, near, far"),
        ("membranes", {"layers": ["out"]}, "no layer 'out' that fires; it has near, far"),
        ("rate-code", {"layers": ["near"]}, "no layers to choose"),
        ("spikes", {"steps": (1, 2)}, "one number of steps"),
        ("rates", {"steps": 0}, "at least 1"),
        ("rates", {"auxiliary": True}, "predictions shows them"),
        ("predictions", {"auxiliary": True}, "no auxiliary read-outs"),
        ("membrane-epochs", {}, "no run folder"),
        ("rates", {"titles": ["a", "b"]}, "2 titles were given for 1"),
        ("rates", {"out": "a.gif"}, ".png, .svg, .pdf"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_file(
    kind: str, options: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LavasegError) as error:
        lavaseg.plot(kind, net(), **{"out": "a.png", **options})
    assert says in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_kind_of_one_source_refuses_two() -> None:
    with pytest.raises(LavasegError, match="one run, network or recording, got 2"):
        lavaseg.plot("spikes", [net(), net()])


def test_a_recording_has_its_own_steps_alone(pictures: Path) -> None:
    recorded = lavaseg.record(net(), stimuli(pictures))
    with pytest.raises(LavasegError, match="as they were recorded"):
        lavaseg.plot("predictions", recorded, steps=[2])
    with pytest.raises(LavasegError, match="no description"):
        lavaseg.plot("energy", recorded)


def test_no_file_is_overwritten_by_a_plot_that_fails(net_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    out.write_bytes(b"before")
    call = ["plot", "spikes", str(net_file), "--layers", "absent", "-o", str(out)]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 2
    assert "it has input, near, far" in result.output
    assert out.read_bytes() == b"before"


def test_the_command_lists_its_kinds() -> None:
    result = CliRunner().invoke(app, ["plot"])
    assert result.exit_code == 0
    for kind in KINDS:
        assert kind in result.output


# -- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two short epochs that keeps histograms of its membranes."""
    recipe = lavaseg.load_recipe(
        "demo",
        (
            "data.options={train: 16, test: 4}",
            "model.options={width: 2}",
            "encoder.steps=2",
            "training.epochs=2",
            "training.batch_size=8",
            "training.membrane_histograms=true",
            "training.schedule=constant",
        ),
    )
    return lavaseg.train(recipe, tmp_path_factory.mktemp("run") / "a", progress=False)


def test_histograms_of_epochs_count_every_membrane_and_change_nothing(
    trained: Run, tmp_path: Path
) -> None:
    history = trained.files.membranes.load()
    assert history.epochs == (1, 2)
    samples = min(8, len(trained.data.validation or ()))
    for population in trained.network.populations:
        if population.threshold is None:
            assert population.name not in history.histograms
            continue
        neurons = trained.network.neurons(population.name)
        for histogram in history.histograms[population.name]:
            assert histogram.counts.sum() == neurons * 2 * samples
    without = trained.recipe.training.model_copy(update={"membrane_histograms": False})
    plain = lavaseg.train(
        trained.recipe.model_copy(update={"training": without}), tmp_path / "b", progress=False
    )
    assert plain.files.weights.sha256() == trained.files.weights.sha256()
    assert not plain.files.membranes.exists()


def test_a_resumed_run_continues_its_histograms(trained: Run, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(trained.path, tmp_path / "c")
    longer = trained.recipe.training.model_copy(update={"epochs": 3})
    recipe = trained.recipe.model_copy(update={"training": longer})
    run = lavaseg.train(recipe, folder, resume=True, progress=False)
    history = run.files.membranes.load()
    before = trained.files.membranes.load()
    assert history.epochs == (1, 2, 3)
    for name, found in before.histograms.items():
        for a, b in zip(found, history.histograms[name], strict=False):
            np.testing.assert_array_equal(a.counts, b.counts)


def test_a_run_is_drawn_with_its_truth(trained: Run, tmp_path: Path) -> None:
    found = drawings.predicted(open_sources(trained), Ask(Wanted(samples=2)))
    assert found.truths is not None
    np.testing.assert_array_equal(found.truths[1], trained.data.test[1][1])
    for kind in ("membrane-epochs", "membranes", "energy", "spikes"):
        lavaseg.plot(kind, trained, tmp_path / f"{kind}.png", samples=1)


def test_an_artificial_network_has_activations_and_no_spikes(tmp_path: Path) -> None:
    recipe = lavaseg.load_recipe(
        "demo",
        (
            "data.options={train: 8, test: 2}",
            "model={name: ann_deeplab, options: {width: 2}}",
            "encoder.steps=1",
            "training.epochs=1",
        ),
    )
    run = lavaseg.train(recipe, tmp_path / "ann", progress=False)
    lavaseg.plot("activations", run, tmp_path / "a.png", samples=2)
    for kind in ("spikes", "rates", "rate-code", "membranes", "membrane-epochs"):
        with pytest.raises(LavasegError, match="artificial network, which has no spikes"):
            lavaseg.plot(kind, run)
    asked = dataclasses.replace(Ask(Wanted(samples=1)), steps=(2,))
    with pytest.raises(LavasegError, match="has no steps"):
        drawings.predicted(open_sources(run), asked)


def test_the_grey_frame_of_ddd17_is_found_beside_its_events(tmp_path: Path) -> None:
    part = ddd17.Exported(tmp_path, "test", (("rec1", 0, 5),), 1, (100, 173), per_column=False)
    assert part.grey(0) is None
    folder = tmp_path / "images" / "test"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((200, 346), 77, np.uint8)).save(folder / "rec1_export_5.png")
    found = part.grey(0)
    assert found is not None
    assert found.shape == (100, 173)
    assert (found == 77).all()
