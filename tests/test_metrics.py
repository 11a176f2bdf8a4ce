"""Metrics against examples by hand and against torchmetrics, and the saved evaluation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_jaccard_index,
)

from lavaseg.errors import LavasegError
from lavaseg.results import metrics
from lavaseg.results.evaluation import DICE_IOU, FOREGROUND_IOU, Evaluation, Meter
from lavaseg.training.loss import resize_logits

LABEL = np.array([[[0, 0, 1], [1, 2, 255]]], np.uint8)
PREDICTION = np.array([[[0, 1, 1], [1, 0, 2]]], np.uint8)


def test_confusion_and_iou_of_an_example_by_hand() -> None:
    confusion = metrics.confusion_matrix(PREDICTION, LABEL, 4, ignore_index=255)
    assert confusion.dtype == np.int64
    # rows truth, columns prediction
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    # class 3 occurs nowhere; class 2 occurs and is never found
    np.testing.assert_array_equal(metrics.iou(confusion), [1 / 3, 2 / 3, 0, math.nan])
    assert metrics.mean_iou(confusion) == pytest.approx(1 / 3)
    assert metrics.pixel_accuracy(confusion) == 3 / 5


def test_metrics_of_nothing_are_not_a_number() -> None:
    nothing = np.zeros((3, 3), np.int64)
    assert np.isnan(metrics.iou(nothing)).all()
    assert math.isnan(metrics.mean_iou(nothing))
    assert math.isnan(metrics.pixel_accuracy(nothing))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 7), st.integers(0, 2**32 - 1), st.booleans())
def test_confusion_and_iou_agree_with_torchmetrics(classes: int, seed: int, ignore: bool) -> None:
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, classes, (3, 4, 5)).astype(np.uint8)
    label = rng.integers(0, classes, (3, 4, 5)).astype(np.uint8)
    if ignore:
        label[rng.random(label.shape) < 0.3] = 255
    index = 255 if ignore else None
    ours = metrics.confusion_matrix(prediction, label, classes, index)
    tensors = torch.from_numpy(prediction).long(), torch.from_numpy(label).long()
    theirs = multiclass_confusion_matrix(*tensors, classes, ignore_index=index)
    np.testing.assert_array_equal(ours, theirs.numpy())
    jaccard = multiclass_jaccard_index(*tensors, classes, average="none", ignore_index=index)
    np.testing.assert_allclose(np.nan_to_num(metrics.iou(ours)), jaccard.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("prediction", "label", "ignore", "words"),
    [
        ([[0, 1]], [[0, 2]], None, "label 2 is no class: expected 0 to 1"),
        ([[0, 1]], [[0, 7]], 255, "label 7 .* or 255"),
        ([[0, 1]], [[0, -1]], None, "label -1"),
        ([[0, 2]], [[0, 1]], None, "prediction 2"),
        ([[0, 2]], [[0]], None, r"\(1, 2\) and label \(1, 1\)"),
    ],
)
def test_ids_that_are_no_class_are_refused(
    prediction: list[list[int]], label: list[list[int]], ignore: int | None, words: str
) -> None:
    with pytest.raises(LavasegError, match=words):
        metrics.confusion_matrix(np.array(prediction), np.array(label), 2, ignore)


def test_what_is_predicted_at_ignored_pixels_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    label = rng.choice([0, 1, 9], (2, 6, 6)).astype(np.uint8)
    first, second = (rng.integers(0, 2, label.shape).astype(np.uint8) for _ in range(2))
    second = np.where(label == 9, second, first)
    matrices = [metrics.confusion_matrix(p, label, 2, 9) for p in (first, second)]
    np.testing.assert_array_equal(*matrices)
    assert matrices[0].sum() == (label != 9).sum()


def test_foreground_iou_is_an_average_over_pictures() -> None:
    label = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 1]], [[0, 0, 0, 0]]])
    prediction = np.array([[[1, 0, 0, 0]], [[1, 1, 1, 1]], [[0, 0, 0, 0]]])
    per_picture = metrics.foreground_iou_per_picture(prediction, label)
    np.testing.assert_array_equal(per_picture, [1 / 2, 1 / 4, math.nan])
    # of the whole set it would be 2 / 6
    assert metrics.iou(metrics.confusion_matrix(prediction, label, 2))[1] == 2 / 6


def test_dice_iou_counts_a_class_that_is_nowhere_as_one() -> None:
    label = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 9]]])
    prediction = np.array([[[1, 0, 0, 0]], [[0, 0, 0, 2]]])
    per_picture = metrics.dice_iou_per_picture(prediction, label, 3, ignore_index=9)
    # IoU of each class by hand: 2/3, 1/2, nowhere; then 1, nowhere, and only where it is ignored
    np.testing.assert_allclose(per_picture, [(2 / 3 + 1 / 2 + 1) / 3, 1], atol=1e-5)
    confusion = metrics.confusion_matrix(prediction, label, 3, ignore_index=9)
    assert metrics.mean_iou(confusion) < per_picture.mean()


def test_resized_logits_are_exact_at_the_corners_and_linear_between() -> None:
    logits = np.array([[[[0.0, 3.0], [8.0, 11.0]]]], np.float32)
    expected = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])
    np.testing.assert_allclose(metrics.resize(logits, (3, 4))[0, 0], expected, rtol=1e-6)
    assert metrics.resize(logits, (2, 2)) is logits


sizes = st.tuples(*[st.just(1) | st.integers(1, 40)] * 2)


@settings(max_examples=200, deadline=None)
@given(before=sizes, after=sizes, scale=st.sampled_from([1.0, 1e-3, 2.0**23]), seed=st.integers(0))
def test_logits_are_resized_as_torch_resizes_them(
    before: tuple[int, int], after: tuple[int, int], scale: float, seed: int
) -> None:
    logits = scale * np.random.default_rng(seed).normal(size=(2, 3, *before)).astype(np.float32)
    logits = logits.astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(logits), after, mode="bilinear", align_corners=True
    )
    found = metrics.resize(logits, after)
    assert found.dtype == np.float32
    # two interpolations of a few roundings each
    atol = 4 * float(np.finfo(np.float32).eps) * float(np.abs(logits).max())
    np.testing.assert_allclose(found, theirs.numpy(), rtol=0, atol=atol)
    np.testing.assert_array_equal(metrics.predict(logits, before), logits.argmax(1))
    trained = resize_logits(torch.from_numpy(logits), after)
    np.testing.assert_array_equal(trained.numpy(), theirs.numpy())


@settings(max_examples=100, deadline=None)
@given(
    classes=st.integers(2, 21),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    ignored=st.sampled_from([None, 255, 0]),
    seed=st.integers(0),
)
def test_cross_entropy_is_that_of_torch(
    classes: int, scale: float, ignored: int | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(3, classes, 7, 6))).astype(np.float32)
    ids = [*range(classes), *([] if ignored is None else [ignored])]
    label = rng.choice(ids, (3, 7, 6)).astype(np.uint8)
    theirs = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits),
        torch.from_numpy(label).long(),
        ignore_index=-100 if ignored is None else ignored,
    )
    found = metrics.cross_entropy(logits, label, ignored)
    assert found == pytest.approx(float(theirs), rel=1e-6, abs=1e-6)


def test_cross_entropy_of_nothing_is_not_a_number_and_of_no_class_is_refused() -> None:
    logits, label = np.zeros((1, 2, 1, 2), np.float32), np.array([[[9, 9]]], np.uint8)
    assert math.isnan(metrics.cross_entropy(logits, label, 9))
    with pytest.raises(LavasegError, match="label 9 is no class: expected 0 to 1"):
        metrics.cross_entropy(logits, label)


def test_prediction_is_the_largest_logit_and_the_first_on_a_tie() -> None:
    logits = np.zeros((1, 3, 2, 2), np.int64)
    logits[0, 2, 0, 0] = 2**23 - 1
    logits[0, 1, 0, 0] = 2**23 - 2
    logits[0, :, 1, 1] = [-5, -3, -3]
    predicted = metrics.predict(logits, (2, 2))
    assert predicted.dtype == np.uint8
    assert predicted.tolist() == [[[2, 0], [0, 1]]]
    assert metrics.predict(logits, (5, 7)).shape == (1, 5, 7)


def two_batches() -> tuple[Meter, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    prediction, label = (rng.integers(0, 2, (5, 3, 4)).astype(np.uint8) for _ in range(2))
    counts = rng.integers(0, 9, (5, 2, 3, 4)).astype(np.uint16)
    meter = Meter(("background", "digit"), steps=8)
    for part, loss in ((slice(0, 4), 1.0), (slice(4, 5), 2.0)):
        meter.add(prediction[part], label[part], {"conv": counts[part]}, loss)
    return meter, prediction, label, counts


def test_batches_add_up_to_the_whole() -> None:
    meter, prediction, label, counts = two_batches()
    result = meter.result(seconds=1.5)
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(prediction, label, 2))
    np.testing.assert_array_equal(result.counts["conv"], counts.astype(np.int64).sum(0))
    assert (result.samples, result.steps, result.seconds) == (5, 8, 1.5)
    assert result.loss == pytest.approx((4 * 1.0 + 2.0) / 5)
    assert result.rates["conv"] == pytest.approx(counts.mean())
    assert result.rates_per_step["conv"] == pytest.approx(counts.mean() / 8)
    assert result.comparison == {
        FOREGROUND_IOU: pytest.approx(metrics.foreground_iou_per_picture(prediction, label).mean()),
        DICE_IOU: pytest.approx(metrics.dice_iou_per_picture(prediction, label, 2).mean()),
    }


def test_counts_of_16_bits_do_not_overflow_when_added() -> None:
    meter = Meter(("a", "b"), steps=65535)
    blank = np.zeros((3, 1, 1), np.uint8)
    for _ in range(2):
        meter.add(blank, blank, {"p": np.full((3, 1, 1, 1), 65535, np.uint16)})
    assert meter.result().counts["p"].item() == 6 * 65535
    assert meter.result().loss is None
    assert math.isnan(meter.result().comparison[FOREGROUND_IOU])


def test_an_evaluation_is_read_back_equal(tmp_path: Path) -> None:
    meter, *_ = two_batches()
    whole = meter.result()
    absent = Evaluation(np.diag([3, 0]), ("a", "b"), {"p": np.zeros((1, 2, 2), int)}, 1, 4)
    for kept in (whole, absent):
        path = tmp_path / "evaluation.json"
        kept.save(path)
        found = Evaluation.load(path)
        assert found.to_dict() == kept.to_dict()
        for name, count in kept.counts.items():
            assert found.counts[name].dtype == np.int64
            np.testing.assert_array_equal(found.counts[name], count)
    content = json.loads(path.read_text())
    assert content["iou"] == {"a": 1.0, "b": None}
    assert content["populations"]["p"]["spikes"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["evaluation.json"]


def test_a_confusion_matrix_of_another_size_is_refused() -> None:
    with pytest.raises(LavasegError, match="2 classes"):
        Evaluation(np.zeros((3, 3), int), ("a", "b"), {}, 1, 1)


@pytest.mark.parametrize("content", [None, "", "[]", '{"iou": {}}', "\x00", "{"])
def test_a_file_that_is_no_evaluation_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "evaluation.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LavasegError, match=r"evaluation\.json"):
        Evaluation.load(path)


def test_a_truncated_evaluation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    two_batches()[0].result().save(path)
    data = json.loads(path.read_text())
    data["counts"]["conv"]["zlib"] = data["counts"]["conv"]["zlib"][:8]
    path.write_text(json.dumps(data))
    with pytest.raises(LavasegError, match=r"evaluation\.json"):
        Evaluation.load(path)
