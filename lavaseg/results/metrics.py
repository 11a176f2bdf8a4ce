"""Metrics of segmentation: functions of confusion matrices, and of pictures and their labels.

The mIoU of this project is that of the confusion matrix of a whole data set, the ignore index
left out, averaged over the classes that occur (Kim et al. 2022 and most of the field). Averages
over pictures are other numbers; they are kept beside it, labelled, to compare with papers.
"""

from __future__ import annotations

import math

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Size


def confusion_matrix(
    prediction: np.ndarray, label: np.ndarray, classes: int, ignore_index: int | None = None
) -> np.ndarray:
    """Counts pixels by true and predicted class.

    Args:
        prediction, label: class ids, integers of the same shape.
        classes: number of classes K.
        ignore_index: pixels with this label are left out, whatever is predicted there.

    Returns:
        int64 (K, K): rows are the truth, columns the prediction.

    Raises:
        LavasegError: the shapes differ, or an id is no class.
    """
    prediction, label = np.asarray(prediction), np.asarray(label)
    if prediction.shape != label.shape:
        raise LavasegError(f"prediction {prediction.shape} and label {label.shape} must be equal")
    if ignore_index is not None:
        counted = label != ignore_index
        prediction, label = prediction[counted], label[counted]
    _check_ids("label", label, classes, ignore_index)
    _check_ids("prediction", prediction, classes)
    pairs = label.astype(np.int64).ravel() * classes + prediction.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def _check_ids(what: str, ids: np.ndarray, classes: int, ignore_index: int | None = None) -> None:
    strange = ids[(ids < 0) | (ids >= classes)]
    if strange.size:
        allowed = f"0 to {classes - 1}"
        if ignore_index is not None:
            allowed += f", or {ignore_index} (ignored)"
        elif what == "label":
            allowed += f"; ignore_index={strange.flat[0]} leaves such pixels out"
        raise LavasegError(f"{what} {strange.flat[0]} is no class: expected {allowed}")


def iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, float64 (K,): TP / (TP + FP + FN).

    nan where a class occurs neither in the truth nor in the prediction.
    """
    hit = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray) -> float:
    """Mean of `iou` over the classes that occur; nan if there are none."""
    values = iou(confusion)
    return float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else math.nan


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Share of the pixels whose class is right; nan if there are none."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else math.nan


def foreground_iou_per_picture(prediction: np.ndarray, label: np.ndarray) -> np.ndarray:
    """IoU of everything that is not class 0, in each picture (RobRomijnders/segm, util.calc_iou).

    Only for comparison with results on MNIST-CIFAR10-segmentation: its mean over pictures is not
    the IoU of the data set.

    Args:
        prediction, label: (N, height, width).

    Returns:
        float64 (N,); nan where neither shows any foreground.
    """
    predicted, true = (np.asarray(a).reshape(len(a), -1) != 0 for a in (prediction, label))
    union = (predicted | true).sum(1)
    hit = (predicted & true).sum(1).astype(np.float64)
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


def dice_iou_per_picture(
    prediction: np.ndarray, label: np.ndarray, classes: int, ignore_index: int | None = None
) -> np.ndarray:
    """IoU of each class from its Dice score in one picture, averaged over all classes.

    Only for comparison with Su et al. 2024 (MFS-Seg), whose published code averages this over
    pictures. It flatters: a class that is neither there nor predicted counts as 1. Their networks
    predict "unlabelled" as one more class, ours do not: ignored pixels are left out here.

    With D = (2 |P and T| + e) / (|P| + |T| + e) and e = 1e-6, the IoU is D / (2 - D).

    Args:
        prediction, label: class ids (N, height, width).

    Returns:
        float64 (N,).
    """
    count = len(label)
    predicted, true = (
        np.asarray(a).reshape(count, -1).astype(np.int64) for a in (prediction, label)
    )
    counted = np.ones(true.shape, bool) if ignore_index is None else true != ignore_index
    first = np.arange(count)[:, None] * classes

    def pixels(ids: np.ndarray, where: np.ndarray) -> np.ndarray:
        total = np.bincount((first + ids)[where], minlength=count * classes)
        return total.reshape(count, classes)

    hit = pixels(predicted, counted & (predicted == true))
    dice = (2 * hit + 1e-6) / (pixels(predicted, counted) + pixels(true, counted) + 1e-6)
    return (dice / (2 - dice)).mean(1)


def resize(logits: np.ndarray, size: Size) -> np.ndarray:
    """Logits at the size of the labels: bilinear, corners aligned, as Kim et al. 2022.

    Computed in float32, like `torch.nn.functional.interpolate(mode="bilinear",
    align_corners=True)`, but product by product: on every machine the same bits.

    Args:
        logits: (N, K, h, w).
        size: (height, width).

    Returns:
        float32 (N, K, height, width); the logits themselves if they are that already.
    """
    found = np.asarray(logits, np.float32)
    for axis, length in ((3, size[1]), (2, size[0])):
        if found.shape[axis] != length:
            found = _resize_axis(found, axis, length)
    return found


def resize_band(logits: np.ndarray, size: Size, first: int, stop: int) -> np.ndarray:
    """Rows `first` to `stop` (not included) of `resize`, bit for bit, without the others.

    Args:
        logits: (N, K, h, w).
        size: (height, width) of the whole.

    Returns:
        float32 (N, K, stop - first, width).
    """
    rows = logits.shape[2]
    if rows == size[0]:
        return resize(logits[:, :, first:stop], (stop - first, size[1]))
    low, high, _ = _places(rows, size[0], slice(first, stop))
    needed = logits[:, :, low[0] : high[-1] + 1]
    wide = resize(needed, (needed.shape[2], size[1]))
    return _resize_axis(wide, 2, size[0], slice(first, stop), rows)


def _places(before: int, length: int, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two neighbours of each new place, and the share of the second, float32."""
    step = np.float32(before - 1) / np.float32(max(length - 1, 1)) if length > 1 else np.float32(0)
    place = np.arange(length, dtype=np.float32)[part] * step
    low = np.minimum(place.astype(np.int64), before - 1)
    return low, np.minimum(low + 1, before - 1), place - low.astype(np.float32)


def _resize_axis(
    values: np.ndarray,
    axis: int,
    length: int,
    part: slice = slice(None),
    before: int | None = None,
) -> np.ndarray:
    """Linear interpolation of float32 `values` along one axis, its first and last kept in place.

    Args:
        part: the new places that are wanted.
        before: places along that axis, of which `values` then hold those that `part` needs.
    """
    low, high, shares = _places(before or values.shape[axis], length, part)
    start = low[0] if before else 0
    share = shares.reshape(-1, *(1,) * (values.ndim - 1 - axis))
    found = values.take(low - start, axis)
    found *= 1 - share
    above = values.take(high - start, axis)
    above *= share
    found += above
    return found


def predict(logits: np.ndarray, size: Size) -> np.ndarray:
    """The class of each pixel: `resize`, then the largest (the first on a tie).

    Args:
        logits: (N, K, h, w), for example a read-out in state units (below 2^24, so exact).
        size: (height, width).

    Returns:
        uint8 (N, height, width).
    """
    return resize(logits, size).argmax(1).astype(np.uint8)


def cross_entropy(logits: np.ndarray, label: np.ndarray, ignore_index: int | None = None) -> float:
    """Mean over pixels of -log softmax(logits)[label].

    Args:
        logits: float (N, K, height, width).
        label: class ids (N, height, width).
        ignore_index: pixels with this label are left out.

    Returns:
        nan if no pixel counts.

    Raises:
        LavasegError: a label is no class.
    """
    counted = np.ones(label.shape, bool) if ignore_index is None else label != ignore_index
    _check_ids("label", label[counted], logits.shape[1], ignore_index)
    if not counted.any():
        return math.nan
    true = np.where(counted, label, 0).astype(np.int64)[:, None]
    shifted = logits - logits.max(1, keepdims=True)
    chosen = np.take_along_axis(shifted, true, 1)[:, 0] - np.log(np.exp(shifted).sum(1))
    return float(-chosen[counted].mean(dtype=np.float64))
