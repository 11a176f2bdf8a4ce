"""Metrics of segmentation: functions of confusion matrices, and of pictures and their labels.

The mIoU of this project is that of the confusion matrix of a whole data set, the ignore index
left out, averaged over the classes that occur (Kim et al. 2022 and most of the field). Averages
over pictures are other numbers; they are kept beside it, labelled, to compare with papers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Size

if TYPE_CHECKING:
    import torch


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
    for what, ids in (("label", label), ("prediction", prediction)):
        strange = ids[(ids < 0) | (ids >= classes)]
        if strange.size:
            allowed = f"0 to {classes - 1}"
            if what == "label" and ignore_index is not None:
                allowed += f", or {ignore_index} (ignored)"
            raise LavasegError(f"{what} {strange.flat[0]} is no class: expected {allowed}")
    pairs = label.astype(np.int64).ravel() * classes + prediction.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.int64)


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


def resize_logits(logits: torch.Tensor, size: Size) -> torch.Tensor:
    """Logits at the size of the labels: bilinear with align_corners=True, as Kim et al. 2022.

    Differentiable; left alone if they have that size.

    Args:
        logits: float (N, K, h, w).
        size: (height, width).
    """
    from torch.nn import functional

    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return functional.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=True)


def predict(logits: np.ndarray | torch.Tensor, size: Size) -> np.ndarray:
    """The class of each pixel: `resize_logits` in float32, then the largest (the first on a tie).

    Args:
        logits: (N, K, h, w), for example a read-out in state units (below 2^24, so exact).
        size: (height, width).

    Returns:
        uint8 (N, height, width).
    """
    import torch

    values = torch.as_tensor(logits).detach().to("cpu", torch.float32)
    return resize_logits(values, size).numpy().argmax(1).astype(np.uint8)
