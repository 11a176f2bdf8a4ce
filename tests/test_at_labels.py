"""Evaluation at the size of the label files, and the float networks of runs on photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import lavaseg
from lavaseg.cli import app
from lavaseg.data.colours import class_colours, data_colours, is_background
from lavaseg.data.pictures import read_label_map, write_label_map
from lavaseg.data.split import Joined, Subset
from lavaseg.errors import LavasegError
from lavaseg.inference import evaluate_at_labels
from lavaseg.recipes import Choice
from lavaseg.report.wording import format_percent
from lavaseg.results.metrics import confusion_matrix

RNG = np.random.default_rng
COLOURS = {"road": [10, 20, 30], "car": "#800000"}


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> lavaseg.Run:
    """A run on photos of several sizes, which its network sees at 16 x 24."""
    folder = tmp_path_factory.mktemp("at labels")
    for number in range(14):
        rows, columns = 30 + number, 60 - number
        ids = (np.arange(columns)[None] + 2 * np.arange(rows)[:, None] > 60).astype(np.uint8)
        shown = 60 + 120 * ids[..., None] + RNG(number).integers(0, 60, (rows, columns, 3))
        for part in ("pictures", "labels"):
            (folder / "data" / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(shown.astype(np.uint8)).save(folder / f"data/pictures/{number}.jpg")
        table = np.array([(10, 20, 30), (128, 0, 0)], np.uint8)
        Image.fromarray(table[ids]).save(folder / f"data/labels/{number}.png")
    recipe = lavaseg.load_recipe(
        "demo",
        [
            "data.name=folder",
            f"data.options={json.dumps({'root': str(folder / 'data'), 'classes': COLOURS})}",
            "data.options.size=[16, 24]",
            "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 8]}",
            "training={epochs: 2, batch_size: 4}",
            "finetune.epochs=0",
        ],
    )
    made = lavaseg.train(recipe, folder / "run", progress=False)
    lavaseg.export_net(made)
    return made


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("backend", ["float", "simulator"])
def test_evaluation_at_labels_judges_what_predict_writes(run: lavaseg.Run, backend: str) -> None:
    found = evaluate_at_labels(run, backend=backend, progress=False)
    expected = np.zeros((2, 2), np.int64)
    predictor = lavaseg.Predictor(run, backend=backend)
    test = run.data.test
    files = [test.samples.files[n] for n in test.numbers]  # type: ignore[attr-defined]
    for number, (picture, _) in enumerate(files):
        label = test.own_label(number)  # type: ignore[attr-defined]
        prediction = predictor.predict(picture, number)
        assert prediction.labels.shape == label.shape == Image.open(picture).size[::-1]
        expected += confusion_matrix(prediction.labels, label, 2)
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.at == "labels"
    files_of = run.files
    kept = files_of.labels_evaluation if backend == "float" else files_of.net_labels_evaluation
    assert kept.current()
    assert kept.load().at == "labels"
    np.testing.assert_array_equal(kept.load().confusion, expected)


def test_both_sizes_agree_where_nothing_is_resized(run: lavaseg.Run) -> None:
    test = run.data.test
    whole = [test[k] for k in range(len(test))]  # at the network's size, without files
    at_labels = evaluate_at_labels(run.net(), whole, progress=False)
    at_network = lavaseg.evaluate_net(run.net(), whole, progress=False)
    np.testing.assert_array_equal(at_labels.confusion, at_network.confusion)
    assert at_labels.loss == pytest.approx(at_network.loss)
    for name, count in at_network.counts.items():
        np.testing.assert_array_equal(at_labels.counts[name], count)
    assert (at_labels.at, at_network.at) == ("labels", "network")
    with pytest.raises(LavasegError, match="has no data of its own"):
        evaluate_at_labels(run.net())


def test_the_command_says_where_it_compared_and_the_report_too(run: lavaseg.Run) -> None:
    net = run.files.net.path
    result = call("evaluate", net)
    assert "at the size of the samples" in result.stdout
    for target in (run.path, net):
        result = call("evaluate", target, "--at", "labels")
        assert result.exit_code == 0, result.output
        assert "at the size of the label files" in " ".join(result.stdout.split())
    assert json.loads(call("evaluate", net, "--at", "labels", "--json").stdout)["at"] == "labels"
    page = lavaseg.write_report(run).read_text("utf-8")
    assert "at the size that the network sees" in page
    miou = format_percent(run.files.net_labels_evaluation.load().miou)
    assert f"{miou} at the size of the label files" in page
    for words in (["--at", "photo"], ["--at", "labels", "--steps", "2"]):
        result = call("evaluate", net, *words)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: --at ")


def test_parts_of_data_keep_the_labels_of_their_files(run: lavaseg.Run) -> None:
    pairs = run.data.test.samples  # type: ignore[attr-defined]
    joined = Joined((Subset(pairs, np.array([3])), Subset(pairs, np.array([5, 1]))))
    for index, number in enumerate((3, 5, 1)):
        np.testing.assert_array_equal(joined.own_label(index), pairs.own_label(number))
        assert joined[index][1].shape == (16, 24)
    with pytest.raises(IndexError):
        joined.own_label(3)


def test_a_run_predicts_in_floats_unless_told_otherwise(run: lavaseg.Run, tmp_path: Path) -> None:
    photos = Path(run.recipe.data.options["root"]) / "pictures"
    found = json.loads(call("predict", run.path, photos, "-o", tmp_path / "a", "--json").stdout)
    assert (found["backend"], found["samples"]) == ("float", 14)
    assert found["colours"] == ["#0a141e", "#800000"]  # those of the data set's label maps
    words = ["predict", run.path, photos, "--backend", "simulator", "-o", tmp_path / "b"]
    integers = json.loads(call(*words, "--json").stdout)
    assert integers["spikes"]["input"] > 0
    same = json.loads(
        call("predict", run.files.net.path, photos, "-o", tmp_path / "c", "--json").stdout
    )
    assert same["spikes"] == integers["spikes"]
    for row, other in zip(integers["pictures"], same["pictures"], strict=True):
        np.testing.assert_array_equal(
            read_label_map(row["labels"]), read_label_map(other["labels"])
        )
        assert row["size"] == list(Image.open(row["input"]).size[::-1])


def test_a_run_that_is_not_exported_says_what_exports_it(run: lavaseg.Run, tmp_path: Path) -> None:
    other = lavaseg.Run(
        tmp_path / "run", run.recipe, run.model, run.classes, None, run.picture_shape
    )
    other.save()
    result = call("predict", other.path, tmp_path, "--backend", "lava")
    assert result.exit_code == 2
    assert "lavaseg export" in result.stderr
    result = call("predict", other.path, tmp_path)
    assert result.exit_code == 2
    assert "has no trained weights yet" in result.stderr


def test_colours_are_those_of_the_data_and_black_is_left_to_background() -> None:
    from lavaseg.data import camvid, voc

    def colours(name: str, names: tuple[str, ...], **options: object) -> np.ndarray:
        chosen = Choice(name=name, options=options)
        return class_colours(names, data_colours(chosen))

    found = colours("camvid", camvid.CLASSES)
    assert found[camvid.CLASSES.index("car")].tolist() == [64, 0, 128]
    assert found[0].tolist() == [128, 128, 128]
    found = colours("voc", voc.CLASSES)
    assert found[0].tolist() == [0, 0, 0]
    assert found[15].tolist() == [192, 128, 128]
    mapped = {"sky": [[1, 2, 3], [4, 5, 6]], "road": "#070809"}
    assert colours("folder", ("sky", "road"), classes=mapped).tolist() == [[1, 2, 3], [7, 8, 9]]
    for count in (2, 21, 150, 255):
        names = tuple(f"class {k}" for k in range(count))
        found = class_colours(names)
        assert found.any(1).all(), "black is for background alone"
        assert len(np.unique(found, axis=0)) == count
        assert not class_colours(("background", *names[1:]))[0].any()
    assert is_background(" Background")
    assert not is_background("sky")
    assert (class_colours(("sky", "road"), {"road": (0, 0, 0)})[1] == 0).all()


def label_file(samples: Joined, index: int) -> Path:
    for part in samples.parts:
        assert isinstance(part, Subset)
        if index < len(part):
            found: Path = part.samples.files[part.numbers[index]][1]  # type: ignore[attr-defined]
            return found
        index -= len(part)
    raise IndexError


def test_label_files_are_checked_at_their_own_size(tmp_path: Path) -> None:
    for part in ("labels", "pictures"):
        (tmp_path / part).mkdir()
    for number in range(4):
        write_label_map(np.full((9, 9), number, np.uint8), tmp_path / f"labels/{number}.png")
        Image.new("RGB", (9, 9)).save(tmp_path / f"pictures/{number}.png")
    data = lavaseg.load_data("folder", root=str(tmp_path), classes=3, size=4)
    every = Joined((data.train, data.test))
    (wrong,) = (k for k in range(4) if read_label_map(label_file(every, k)).max() == 3)
    with pytest.raises(LavasegError, match="has the label 3"):
        every.own_label(wrong)
    assert every.own_label((wrong + 1) % 4).shape == (9, 9)
