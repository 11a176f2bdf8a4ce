"""`lavaseg data`: what it lists, what it finds wrong, what it draws."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lavaseg.cli import app
from lavaseg.data import DATASETS
from lavaseg.data.pictures import write_label_map
from lavaseg.events import Events
from lavaseg.report import plots


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("LAVASEG_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """CamVid in SegNet's layout: 20 training pairs, 2 of val."""
    folder = tmp_path / "CamVid"
    for part, count in (("train", 20), ("val", 2)):
        (folder / part).mkdir(parents=True)
        (folder / f"{part}annot").mkdir()
        for k in range(count):
            picture = np.random.default_rng(k).integers(0, 256, (6, 8, 3), np.uint8)
            Image.fromarray(picture).save(folder / part / f"0001TP_{k:06}.png")
            ids = np.full((6, 8), 3, np.uint8)
            ids[0], ids[1, :4] = 11, 8
            write_label_map(ids, folder / f"{part}annot" / f"0001TP_{k:06}.png")
    return folder


def test_every_data_set_is_listed_with_what_it_is_and_what_it_lacks() -> None:
    result = call("data", "list", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert set(rows) == set(DATASETS)
    assert all(row["what"] for row in rows.values())
    assert rows["digits-photos"]["found"]
    assert not rows["voc"]["found"]
    assert "VOCtrainval_11-May-2012.tar" in rows["voc"]["where"]
    text = call("data", "list").stdout
    assert all(row["what"] in text for row in rows.values())


def test_a_sound_data_set_is_counted_and_drawn(camvid: Path, tmp_path: Path) -> None:
    result = call("data", "check", "camvid", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    parts = {part["part"]: part for part in found["parts"]}
    assert {name: part["samples"] for name, part in parts.items()} == {
        "train": 18,
        "validation": 2,
        "test": 2,
    }
    test = parts["test"]
    assert (test["pixels"][3], test["pixels"][8], test["ignored"]) == (2 * 36, 2 * 4, 2 * 8)
    assert (test["pictures"][3], test["pictures"][0]) == (2, 0)
    assert test["shapes"] == "3x6x8"
    with Image.open(tmp_path / "camvid.png") as sheet:
        assert sheet.size[0] > 400
    text = call("data", "check", "camvid", camvid, "-o", tmp_path / "other.png").stdout
    assert "90.00 % in 100.00 %" in text
    assert (tmp_path / "other.png").is_file()


def test_all_unsound_files_are_listed_and_the_rest_is_counted(camvid: Path) -> None:
    cut = camvid / "train" / "0001TP_000000.png"
    cut.write_bytes(cut.read_bytes()[:-60])
    write_label_map(np.full((6, 8), 12, np.uint8), camvid / "trainannot" / "0001TP_000003.png")
    write_label_map(np.zeros((6, 9), np.uint8), camvid / "trainannot" / "0001TP_000019.png")
    Image.new("RGB", (9, 6)).save(camvid / "val" / "0001TP_000001.png")
    result = call("data", "check", "camvid", camvid)
    assert result.exit_code == 2
    for words in (
        "0001TP_000000.png is truncated or damaged",
        "0001TP_000003.png has the label 12: expected 0 to 10, or 11 (ignored)",
        "0001TP_000019.png is 6 x 9",
        "0001TP_000001.png is 6 x 9 and its label map",
        "error: 4 samples cannot be used",
    ):
        assert words in result.stderr, words
    assert "train             18          2" in result.stdout
    assert Path("camvid.png").is_file()
    assert "Traceback" not in result.output


def test_a_label_that_is_no_class_is_found_whatever_the_loader_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lavaseg import data

    wrong = (np.zeros((3, 2, 2), np.uint8), np.full((2, 2), 7, np.uint8))
    flat = (np.zeros((3, 2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    made = data.DataSet("mine", [wrong, flat], [wrong], ("a", "b"))
    monkeypatch.setitem(DATASETS, "mine", "mine")
    monkeypatch.setitem(sys.modules, "lavaseg.data.mine", SimpleNamespace(load=lambda: made))
    result = call("data", "check", "mine")
    assert result.exit_code == 2
    assert "train 0: it has the label 7: expected 0 to 1" in result.stderr
    assert "train 1: its picture is (2, 2) and its label (2, 3)" in result.stderr
    assert not Path("mine.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "nothing"), "there is no data set 'nothing'"),
        (("check", "camvid", "/nowhere"), "CamVid not found in /nowhere"),
        (("check", "digits-photos", "--set", "train"), "expected field=value"),
        (("check", "digits-photos", "--set", "train=20", "-o", "a.jpg"), "must end in .png"),
        (("show", "digits-photos", 500), "test samples 0 to 499, got 500"),
        (("show", "digits-photos", 0, "--part", "dev"), "it has train, validation, test"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[object, ...], words: str) -> None:
    result = call("data", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_sample_is_drawn() -> None:
    result = call("data", "show", "digits-photos", 3, "--part", "validation", "-o", "s.png")
    assert result.exit_code == 0, result.output
    with Image.open("s.png") as image:
        assert len(set(image.convert("RGB").getdata())) > 100


def test_events_are_drawn_by_their_frame() -> None:
    time, column = np.array([0, 5]), np.array([1, 2])
    events = Events(time, column, column, np.array([True, False]), (4, 5), (0, 9))
    label = np.array([[0, 1, 255, 0, 0]] * 4, np.uint8)
    figure = plots.labelled([("one", events, label)], ["a", "b"], ignore_index=255)
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_array_equal(drawn, np.moveaxis(events.frame(), 0, -1))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["a", "b", "not counted"]
