"""Runs side by side: what differs, what is missing, what must not be compared."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from terminal_calls import ANSI
from typer.testing import CliRunner

import lavaseg
from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.report.comparing import compare
from lavaseg.report.comparing.fields import differing_fields
from lavaseg.report.comparing.naming import short_names
from lavaseg.report.comparing.page import class_order
from lavaseg.results.evaluation import Evaluation
from lavaseg.runs import Run

CLASSES = ("ground", "digit")


def network(classes: int, channels: int = 4) -> Network:
    return Network(
        Input("input", (3, 8, 8), message_bits=6),
        (Population("conv1", 40.0), Population("out", None)),
        (
            Projection("input", "conv1", Conv(channels, 3, padding=1)),
            Projection("conv1", "out", Conv(classes, 1)),
        ),
        "out",
    )


def evaluation(net: Network, classes: Sequence[str], right: int, samples: int = 10) -> Evaluation:
    count = len(classes)
    confusion = np.full((count, count), 1000 - right, np.int64)
    np.fill_diagonal(confusion, right)
    counts = {n: np.full(s, 7, np.int64) for n, s in net.shapes.items() if n != net.readout}
    return Evaluation(confusion, tuple(classes), counts, samples=samples, steps=4)


def make_run(
    folder: Path,
    *settings: str,
    trained: int | None = 900,
    exported: int | None = 880,
    classes: Sequence[str] = CLASSES,
    samples: int = 10,
    epochs: int = 12,
    recipe: str = "demo",
) -> Run:
    """A run's folder as the commands leave it, of a network whose weights say nothing."""
    described = network(len(classes))
    made = recipes.load(recipe, ["encoder={kind: direct, steps: 4, bits: 6}", *settings])
    run = Run(folder, made, described, tuple(classes), None, (3, 8, 8))
    run.save()
    run.files.history.save(
        [
            {"epoch": e, "loss": 1 / e, "val_miou": 0.8 - 0.3 / e, "seconds": 5.0}
            for e in range(1, epochs + 1)
        ]
    )
    if trained is None:
        return run
    shapes = {p.name: described.weight_shape(p) for p in described.projections}
    run.files.weights.save({name: np.zeros(shape or ()) for name, shape in shapes.items()})
    run.files.evaluation.save(evaluation(described, classes, trained, samples))
    if exported is not None:
        weights = {name: np.full(shape or (), 2, np.int16) for name, shape in shapes.items()}
        encoder = made.encoder_object
        whole = described.replace_nodes({"conv1": {"threshold": 40}})
        run.files.net.save(IntegerNetwork(whole, weights, encoder, tuple(classes)))
        run.files.net_evaluation.save(evaluation(described, classes, exported, samples))
    return run


PLANNED = recipes.load("demo").training.epochs


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plain, rmp and seed1, which differ in fields of their recipes."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "plain", epochs=PLANNED)
    make_run(folder / "rmp", "rmp.weight=0.5", trained=950, exported=940, epochs=PLANNED)
    make_run(folder / "seed1", "seed=1", trained=910, exported=None, epochs=PLANNED)
    return folder


def call(*words: object, columns: int | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `lavaseg compare`."""
    environment = {"COLUMNS": str(columns or 100)}
    if columns:
        environment |= {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    result = CliRunner().invoke(app, ["compare", *map(str, words)], env=environment)
    return result.exit_code, ANSI.sub("", result.stdout), ANSI.sub("", result.stderr)


class _Words(HTMLParser):
    """The text of a page, without its style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.within = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.within = tag

    def handle_data(self, data: str) -> None:
        if self.within != "style":
            self.found.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.found).split())


def test_each_run_stands_beside_the_first(three: Path) -> None:
    found = compare([three / "plain", three / "rmp", three / "seed1"])
    rows = {row["name"]: row for row in found.rows()}
    assert [row["number"] for row in rows.values()] == [1, 2, 3]
    assert rows["rmp"]["miou_integers"] == pytest.approx(940 / 1060)
    expected = 100 * (940 / 1060 - 880 / 1120)
    assert rows["rmp"]["against_first_integers"] == pytest.approx(expected)
    assert np.isnan(rows["plain"]["against_first_integers"])
    assert np.isnan(rows["seed1"]["against_first_integers"])  # it has no integers
    assert rows["seed1"]["against_first_trained"] > 0
    assert rows["rmp"]["synaptic_operations"] > 0
    assert rows["rmp"]["costs_of"] == "integers"
    assert rows["seed1"]["costs_of"] == "floats"
    assert rows["plain"]["training_seconds"] == pytest.approx(5 * PLANNED)
    assert rows["plain"]["parameters"] == 4 * 3 * 9 + 2 * 4


def test_a_field_that_is_empty_is_shown_as_an_empty_text() -> None:
    recipe = recipes.load("demo")
    begun = recipes.load("demo", ["init.weights=runs/a"])
    assert differing_fields([recipe, begun])["init.weights"] == ['""', "runs/a"]


def test_only_fields_that_differ_are_shown(three: Path) -> None:
    found = compare([three / "plain", three / "rmp", three / "seed1"])
    assert found.fields == {"seed": ["0", "0", "1"], "rmp.weight": ["0.0", "0.5", "0.0"]}
    assert compare([three / "plain"]).fields == {}


def test_what_is_missing_is_named_with_its_command(three: Path) -> None:
    found = compare([three / "plain", three / "seed1"])
    said = {(member.number, part.command) for member, part in found.missing}
    assert (2, f"lavaseg export {three / 'seed1'}") in said
    assert (1, f"lavaseg verify {three / 'plain'}") in said
    assert not any("evaluate" in command for _, command in said)
    code, out, _ = call(three / "plain", three / "seed1")
    assert code == 0
    assert f"lavaseg export {three / 'seed1'}" in out


def test_an_evaluation_of_older_weights_does_not_count(three: Path, tmp_path: Path) -> None:
    shutil.copytree(three / "plain", tmp_path / "again", copy_function=shutil.copy2)
    os.utime(tmp_path / "again" / "evaluation.json", (1, 1))
    (subject,) = compare([tmp_path / "again"]).subjects
    assert subject.trained is None
    (part,) = (p for p in subject.missing if "evaluation.json" in p.what)
    assert part.command == f"lavaseg evaluate {tmp_path / 'again'}"


def test_the_same_run_twice_is_shown_once_and_said_so(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(three)
    (tmp_path / "link").symlink_to(three / "plain")
    found = compare(["plain", three / "plain", tmp_path / "link", "plain/net.net", "rmp"])
    assert [s.title for s in found.subjects] == ["plain", "rmp"]
    assert sum("shown once" in note for note in found.notes) == 3


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        make_run(tmp_path / parent / "run", exported=None)
    make_run(tmp_path / "other", exported=None)
    found = compare([tmp_path / "a/run", tmp_path / "b/run", tmp_path / "other"])
    assert [s.title for s in found.subjects] == ["a/run", "b/run", "other"]
    assert short_names([Path("x/y/net.net"), Path("x/z/net.net")]) == ["y/net.net", "z/net.net"]


def test_a_run_in_training_is_shown_with_what_it_has(three: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "young", trained=None, epochs=2)
    found = compare([three / "plain", tmp_path / "young"])
    (remark,) = (r for r in found.remarks if r.startswith("#2"))
    assert f"2 of {PLANNED} epochs are trained" in remark
    assert "--resume" in remark
    assert found.rows()[1]["best_validation_miou"] == pytest.approx(0.65)
    assert "young" in found.to_html()


def test_a_training_that_stopped_early_has_come_to_its_end(tmp_path: Path) -> None:
    patient = make_run(tmp_path / "patient", "training={epochs: 9, early_stop: 2}", epochs=4)
    rows = patient.history()
    patient.files.history.save([{**row, "val_miou": 0.5} for row in rows])
    found = compare([tmp_path / "patient"])
    assert patient.finished
    assert not any("still in training" in remark for remark in found.remarks)
    assert found.rows()[0]["epochs"] == 4


def test_a_broken_run_does_not_keep_the_others_from_the_page(three: Path, tmp_path: Path) -> None:
    shutil.copytree(three / "rmp", tmp_path / "half")
    (tmp_path / "half" / "evaluation.json").write_text("{")
    shutil.copytree(three / "rmp", tmp_path / "whole")
    (tmp_path / "whole" / "network.json").write_text("{")
    (tmp_path / "torn.net").write_bytes(b"no HDF5")
    given = [three / "plain", tmp_path / "half", tmp_path / "whole", tmp_path / "torn.net"]
    found = compare(given)
    assert [s.title for s in found.subjects] == ["plain", "half"]
    assert found.rows()[1]["miou_integers"] > 0.8
    assert any("evaluation.json" in remark for remark in found.remarks)
    for name in ("network.json", "torn.net"):
        assert any(note.startswith("left out") and name in note for note in found.notes)
    with pytest.raises(LavasegError, match=r"network\.json"):
        compare([tmp_path / "whole"])


def test_what_is_no_run_is_a_mistake_of_the_call(three: Path, tmp_path: Path) -> None:
    for wrong, words in ((tmp_path / "no", "there is no run folder"), (tmp_path, "is not a run")):
        code, out, error = call(three / "plain", wrong)
        assert (code, out) == (2, "")
        assert words in error
    code, _, error = call(three / "plain", "-o", tmp_path / "a.txt")
    assert code == 2
    assert "must end in .html or .csv" in error
    code, _, error = call(three / "plain" / "net.net", "-o", three / "plain" / "net.net")
    assert code == 2


def test_runs_on_other_data_or_classes_are_not_subtracted(three: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "colours", classes=("ground", "odd", "even"))
    make_run(tmp_path / "else", recipe="mnist-cifar10")
    found = compare([three / "plain", three / "rmp", tmp_path / "colours", tmp_path / "else"])
    assert [[m.number for m in group.members] for group in found.groups] == [[1, 2], [3], [4]]
    rows = found.rows()
    assert np.isfinite(rows[1]["against_first_integers"])
    assert np.isnan([rows[2]["against_first_integers"], rows[3]["against_first_integers"]]).all()
    sentence = "#1, #2: digits-photos, 2 classes; #3: digits-photos, 3 classes"
    assert any(sentence in remark for remark in found.remarks)
    assert sentence in _Words(found.to_html()).text


def test_evaluations_of_other_samples_are_not_subtracted(three: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "few", samples=5)
    found = compare([three / "plain", tmp_path / "few"])
    assert np.isnan(found.rows()[1]["against_first_integers"])
    assert any("#2 was evaluated on 5 test samples and #1 on 10" in r for r in found.remarks)
    (group,) = found.groups
    _, iou, points = group.class_differences()
    np.testing.assert_allclose(iou, 880 / 1120)  # shown all the same
    assert np.isnan(points[:, 1]).all()


def test_iou_of_each_class_is_that_of_the_confusion_matrix_and_its_points_above_the_first(
    three: Path,
) -> None:
    (group,) = compare([three / "plain", three / "rmp"]).groups
    shown, iou, points = group.class_differences()
    assert [member.mark for member in shown] == ["#1", "#2"]
    # 880 and 940 of 1,000 pixels of either class are right, the others are the other class
    np.testing.assert_allclose(iou, [[880 / 1120, 940 / 1060]] * 2)
    np.testing.assert_allclose(points, [[0, 100 * (940 / 1060 - 880 / 1120)]] * 2)


def test_other_test_labels_are_said(three: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "small")
    found = run.files.net_evaluation.load()
    run.files.net_evaluation.save(
        Evaluation(found.confusion // 4, CLASSES, found.counts, found.samples, found.steps)
    )
    remarks = compare([three / "plain", tmp_path / "small"]).remarks
    assert any("not those of #1 pixel for pixel" in remark for remark in remarks)


def test_a_network_alone_is_compared_as_far_as_it_goes(three: Path, tmp_path: Path) -> None:
    shutil.copy2(three / "rmp" / "net.net", tmp_path / "alone.net")
    found = compare([three / "plain", tmp_path / "alone.net"])
    assert len(found.groups) == 1  # it has the classes of the run
    row = found.rows()[1]
    assert row["integers"] == 4 * 3 * 9 + 2 * 4
    assert row["steps"] == 4
    assert np.isnan(row["miou_integers"])
    (part,) = (part for member, part in found.missing if member.number == 2)
    assert part.command == f"lavaseg evaluate {tmp_path / 'alone.net'} --data NAME"
    net = lavaseg.read_net(tmp_path / "alone.net")
    assert compare([net, three / "plain"]).subjects[0].title == "network 1"


def test_the_page_holds_all_and_loads_nothing(three: Path) -> None:
    html = compare([three / "plain", three / "rmp", three / "seed1"]).to_html()
    text = _Words(html).text
    for words in (
        "Comparison of 3 runs",
        "rmp.weight",
        f"lavaseg export {three / 'seed1'}",
        "mIoU against synaptic operations",
        "Learning curves",
        "88.68 %",
        "+10.11",
    ):
        assert words in text, words
    assert html.count("<img") == 2
    assert "<script" not in html
    visible = re.sub(r'src="data:[^"]*"', "", html)
    assert not re.search(r"https?://|url\(|@import", visible)


def test_names_and_values_of_users_are_escaped(tmp_path: Path) -> None:
    evil = "<script>x"
    make_run(tmp_path / "a", classes=("ground", evil))
    make_run(tmp_path / evil, f"data.options.root='{evil}'", classes=("ground", evil))
    html = compare([tmp_path / "a", tmp_path / evil]).to_html()
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") >= 3


def test_csv_has_a_line_a_run_with_classes_and_fields(three: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    code, _, _ = call(three / "plain", three / "rmp", "-o", out, "-o", tmp_path / "page.html")
    assert code == 0
    assert (tmp_path / "page.html").stat().st_size > 10_000
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert [row["name"] for row in rows] == ["plain", "rmp"]
    assert float(rows[1]["iou_integers/digit"]) == pytest.approx(940 / 1060)
    assert rows[1]["recipe/rmp.weight"] == "0.5"
    assert rows[0]["against_first_integers"] == ""


def test_json_is_the_same_as_the_api(three: Path) -> None:
    code, out, _ = call(three / "plain", three / "rmp", "--json")
    assert code == 0
    found = json.loads(out)
    assert [row["name"] for row in found["runs"]] == ["plain", "rmp"]
    assert found["differing_fields"] == {"rmp.weight": ["0.0", "0.5"]}
    assert found["runs"][0]["against_first_integers"] is None


@pytest.mark.parametrize("count", [2, 12])
def test_the_table_is_readable_at_80_columns(count: int, tmp_path: Path) -> None:
    names = [f"deeplab-{'wide' if k % 2 else 'narrow'}-seed{k}" for k in range(count)]
    for number, name in enumerate(names):
        make_run(tmp_path / name, f"seed={number}", trained=900 + number)
    code, out, _ = call(*(tmp_path / name for name in names), columns=80)
    assert code == 0
    command = re.compile(r"`?lavaseg|/")  # of commands, paths are not broken
    lines = [line for line in out.splitlines() if not command.search(line)]
    assert max(map(len, lines)) <= 80
    for name in names:
        assert name in out
    assert f"{100 * 900 / 1100:.2f}%" in out
    assert all(f"#{number}" in out for number in range(1, count + 1))


def test_of_many_classes_those_that_differ_most_come_first() -> None:
    points = np.zeros((40, 2))
    points[7, 1], points[31, 1], points[3] = -20, 50, np.nan
    assert class_order(points)[:2] == [31, 7]
    assert class_order(points[:10]) == list(range(10))


def test_a_comparison_shows_itself_in_notebooks(three: Path) -> None:
    found = lavaseg.compare([Run.open(three / "plain"), three / "rmp"])
    assert repr(found) == "Comparison(plain, rmp)"
    assert "<table>" in found._repr_html_()
