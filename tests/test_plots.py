"""Figures draw their data, keep no global state, and refuse data that do not fit."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from lavaseg.errors import LavasegError
from lavaseg.report import plots


def drawn(figure: Figure) -> np.ndarray:
    """The figure's pixels, uint8 (height, width, 3)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60)
    return np.asarray(Image.open(buffer).convert("RGB"))


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    found = [t.get_text() for axes in figure.axes for t in axes.texts]
    for axes in figure.axes:
        found += [axes.get_title(loc="left"), axes.get_title(), axes.get_xlabel()]
        found += [axes.get_ylabel(), *(t.get_text() for t in axes.get_xticklabels())]
        found += [t.get_text() for t in axes.get_yticklabels()]
    for legend in figure.legends:
        found += [t.get_text() for t in legend.get_texts()]
    return "\n".join(found)


@pytest.mark.parametrize("count", [1, 2, 8, 11, 21, 150])
def test_class_colours_differ(count: int) -> None:
    colours = plots.class_colours([f"class {k}" for k in range(count)])
    assert len(set(colours)) == count
    assert plots.IGNORED not in colours


def test_first_class_colours_differ_to_colour_blind_eyes_in_lightness_or_blue() -> None:
    """Red-green blindness leaves lightness and blue-yellow contrast."""
    rgb = np.array([to_rgb(c) for c in plots.class_colours(["background", "a", "b", "c"])])
    light = rgb @ [0.2126, 0.7152, 0.0722]
    seen = np.stack([light, rgb[:, 2] - light], 1)
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distance[~np.eye(4, dtype=bool)].min() > 0.15


def test_pictures_are_drawn_in_the_colours_of_the_data_set() -> None:
    colours = np.array([[128, 128, 128], [128, 64, 128]], np.uint8)  # CamVid's sky and road
    pictures = np.zeros((1, 3, 4, 6), np.uint8)
    truths = np.repeat([[0, 0, 1, 1]], 6, 0).T[None]
    figure = plots.prediction_grid(pictures, truths, 1 - truths, ["sky", "road"], colours=colours)
    drawn = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert np.array_equal(drawn[1], colours[truths[0]])
    assert np.array_equal(drawn[2], colours[1 - truths[0]])
    (legend,) = figure.legends
    faces = [patch.get_facecolor()[:3] for patch in legend.get_patches()]
    assert np.array_equal(np.round(np.array(faces) * 255), colours)
    laid = plots.labelled([("a", pictures[0], truths[0])], ["sky", "road"], colours=colours)
    mixed = np.asarray(laid.axes[1].images[0].get_array())
    assert np.allclose(mixed, 0.65 * colours[truths[0]] / 255)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_prediction_grid_draws_pictures_of_any_channels(channels: int) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, channels, 8, 10)).astype(np.uint8)
    truths = rng.integers(0, 2, (3, 8, 10))
    figure = plots.prediction_grid(pictures, truths, truths, ["ground", "digit"])
    assert texts(figure).count("100.0 % right") == 3
    assert drawn(figure).std() > 10


def test_pixels_that_do_not_count_are_white_and_left_out_of_the_share() -> None:
    pictures = np.zeros((1, 1, 4, 4), np.uint8)
    truths, predictions = np.zeros((1, 4, 4), int), np.zeros((1, 4, 4), int)
    truths[0, :2] = 255
    predictions[0, :3] = 1
    figure = plots.prediction_grid(
        pictures, truths, predictions, ["ground", "digit"], ignore_index=255
    )
    assert "50.0 % right" in texts(figure)
    assert "not counted" in texts(figure)
    shown = figure.axes[1].images[0].get_array()
    assert (shown[:2] == 255).all()
    assert not (shown[2:] == 255).all()


def test_a_legend_of_many_classes_names_those_with_most_pixels() -> None:
    truths = np.arange(60).reshape(1, 6, 10)
    truths[0, :, :4] = 7
    figure = plots.prediction_grid(
        np.zeros((1, 3, 6, 10), np.uint8), truths, truths, [f"class {k}" for k in range(60)]
    )
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert len(named) == 31
    assert "class 7" in named
    assert named[-1] == "6 further classes"
    few = plots.prediction_grid(
        np.zeros((1, 3, 6, 10), np.uint8), truths % 13, truths % 13, [f"c{k}" for k in range(13)]
    )
    assert len(few.legends[0].get_texts()) == 13


def test_share_near_the_threshold_counts_parts_of_bins() -> None:
    histogram = plots.Histogram(np.array([0.0, 1.0, 2.0]), np.array([30, 10]))
    assert histogram.share(0.0, 2.0) == pytest.approx(100)
    assert histogram.share(0.9, 1.1) == pytest.approx(7.5 + 2.5)


def test_membranes_mark_the_threshold_and_overlay_the_comparison() -> None:
    edges = np.linspace(-1, 2, 31)
    one = plots.Histogram(edges, np.arange(30))
    other = plots.Histogram(edges, np.arange(30)[::-1])
    figure = plots.membrane_histograms(
        {"a": one, "b": one, "c": one, "d": one},
        {"without RMP": {"a": other}, "with half of it": {"a": one, "b": other}},
    )
    assert "threshold" in texts(figure)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == 4
    assert [len(axes.patches) for axes in panels] == [4, 3, 2, 2]
    assert "(lines: " in panels[0].get_title(loc="left")
    assert "(line: " in panels[1].get_title(loc="left")
    assert "(line" not in panels[2].get_title(loc="left")
    assert "without RMP" in texts(figure)
    assert "with half of it" in texts(figure)
    assert panels[0].lines[0].get_xdata()[0] == 1.0


def test_spike_rates_are_written_in_percent_from_input_to_readout() -> None:
    found = texts(plots.spike_rates({"input": 0.25, "conv1": 0.0123}))
    assert "25.00 %" in found
    assert "1.23 %" in found
    assert found.index("input") < found.index("conv1")


def test_the_scale_of_a_silent_layer_is_one_that_can_be_read() -> None:
    picture, spikes = np.zeros((1, 4, 6), np.uint8), np.zeros((2, 4, 6), int)
    sample = plots.SpikeMaps("a", picture, {"quiet": spikes}, {"quiet": (3, 4, 6)})
    bar = plots.spike_maps([sample]).axes[-1]
    assert bar.get_ylim() == (0, 1)


def test_confusion_rows_are_shares_of_the_true_class() -> None:
    figure = plots.confusion_matrix(np.array([[75, 25], [0, 12_345]]), ["a", "$b"])
    found = texts(figure)
    for text in ("75.0 %\n75", "25.0 %\n25", "100.0 %\n12.3k", "true class", "$b"):
        assert text in found
    drawn(figure)


def test_a_class_without_pixels_leaves_its_row_empty() -> None:
    figure = plots.confusion_matrix(np.array([[0, 0], [1, 3]]), ["a", "b"])
    assert len(figure.axes[0].texts) == 2
    assert drawn(figure).std() > 10


def test_many_classes_keep_only_the_diagonals_numbers() -> None:
    figure = plots.confusion_matrix(np.eye(21, dtype=int) * 9 + 1, [f"c{i}" for i in range(21)])
    assert len(figure.axes[0].texts) == 21


def test_training_curves_mark_the_epoch_that_was_kept() -> None:
    figure = plots.training_curves(
        {"training": {1: 0.9, 2: 0.4}}, {"validation": {1: 0.5, 2: 0.8}}, best=2
    )
    left, right = figure.axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), [50, 80])
    for axes in (left, right):
        assert axes.get_xlabel() == "epoch"
        assert axes.lines[-1].get_xdata()[0] == 2
        assert "kept: epoch 2" in [t.get_text() for t in axes.get_legend().get_texts()]
    assert drawn(figure).std() > 5


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.Histogram(np.arange(3), np.arange(3)),
        lambda: plots.Histogram(np.array([0, 2, 1]), np.arange(2)),
        lambda: plots.membrane_histograms({}),
        lambda: plots.spike_rates({}),
        lambda: plots.training_curves({}, {}),
        lambda: plots.confusion_matrix(np.eye(3), ["a", "b"]),
        lambda: plots.prediction_grid(
            np.zeros((0, 1, 2, 2), np.uint8), np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), ["a"]
        ),
    ],
)
def test_data_that_do_not_fit_are_refused(draw) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LavasegError):
        draw()


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, lavaseg.report.plots as p; p.spike_rates({'a': 0.1}).savefig('/dev/null', "
        "format='png'); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
