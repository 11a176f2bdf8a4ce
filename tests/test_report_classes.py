"""Pages of few and of many classes: confusion that can be read, a slider over T, file sizes."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import BROWSER, _chromium, _Page, histogram, network

from lavaseg.encoders import Direct, Frames
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.report import Examples, ReportData, plots, render
from lavaseg.report.confusion import matrix, worst_pairs
from lavaseg.report.drawings import LabelsOverSteps, labels_over_steps
from lavaseg.report.figures import figures
from lavaseg.report.plots import class_colours
from lavaseg.report.slider import BYTES, slider
from lavaseg.report.sources import NetSource, Wanted
from lavaseg.report.wording import format_short
from lavaseg.results import metrics
from lavaseg.results.evaluation import Evaluation

MEGABYTES_3 = 3_000_000


def confused(classes: int, seed: int = 0) -> np.ndarray:
    """A confusion matrix in which each class is taken for a few others."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(classes):
        shares = 0.5 * rng.dirichlet(np.full(classes, 0.03))
        shares[k] += 0.5
        rows.append(rng.multinomial(int(rng.integers(10, 100_000)), shares))
    return np.array(rows)


def over_steps(classes: int, steps: int, side: int = 96, seed: int = 0) -> LabelsOverSteps:
    """Four pictures of noise, whose labels become right step by step."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes, (4, side // 8, side // 8))
    truths = np.kron(blocks, np.ones((1, 8, 8), int)).astype(np.uint8)
    labels = [
        np.where(rng.random(truths.shape) < 0.5 / t, rng.integers(0, classes, truths.shape), truths)
        for t in range(1, steps + 1)
    ]
    pictures = rng.integers(0, 256, (4, 3, side, side)).astype(np.uint8)
    numbers = tuple(range(1, steps + 1))
    return LabelsOverSteps(pictures, truths, numbers, np.stack(labels).astype(np.uint8))


def of_classes(count: int) -> ReportData:
    """A report of `count` classes, its pictures and labels noise, which compresses badly."""
    net = Network(
        Input("picture", (3, 48, 48)),
        (*(Population(f"conv{k}", 96.0) for k in range(5)), Population("out", None)),
        tuple(
            Projection(a, b, Conv(count if b == "out" else 24, 3, padding=1))
            for a, b in itertools.pairwise(["picture", *(f"conv{k}" for k in range(5)), "out"])
        ),
        "out",
    )
    rng = np.random.default_rng(1)
    counts = {n: rng.binomial(80, 0.05, s) for n, s in net.shapes.items() if n != "out"}
    names = tuple(f"class of a long name {k}" for k in range(count))
    found = Evaluation(confused(count), names, counts, samples=20, steps=8)
    shown = over_steps(count, 8, side=160)
    return ReportData(
        title=f"{count} classes",
        network=net,
        classes=names,
        steps=8,
        trained=found,
        exported=found,
        examples=Examples(
            np.concatenate([shown.pictures] * 2),
            np.concatenate([shown.labels[0]] * 2),
            np.concatenate([shown.labels[-1]] * 2),
            "exported integer network",
        ),
        membranes={f"conv{k}": histogram(k, 0.5) for k in range(5)},
        over_steps=shown,
        history=[
            {"epoch": e, "loss": 1 / e, "val_loss": 1.1 / e, "val_miou": 0.9 - 0.3 / e}
            for e in range(1, 40)
        ],
        recipe="name: many\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "count", [2, *(pytest.param(k, marks=pytest.mark.full) for k in (21, 150)), 255]
)
def test_a_page_stays_below_3_megabytes_with_any_number_of_classes(count: int) -> None:
    html = render(of_classes(count))
    assert len(html.encode()) < MEGABYTES_3
    text = _Page(html).text
    assert "taken for" in text
    assert "Confusion matrix" in text


@pytest.mark.parametrize("count", [2, 3, 40])
def test_a_pair_costs_what_miou_gains_without_it(count: int) -> None:
    confusion = confused(count, seed=3)
    before = metrics.mean_iou(confusion)
    pairs = worst_pairs(confusion, most=count**2)
    assert sum(pair.pixels for pair in pairs) == confusion.sum() - np.trace(confusion)
    assert [p.cost for p in pairs] == sorted((p.cost for p in pairs), reverse=True)
    for pair in pairs[:: max(1, len(pairs) // 10)]:
        mended = confusion.copy()
        mended[pair.truth, pair.prediction] = 0
        mended[pair.truth, pair.truth] += pair.pixels
        assert pair.cost == pytest.approx(100 * (metrics.mean_iou(mended) - before), abs=1e-9)
        assert pair.share == pytest.approx(pair.pixels / confusion[pair.truth].sum())


def test_no_pair_is_worst_where_all_is_right() -> None:
    assert worst_pairs(np.diag([5, 0, 7])) == []


def test_a_small_matrix_is_numbers_in_the_order_of_classes() -> None:
    found = matrix(np.array([[75, 25], [0, 12_345]]), ["a", "$b"])
    assert found.names == ("a", "$b")
    assert [[c.share for c in row] for row in found.cells] == [
        ["75.0 %", "25.0 %"],
        ["0", "100.0 %"],
    ]
    assert found.cells[1][1].pixels == "12.3k"
    assert found.cells[0][0].deep
    assert not found.cells[0][1].deep
    middle = matrix(confused(21), [f"c{k}" for k in range(21)])
    assert len(middle.cells) == 21
    assert middle.picture == ""


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (9_999, "9999"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_999, "1M"),
        (161_049_600, "161M"),
        (999_999_999, "1G"),
        (1_048_576_000, "1.05G"),
    ],
)
def test_numbers_of_pixels_are_short_whatever_their_size(number: int, said: str) -> None:
    assert format_short(number) == said


def test_a_large_matrix_is_a_picture_that_begins_with_the_worst_class() -> None:
    confusion = confused(150)
    confusion[9] = 0
    confusion[:, 9] = 0  # a class that is nowhere
    names = [f"c{k}" for k in range(150)]
    found = matrix(confusion, names)
    assert found.cells == ()
    assert found.absent == 1
    iou = metrics.iou(confusion)
    assert found.names[0] == names[int(np.nanargmin(iou))]
    assert found.names[-1] == names[int(np.nanargmax(iou))]
    png = base64.b64decode(found.picture.partition(",")[2])
    alpha = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[..., 3]
    assert alpha.shape == (149, 149)
    last = int(np.nanargmax(iou))
    share = confusion[last, last] / confusion[last].sum()
    assert alpha[-1, -1] == round(255 * np.sqrt(share))


# --------------------------------------------------------------------------------------------
# The slider


def integers(encoder: Direct | Frames, sheet: tuple[int, int, int]) -> IntegerNetwork:
    net = Network(
        Input("input", sheet, message_bits=encoder.message_bits),
        (Population("conv1", 300, voltage_decay=512), Population("out", None, voltage_decay=128)),
        (
            Projection("input", "conv1", Conv(5, 3, padding=1)),
            Projection("conv1", "out", Conv(3, 1)),
        ),
        "out",
    )
    rng = np.random.default_rng(2)
    weights = {
        p.name: (2 * rng.integers(-25, 26, net.weight_shape(p))).astype(np.int16)
        for p in net.projections
    }
    return IntegerNetwork(net, weights, encoder, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("encoder", "sheet", "channels"),
    [(Direct(5, 4), (3, 6, 7), 3), (Frames(5, 3), (2, 6, 7), 10)],
    ids=["direct", "frames"],
)
def test_label_maps_are_those_of_the_read_out_after_each_step(
    encoder: Direct | Frames, sheet: tuple[int, int, int], channels: int, tmp_path: Path
) -> None:
    """Compared with the membranes that torch records of the same integers, step by step."""
    from lavaseg.deploy import record

    net = integers(encoder, sheet)
    rng = np.random.default_rng(4)
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", rng.integers(0, 256, (channels, 6, 7)).astype(np.uint8))
    found = labels_over_steps(NetSource(net), Wanted((str(tmp_path),), samples=2))
    assert found is not None
    assert found.steps == (1, 2, 3, 4, 5)
    stimuli = [np.load(tmp_path / f"{number}.npy") for number in range(2)]
    membranes = record(net, stimuli, layers=["out"])["out"].membranes
    assert membranes is not None
    np.testing.assert_array_equal(found.labels, membranes.argmax(2).swapaxes(0, 1))
    assert len({labels.tobytes() for labels in found.labels}) > 1


def test_a_network_of_one_step_has_no_slider() -> None:
    net = integers(Direct(1, 4), (3, 6, 7))
    assert labels_over_steps(NetSource(net), Wanted()) is None
    assert 'type="range"' not in render(ReportData("x", network(), ("a", "b"), steps=1))


def test_frames_hold_the_labels_in_the_colours_of_the_classes() -> None:
    found = over_steps(3, 4, side=16)
    made = slider(dataclasses.replace(found, ignore_index=2), class_colours("abc"))
    assert [f.said.split(":")[0] for f in made.frames][-1] == "after time step 4 of 4"
    png = base64.b64decode(made.frames[1].source.partition(",")[2])
    ids = np.asarray(Image.open(io.BytesIO(png)))
    np.testing.assert_array_equal(ids[:, :16], found.labels[1, 0])
    truth = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.truth.partition(",")[2]))))
    assert (truth[:, :16] == np.where(found.truths[0] == 2, 3, found.truths[0])).all()  # type: ignore[index]


def test_share_right_leaves_out_what_does_not_count() -> None:
    truths = np.array([[[0, 1], [1, 9]]], np.uint8)
    labels = np.array([[[[0, 0], [1, 1]]]], np.uint8)
    pictures = np.zeros((1, 1, 2, 2), np.uint8)
    found = LabelsOverSteps(pictures, truths, (1,), labels, ignore_index=9)
    assert found.share_right(0) == pytest.approx(2 / 3)
    assert dataclasses.replace(found, truths=None).share_right(0) is None


def test_frames_of_noise_stay_within_their_bytes() -> None:
    rng = np.random.default_rng(0)
    shape = (16, 4, 200, 300)
    labels = rng.integers(0, 255, shape).astype(np.uint8)
    pictures = np.zeros((4, 3, 200, 300), np.uint8)
    made = slider(LabelsOverSteps(pictures, None, tuple(range(1, 17)), labels), ["#336699"] * 255)
    sizes = [len(base64.b64decode(f.source.partition(",")[2])) for f in made.frames]
    assert sum(sizes) <= BYTES
    assert made.truth == ""


def test_the_one_script_of_a_page_is_allowed_by_its_hash_alone() -> None:
    data = ReportData("x", network(), ("a", "b"), steps=4, over_steps=over_steps(2, 4, side=16))
    html = render(data)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{known}'" in html.replace("&#39;", "'")
    assert "unsafe-inline'; script-src" in html.replace("&#39;", "'")
    page = _Page(html)
    (control,) = (attributes for _, attributes in page.tags if attributes.get("type") == "range")
    assert control["max"] == "3"
    assert ("label", {"for": "step"}) in page.tags
    assert len([a for _, a in page.tags if a.get("class") == "frame" and "hidden" not in a]) == 1


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")
def test_a_browser_moves_the_slider(tmp_path: Path) -> None:
    data = ReportData("x", network(), ("a", "b"), steps=4, over_steps=over_steps(2, 4, side=16))
    html = render(data)
    page = tmp_path / "page.html"
    page.write_text(html, "utf-8")
    dom = _chromium("--dump-dom", page.as_uri(), cwd=tmp_path)
    control = re.search(r'<input type="range"[^>]*>', dom)
    assert control is not None
    assert 'aria-valuetext="After time step 4 of 4' in control[0]  # so the script ran
    assert "hidden" not in control[0]
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


# --------------------------------------------------------------------------------------------
# Histograms


def test_outermost_bins_do_not_flatten_a_histogram() -> None:
    counts = np.full(20, 10)
    counts[0], counts[-1] = 5_000, 300
    one = plots.Histogram(np.linspace(-2, 3, 21), counts)
    figure = plots.membrane_histograms({"a": one})
    (axes,) = figure.axes
    inner = one.percent[1:-1].max()
    assert inner < axes.get_ylim()[1] < 1.5 * inner
    said = " ".join(text.get_text() for text in axes.texts)
    assert f"{one.percent[0]:.1f} %" in said
    assert f"{one.percent[-1]:.1f} %" in said
    plain = plots.Histogram(one.edges, np.full(20, 10))
    (axes,) = plots.membrane_histograms({"a": plain}).axes
    assert not axes.texts


def test_a_histogram_of_outermost_bins_alone_is_drawn_whole() -> None:
    counts = np.zeros(20, int)
    counts[0] = 7
    (axes,) = plots.membrane_histograms({"a": plots.Histogram(np.linspace(-2, 3, 21), counts)}).axes
    assert axes.get_ylim()[1] >= 100


def test_histograms_of_many_populations_are_dots() -> None:
    membranes = {f"p{k}": histogram(0, 0.5) for k in range(13)}
    drawn = figures(ReportData("x", network(), ("a", "b"), 4, membranes=membranes))
    assert drawn["membranes"].startswith("data:image/png")
