"""What a network achieves: confusion matrix, IoU, spike rates, and the evaluation that holds them.

The mIoU of this project is that of the confusion matrix of a whole data set, the ignore index
left out, averaged over the classes that occur (Kim et al. 2022 and most of the field). Averages
over pictures are other numbers; they are kept beside it, labelled, to compare with papers.
"""

from __future__ import annotations

import base64
import json
import math
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax

from lavaseg.errors import LavasegError
from lavaseg.network import Size
from lavaseg.system.files import replacing

FOREGROUND_IOU = "foreground IoU, mean over pictures (RobRomijnders/segm)"
DICE_IOU = "IoU from Dice, mean over classes and pictures (MFS-Seg)"
"""Keys of these metrics in `Evaluation.comparison`."""


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
    """Part of the pixels whose class is right; nan if there are none."""
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


def _resize_axis(values: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Linear interpolation of float32 `values` along one axis, its first and last kept in place."""
    before = values.shape[axis]
    step = np.float32(before - 1) / np.float32(max(length - 1, 1)) if length > 1 else np.float32(0)
    place = np.arange(length, dtype=np.float32) * step
    low = np.minimum(place.astype(np.int64), before - 1)
    high = np.minimum(low + 1, before - 1)
    share = (place - low.astype(np.float32)).reshape(-1, *(1,) * (values.ndim - 1 - axis))
    found = values.take(low, axis)
    found *= 1 - share
    above = values.take(high, axis)
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
    chosen = np.take_along_axis(log_softmax(logits, axis=1), true, 1)[:, 0]
    return float(-chosen[counted].mean(dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network did on a set of samples, and how well.

    Args:
        confusion: int64 (K, K), rows truth, columns prediction.
        classes: class names.
        counts: for each population, the input included, the spikes of each neuron summed over
            steps and samples: int64 (C, H, W).
        samples: how many were evaluated.
        steps: logical steps T of one inference.
        loss: mean loss of a sample, or None where it was not computed.
        seconds: wall time.
        comparison: other papers' metrics, by a name that says which.
    """

    confusion: np.ndarray
    classes: tuple[str, ...]
    counts: Mapping[str, np.ndarray]
    samples: int
    steps: int
    loss: float | None = None
    seconds: float = 0.0
    comparison: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "confusion", np.asarray(self.confusion, np.int64))
        if self.confusion.shape != (len(self.classes),) * 2:
            raise LavasegError(
                f"a confusion matrix of {len(self.classes)} classes must be "
                f"{(len(self.classes),) * 2}, got {self.confusion.shape}"
            )

    @property
    def iou(self) -> np.ndarray:
        """IoU of each class, float64 (K,); nan for a class that does not occur."""
        return iou(self.confusion)

    @property
    def miou(self) -> float:
        """Mean IoU of the data set, over the classes that occur."""
        return mean_iou(self.confusion)

    @property
    def accuracy(self) -> float:
        """Part of the pixels whose class is right."""
        return pixel_accuracy(self.confusion)

    @property
    def rates(self) -> dict[str, float]:
        """Spikes per neuron and inference (T steps), may exceed 1: R_s of Kim et al. 2022."""
        return {
            name: float(count.sum() / (count.size * self.samples)) if self.samples else math.nan
            for name, count in self.counts.items()
        }

    @property
    def rates_per_step(self) -> dict[str, float]:
        """Spikes per neuron and step, 0 .. 1."""
        return {name: rate / self.steps for name, rate in self.rates.items()}

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data for JSON (None for what is not a number), without `counts`."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "miou": _plain(self.miou),
            "accuracy": _plain(self.accuracy),
            "iou": {
                name: _plain(value) for name, value in zip(self.classes, self.iou, strict=True)
            },
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "loss": None if self.loss is None else _plain(self.loss),
            "seconds": self.seconds,
            "comparison": {name: _plain(value) for name, value in self.comparison.items()},
            "populations": {
                name: {
                    "neurons": int(count.size),
                    "spikes": int(count.sum()),
                    "spikes_per_neuron_and_inference": _plain(self.rates[name]),
                    "spikes_per_neuron_and_step": _plain(self.rates_per_step[name]),
                }
                for name, count in self.counts.items()
            },
        }

    def save(self, path: str | Path) -> None:
        """Writes `to_dict` and the spikes of each neuron as JSON, atomically.

        The latter ("counts": shape and zlib-compressed little-endian int64 in base64) are what
        the energy account needs, since neurons at an edge reach fewer synapses.

        Raises:
            LavasegError: the file cannot be written.
        """
        data = self.to_dict()
        data["counts"] = {name: _pack(count) for name, count in self.counts.items()}
        with replacing(path) as part:
            part.write_text(json.dumps(data, indent=1, allow_nan=False), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """The evaluation that `save` wrote.

        Raises:
            LavasegError: no such file, or it is truncated or something else.
        """
        try:
            data = json.loads(Path(path).read_text("utf-8"))
            return cls(
                confusion=np.array(data["confusion"], np.int64),
                classes=tuple(data["classes"]),
                counts={name: _unpack(packed) for name, packed in data["counts"].items()},
                samples=int(data["samples"]),
                steps=int(data["steps"]),
                loss=None if data["loss"] is None else float(data["loss"]),
                seconds=float(data["seconds"]),
                comparison={k: math.nan if v is None else v for k, v in data["comparison"].items()},
            )
        except OSError as error:
            raise LavasegError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error, LavasegError) as error:
            raise LavasegError(f"{path} is no evaluation that was saved here: {error!r}") from None


@dataclass
class Meter:
    """Adds up batches into an `Evaluation`.

    Args:
        classes: class names.
        steps: logical steps T.
        ignore_index: label that does not count, or None.
    """

    classes: tuple[str, ...]
    steps: int
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        self._confusion = np.zeros((len(self.classes),) * 2, np.int64)
        self._counts: dict[str, np.ndarray] = {}
        self._foreground: list[np.ndarray] = []
        self._dice: list[np.ndarray] = []
        self._samples = 0
        self._loss = 0.0
        self._has_loss = False

    def add(
        self,
        prediction: np.ndarray,
        label: np.ndarray,
        counts: Mapping[str, np.ndarray],
        loss: float | None = None,
    ) -> None:
        """Adds a batch.

        Args:
            prediction, label: class ids (N, height, width).
            counts: spikes of each neuron over T steps, (N, C, H, W) for each population.
            loss: mean loss of the batch.
        """
        self._confusion += confusion_matrix(prediction, label, len(self.classes), self.ignore_index)
        for name, count in counts.items():
            total = np.asarray(count).sum(0, dtype=np.int64)
            self._counts[name] = self._counts[name] + total if name in self._counts else total
        if len(self.classes) == 2 and self.ignore_index is None:
            self._foreground.append(foreground_iou_per_picture(prediction, label))
        self._dice.append(
            dice_iou_per_picture(prediction, label, len(self.classes), self.ignore_index)
        )
        if loss is not None:
            self._loss += loss * len(label)
            self._has_loss = True
        self._samples += len(label)

    def result(self, seconds: float = 0.0) -> Evaluation:
        """The evaluation of all batches so far."""
        comparison = {}
        if self._samples:
            comparison[DICE_IOU] = float(np.concatenate(self._dice).mean())
        if self._foreground:
            with warnings.catch_warnings():  # no foreground anywhere: nan it is
                warnings.simplefilter("ignore", RuntimeWarning)
                comparison[FOREGROUND_IOU] = float(np.nanmean(np.concatenate(self._foreground)))
        return Evaluation(
            confusion=self._confusion.copy(),
            classes=self.classes,
            counts=dict(self._counts),
            samples=self._samples,
            steps=self.steps,
            loss=self._loss / self._samples if self._has_loss else None,
            seconds=seconds,
            comparison=comparison,
        )


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _pack(count: np.ndarray) -> dict[str, Any]:
    content = zlib.compress(np.ascontiguousarray(count, "<i8").tobytes())
    return {"shape": list(count.shape), "zlib": base64.b64encode(content).decode("ascii")}


def _unpack(packed: Mapping[str, Any]) -> np.ndarray:
    shape = tuple(int(n) for n in packed["shape"])
    content = zlib.decompressobj().decompress(
        base64.b64decode(packed["zlib"]), 8 * math.prod(shape)
    )
    return np.frombuffer(content, "<i8").reshape(shape).astype(np.int64)
