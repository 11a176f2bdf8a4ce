"""The report shows what a run achieved, says what is missing, escapes, and loads nothing."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavaseg import recipes
from lavaseg.chip import map_net, predict
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import unrolled
from lavaseg.network import Conv, Current, Dense, Input, Network, OneToOne, Population, Projection
from lavaseg.report import Examples, ReportData, render, write_report
from lavaseg.report.tables import class_rows
from lavaseg.report.tiles import tiles
from lavaseg.results.evaluation import Evaluation
from lavaseg.results.membranes import Histogram
from lavaseg.runs import Run

CLASSES = ("background", "digit")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def network(depth: int = 3, size: int = 12) -> Network:
    nodes = [Population(f"conv{i}", threshold=96.0) for i in range(depth)]
    nodes.append(Population("out", threshold=None))
    names = ["picture", *(node.name for node in nodes)]
    projections = [
        Projection(a, b, Conv(len(CLASSES) if b == "out" else 6, 3, padding=1))
        for a, b in itertools.pairwise(names)
    ]
    return Network(Input("picture", (3, size, size)), tuple(nodes), tuple(projections), "out")


def residual() -> Network:
    """A stream that adds up the picture and the spikes of a population."""
    return Network(
        Input("picture", (2, 4, 4)),
        (Population("a"), Current("sum"), Population("out", threshold=None)),
        (
            Projection("picture", "a", Conv(2, 1)),
            Projection("a", "sum", OneToOne()),
            Projection("picture", "sum", OneToOne()),
            Projection("sum", "out", Conv(2, 1)),
        ),
        "out",
    )


def evaluation(net: Network, right: int, seed: int = 0) -> Evaluation:
    """20 samples of 4 steps; `right` of 1000 pixels of each class are right."""
    rng = np.random.default_rng(seed)
    counts = {
        name: rng.binomial(80, 0.02 + 0.03 * index, shape)
        for index, (name, shape) in enumerate(net.shapes.items())
        if name != net.readout
    }
    confusion = np.array([[right, 1000 - right], [1000 - right, right]])
    return Evaluation(confusion, CLASSES, counts, samples=20, steps=4)


def histogram(seed: int, spread: float) -> Histogram:
    edges = np.linspace(-2, 3, 101)
    values = np.random.default_rng(seed).normal(0.3, spread, 20_000).clip(-2, 3)
    return Histogram(edges, np.histogram(values, edges)[0])


def complete() -> ReportData:
    net = network()
    rng = np.random.default_rng(0)
    truths = np.zeros((4, 12, 12), np.uint8)
    truths[:, 3:8, 4:9] = 1
    predictions = np.where(rng.random(truths.shape) < 0.04, 1 - truths, truths)
    pictures = rng.integers(0, 256, (4, 3, 12, 12)).astype(np.uint8)
    populations = [p.name for p in net.populations if p.threshold is not None]
    rows = [
        {
            "backend": backend,
            "population": p.name,
            "compared": 4 * 4 * net.neurons(p.name),
            "differing": 0,
            "spikes": 123,
        }
        for backend in ("torch", "lava-inprocess", "lava")
        for p in net.populations
    ]
    return ReportData(
        title="Digits on photographs",
        name="demo",
        network=net,
        classes=CLASSES,
        steps=4,
        paper="Kim et al. 2022",
        data_source="scikit-learn",
        encoder={"kind": "onoff_poisson", "steps": 4},
        parameters=net.parameter_count(4),
        trained=evaluation(net, 960),
        exported=evaluation(net, 955, seed=1),
        verification={"ok": True, "samples": 4, "rows": rows, "first_difference": None},
        examples=Examples(pictures, truths, predictions, "exported integer network"),
        membranes={name: histogram(i, 0.5) for i, name in enumerate(populations)},
        history=[
            {"epoch": e, "loss": 1 / e, "val_loss": 1.1 / e, "val_miou": 0.9 - 0.3 / e}
            for e in range(1, 9)
        ],
        recipe="name: demo\nseed: 0\n",
        environment={"Python": "3.11", "torch": "2.6"},
    )


@pytest.fixture(scope="module")
def html() -> str:
    """The page of `complete()`: drawing its figures takes a second."""
    return render(complete())


class _Page(HTMLParser):
    """Text, tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] and self.tags[-1][0] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_headline_tiles_hold_the_verdict(html: str) -> None:
    data = complete()
    assert data.exported is not None
    assert data.trained is not None
    text = _Page(html).text
    assert f"{100 * data.exported.miou:.1f} %" in text
    assert f"{100 * data.trained.miou:.1f} %" in text
    cost = 100 * (data.trained.miou - data.exported.miou)
    assert cost > 0
    assert f"{cost:.2f} points" in text
    assert "✓ identical" in text
    assert "times less than the ANN" in text


def test_the_exported_network_is_shown_on_the_cores_of_loihi(html: str) -> None:
    assert "No exported network yet" in _Page(html).text
    chip = map_net(network(), steps=4)
    page = _Page(render(dataclasses.replace(complete(), chip=chip)))
    assert chip.summary in page.text
    assert "not run on a chip" in page.text
    for layer in chip.layers:
        assert f"{layer.name}{'' if layer.tabled else '*'} " in page.text
        assert f"{layer.limiting} " in page.text
    pictures = [tag[1]["alt"] for tag in page.tags if tag[0] == "img"]
    assert any(alt is not None and alt.startswith("Cores of ") for alt in pictures)
    wide = Network(
        Input("picture", (2, 100, 100)),
        (Population("out", None),),
        (Projection("picture", "out", Dense(2)),),
        "out",
    )
    page = _Page(render(dataclasses.replace(complete(), chip=map_net(wide))))
    assert "Layer 'out' fits no core: AxonIn would be 20,000" in page.text


def test_time_and_energy_on_loihi_2_are_ranges_that_were_never_measured() -> None:
    net, steps = network(), 4
    counts = {name: np.full(shape, 2) for name, shape in net.shapes.items()}
    chip = map_net(net, steps=steps)
    prediction = predict(net, chip, counts, 1, steps)
    data = dataclasses.replace(complete(), chip=chip, prediction=prediction)
    page = _Page(render(data))
    assert prediction.step.seconds.in_words("s") in page.text
    assert prediction.joules.in_words("J") in page.text
    assert "never measured on a chip" in page.text
    assert "never measured" not in _Page(render(dataclasses.replace(data, prediction=None))).text


def test_every_layer_and_estimate_is_listed_with_its_source(html: str) -> None:
    data = complete()
    text = _Page(html).text
    for name, shape in data.network.shapes.items():
        assert f"{name} " in text
        assert " × ".join(map(str, shape)) in text
    assert data.energy is not None
    for estimate in data.estimates:
        assert estimate.title in text
        assert " ".join(estimate.definition.split()) in text
        assert estimate.source in text
    assert "estimates, not measurements" in text


def test_classes_have_the_colours_of_the_data_set() -> None:
    camvid = np.array([[128, 128, 128], [128, 64, 128]], np.uint8)
    data = ReportData("x", network(), ("sky", "road"), 4, colours=camvid)
    assert [row["colour"] for row in class_rows(data)] == ["#808080", "#804080"]


def test_a_run_has_the_colours_of_its_data_set() -> None:
    from lavaseg.data.camvid import CLASSES as NAMES

    recipe = recipes.load("camvid")
    run = Run(Path("run"), recipe, network(), NAMES, None, (3, 8, 8))
    assert run.colours[NAMES.index("sky")].tolist() == [128, 128, 128]
    assert run.colours[NAMES.index("road")].tolist() == [128, 64, 128]


def test_what_is_missing_is_said_with_its_remedy() -> None:
    bare = ReportData(title="Bare", network=network(), classes=CLASSES, steps=4)
    text = _Page(render(bare)).text
    for phrase in (
        "not verified",
        "lavaseg verify",
        "not evaluated yet",
        "No predictions yet",
        "No epoch has finished yet",
        "No energy account",
        "No membranes were recorded",
    ):
        assert phrase in text
    assert "identical" not in text


def test_a_difference_is_an_alarm_that_names_its_place() -> None:
    data = dataclasses.replace(complete(), membranes={}, history=(), examples=None)
    assert data.verification is not None
    rows = [{**data.verification["rows"][0], "differing": 7}, *data.verification["rows"][1:]]
    first = {"backend": "lava", "step": 3, "population": "conv1", "neuron": [2, 5, 7]}
    verification = {**data.verification, "ok": False, "rows": rows, "first_difference": first}
    text = _Page(render(dataclasses.replace(data, verification=verification))).text
    assert "✗ different" in text
    assert "7 differ" in text
    assert "population conv1" in text
    assert "neuron 2, 5, 7" in text
    assert "identical" not in text


def test_what_a_board_measured_stands_beside_the_verdict() -> None:
    profile = {
        "system": {"board": "ncl-og-01", "partition": None, "host": None, "generation": "N3B3"},
        "samples": 8, "steps": 5, "period": 8, "replayed": True, "extension": None,
        "idle": {"total_power": 1.0}, "power": {"total_power": 1.25, "vdd_power": 0.75},
        "time": {"execution_time_per_step": 25.0}, "activity": {"synaptic_operations": 123456},
        "derived": {"seconds_per_sample": 0.0002, "dynamic_power": None, "remark": "within noise"},
    }  # fmt: skip
    data = dataclasses.replace(complete(), membranes={}, history=(), examples=None)
    assert "Measured on Loihi 2" not in _Page(render(data)).text
    text = _Page(render(dataclasses.replace(data, board=profile))).text
    for words in (
        "ncl-og-01 (N3B3), 8 samples of 5 steps, filled up to 8 with silent ones, input replayed",
        "through an extension of Lava that names no version",
        "power of the board 1.25 W",
        "above the idle board meaningless",
        "time of a sample 0.2 ms",
        "synaptic operations of the run 123,456",
        "within noise",
    ):
        assert words in text


def test_the_chip_alone_counts_as_verified_on_lava() -> None:
    data = dataclasses.replace(complete(), membranes={}, history=(), examples=None)
    assert data.verification is not None
    rows = [{**data.verification["rows"][0], "backend": "loihi2"}]
    text = _Page(render(dataclasses.replace(data, verification={"ok": True, "rows": rows}))).text
    assert "✓ identical" in text


def test_torch_alone_does_not_count_as_verified_on_lava() -> None:
    data = dataclasses.replace(complete(), membranes={}, history=(), examples=None)
    assert data.verification is not None
    rows = [row for row in data.verification["rows"] if row["backend"] == "torch"]
    text = _Page(render(dataclasses.replace(data, verification={"ok": True, "rows": rows}))).text
    assert "compared: torch, not Lava" in text
    assert "✓ identical" not in text


def test_a_network_with_unspiking_currents_gets_no_invented_operations() -> None:
    net = residual()
    counts = {name: np.ones((2, 4, 4), np.int64) for name in ("picture", "a")}
    found = Evaluation(np.eye(2, dtype=int), CLASSES, counts, samples=1, steps=4)
    data = ReportData(title="x", network=net, classes=CLASSES, steps=4, trained=found)
    assert data.energy is None
    text = _Page(render(data)).text
    assert "synaptic operations (" not in text
    assert "Operations of each projection" not in text


def test_energy_by_papers_formulas_is_shown_where_operations_are_not_counted() -> None:
    net = residual()
    counts = {name: np.ones((2, 4, 4), np.int64) for name in ("picture", "a")}
    found = Evaluation(np.eye(2, dtype=int), CLASSES, counts, samples=1, steps=4)
    reason = "synaptic operations are not counted: pool2 sends sums"
    data = ReportData("x", net, CLASSES, 4, trained=found, uncounted=reason)
    text = _Page(render(data)).text
    assert "Synaptic operations are not counted: pool2 sends sums." in text
    assert [estimate.name for estimate in data.estimates] == ["kim", "mfs-seg", "ann"]
    for estimate in data.estimates:
        assert estimate.title in text
    (tile,) = (tile for tile in tiles(data) if tile.label.startswith("energy"))
    assert tile.value != "–"
    assert "Kim et al.'s formula" in tile.note


def test_an_exported_network_is_compared_with_the_network_as_described() -> None:
    """Unrolled, the stream's convolution exists once for each of its sources."""
    counts = {name: np.ones((2, 4, 4), np.int64) for name in ("picture", "a")}
    found = Evaluation(np.eye(2, dtype=int), CLASSES, counts, samples=1, steps=4)
    net = unrolled(residual())
    data = ReportData("x", net, CLASSES, 4, exported=found, described=residual())
    assert data.work is not None
    assert data.work.macs == 2 * (2 * 2 * 16)
    assert dataclasses.replace(data, described=None).work.macs == 3 * (2 * 2 * 16)  # type: ignore[union-attr]


def test_users_text_is_escaped() -> None:
    evil = "<script>alert('x')</script>"
    data = complete()
    assert data.trained is not None
    assert data.exported is not None
    classes = ("background", evil)
    html = render(
        dataclasses.replace(
            data,
            title=evil,
            recipe=evil,
            paper=evil,
            notes=[evil],
            classes=classes,
            trained=dataclasses.replace(data.trained, classes=classes),
            exported=dataclasses.replace(data.exported, classes=classes),
            environment={evil: evil},
        )
    )
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") >= 6


def test_the_page_requests_nothing_and_is_accessible(html: str) -> None:
    page = _Page(html)
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in html
    assert "@import" not in html
    visible = re.sub(r'src="data:[^"]*"', "", html)
    assert not re.search(r"https?://", visible)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4
    assert all(len(image.get("alt") or "") > 20 for image in images)
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    tables = [tag for tag, _ in page.tags if tag == "table"]
    assert len(tables) == [tag for tag, _ in page.tags].count("caption")


def _chromium(*arguments: str, cwd: Path) -> str:
    """Run the browser without network; its standard output."""
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--proxy-server=127.0.0.1:9",  # nothing listens there
        f"--user-data-dir={cwd / 'profile'}",
        *arguments,
    ]
    environment = {**os.environ, "HOME": str(cwd)}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
def test_a_browser_without_network_shows_the_page(html: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html, "utf-8")
    dom = _chromium("--dump-dom", page.as_uri(), cwd=tmp_path)
    text = _Page(dom).text
    for phrase in ("Digits on photographs", "✓ identical", "Membranes", "Horowitz"):
        assert phrase in text
    shot = tmp_path / "shot.png"
    _chromium(f"--screenshot={shot}", "--window-size=1200,4200", page.as_uri(), cwd=tmp_path)
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == 1200
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
    drawn = (pixels.max(axis=2).astype(int) - pixels.min(axis=2)) > 60
    assert drawn.mean() > 0.01  # colour of figures, not only text


# --------------------------------------------------------------------------------------------
# From a run's folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random weights, exported without fine-tuning, evaluated on four pictures."""
    from lavaseg import data, deploy, export, recipes
    from lavaseg.training import SpikingNetwork, preparing
    from lavaseg.training.weights import arrays_of, seed_weights

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    recipe = recipes.load(
        "demo",
        [
            "data.options={train: 6, test: 4}",
            "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 4], output_stride: 1, "
            "dilations: [1, 1, 2, 2, 1, 1, 1, 1]}",
            "encoder={kind: poisson, steps: 2}",
        ],
    )
    run = preparing.described(recipe, data.load("digits-photos", train=6, test=4), folder)
    run.save()
    seed_weights(0)
    run.files.weights.save(arrays_of(SpikingNetwork(run.network)))
    (folder / "metrics.csv").write_text("epoch,loss,val_loss,val_miou\n1,0.5,0.6,0.4\n")
    export.export(run, finetune=False, progress=False)
    deploy.evaluate(run, progress=False)
    return folder


def _open(folder: Path, tmp_path: Path) -> tuple[object, Path]:
    from lavaseg.runs import Run

    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    return Run.open(copy), copy


def test_write_report_shows_what_the_folder_holds(run_folder: Path, tmp_path: Path) -> None:
    run, folder = _open(run_folder, tmp_path)
    written = write_report(run)
    assert written == folder / "report.html"
    text = _Page(written.read_text("utf-8")).text
    assert "exported integer network, which Lava runs" in text
    assert "not verified" in text
    verdict = {"ok": True, "samples": 1, "rows": [], "first_difference": None}
    (folder / "verify.json").write_text(json.dumps(verdict))
    assert "✓ identical" not in _Page(write_report(run).read_text("utf-8")).text
    row = {"backend": "lava", "population": "out", "compared": 9, "differing": 0, "spikes": 0}
    verdict["rows"] = [row]
    (folder / "verify.json").write_text(json.dumps(verdict))
    other = tmp_path / "page.html"
    assert write_report(run, other) == other
    assert "✓ identical" in _Page(other.read_text("utf-8")).text


def test_predictions_on_the_page_are_those_that_were_evaluated(
    run_folder: Path, tmp_path: Path
) -> None:
    from lavaseg.report import collect
    from lavaseg.results.metrics import confusion_matrix

    run, _ = _open(run_folder, tmp_path)
    data = collect(run)
    assert data.examples is not None
    assert data.exported is not None
    shown = confusion_matrix(data.examples.predictions, data.examples.truths, 2)
    np.testing.assert_array_equal(shown, data.exported.confusion)
    spiking = {p.name for p in run.network.populations if p.threshold is not None}
    assert set(data.membranes) == spiking


def test_results_of_an_older_network_are_left_out_and_said_so(
    run_folder: Path, tmp_path: Path
) -> None:
    run, folder = _open(run_folder, tmp_path)
    os.utime(folder / "evaluation-net.json", (1, 1))
    text = _Page(write_report(run).read_text("utf-8")).text
    assert "evaluation-net.json is older than net.net and was left out" in text


def test_a_damaged_verdict_is_named(run_folder: Path, tmp_path: Path) -> None:
    run, folder = _open(run_folder, tmp_path)
    (folder / "verify.json").write_text("{")
    with pytest.raises(LavasegError, match=r"verify\.json is no verdict"):
        write_report(run)
    assert not (folder / "report.html").exists()


def test_a_page_that_cannot_be_written_is_one_error(run_folder: Path, tmp_path: Path) -> None:
    run, _ = _open(run_folder, tmp_path)
    with pytest.raises(LavasegError, match="cannot be written"):
        write_report(run, tmp_path / "nowhere" / "report.html")


def test_the_account_and_the_figures_need_no_torch() -> None:
    code = (
        "import sys, lavaseg.results.energy, lavaseg.report.plots; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_operations_of_a_residual_stream_are_counted_in_the_network_without_it() -> None:
    from lavaseg.export.lowering import countable

    net = residual()
    counts = {name: np.ones(net.shape(name), np.int64) for name in ("picture", "a", "out")}
    found = Evaluation(np.eye(2, dtype=int), CLASSES, counts, samples=1, steps=4)
    counted, reason = countable(net, counts)
    assert reason == ""
    data = ReportData("x", net, CLASSES, 4, trained=found, counted=counted)
    assert data.energy is not None
    assert data.energy.operations_into("out") == 2 * 2 * 2 * 16  # two sources, 1x1, two channels
    assert "No energy account" not in _Page(render(data)).text


def test_the_page_says_why_operations_are_not_counted() -> None:
    reason = "synaptic operations are not counted: pool2 sends sums"
    data = dataclasses.replace(complete(), network=residual(), uncounted=reason, membranes={})
    data = dataclasses.replace(data, trained=None, exported=None, verification=None)
    text = _Page(render(data)).text
    assert "Synaptic operations are not counted: pool2 sends sums." in text
    assert "No energy account" not in text


def test_an_exported_and_evaluated_run_has_its_page_without_torch_and_lava(
    run_folder: Path, tmp_path: Path
) -> None:
    _, folder = _open(run_folder, tmp_path)
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "lightning", "lava"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import lavaseg

lavaseg.write_report(lavaseg.Run.open(sys.argv[1]))
"""
    subprocess.run([sys.executable, "-c", code, folder], check=True)
    text = _Page((folder / "report.html").read_text("utf-8")).text
    assert "exported integer network, which Lava runs" in text
    assert "counted exactly from measured spikes" in text
    assert "no membranes: torch is not installed" in text
    assert "pip install 'lavaseg[train]'" in text
