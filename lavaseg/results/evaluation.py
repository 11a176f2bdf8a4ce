"""An evaluation: spikes and confusion matrix of a network over a data set, and its file."""

from __future__ import annotations

import base64
import json
import math
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import MOST_LEVELS
from lavaseg.results import metrics
from lavaseg.results.levels import LevelView
from lavaseg.system.faults import reading
from lavaseg.system.files import replacing
from lavaseg.system.plain import plain
from lavaseg.system.shown import html_table
from lavaseg.system.words import counted, percent

FOREGROUND_IOU = "foreground IoU, mean over pictures (RobRomijnders/segm)"
DICE_IOU = "IoU from Dice, mean over classes and pictures (MFS-Seg)"
"""Keys of these metrics in `Evaluation.comparison`."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Spikes of a network on a set of samples, and how well it labelled them.

    Args:
        confusion: int64 (K, K), rows truth, columns prediction.
        classes: class names.
        counts: for each population, the input included, the spikes of each neuron summed over
            steps and samples: int64 (C, H, W).
        samples: number of samples that were evaluated.
        steps: logical steps T of one inference.
        loss: mean loss of a sample, or None where it was not computed.
        seconds: wall time.
        comparison: other papers' metrics, under names that say which.
        noise: noise on the input, such as "gaussian:0.1, seed 0"; None: clean.
        at: where predictions and labels were compared: "network", at the size of the samples that
            the network sees, to which labels are resized; or "labels", at the size of the label
            files, to which read-outs are resized.
        view: which populations send integers; `counts` of an exported network has their slots.
    """

    confusion: np.ndarray
    classes: tuple[str, ...]
    counts: Mapping[str, np.ndarray]
    samples: int
    steps: int
    loss: float | None = None
    seconds: float = 0.0
    comparison: Mapping[str, float] = field(default_factory=dict)
    noise: str | None = None
    at: str = "network"
    view: LevelView = field(default_factory=LevelView)

    def __repr__(self) -> str:
        noise = f", {self.noise}" if self.noise else ""
        return (
            f"Evaluation(mIoU {percent(self.miou)}, {percent(self.accuracy)} of pixels right, "
            f"{counted(self.samples, 'sample')}, T = {self.steps}{noise})"
        )

    def _repr_html_(self) -> str:
        rows = (
            (name, percent(float(iou)), f"{int(pixels):,}")
            for name, iou, pixels in zip(self.classes, self.iou, self.confusion.sum(1), strict=True)
        )
        return html_table(repr(self), ["class", ">IoU", ">pixels"], rows)

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
        return metrics.iou(self.confusion)

    @property
    def miou(self) -> float:
        """Mean IoU of the data set, over the classes that occur."""
        return metrics.mean_iou(self.confusion)

    @property
    def accuracy(self) -> float:
        """Share of the pixels whose class is right."""
        return metrics.pixel_accuracy(self.confusion)

    def drop_from(self, clean: Evaluation) -> float:
        """(clean - this) / clean mIoU: the metric of Kim et al. 2022, figure 11; nan if clean is 0.

        Args:
            clean: the same network on the same samples without noise.
        """
        return (clean.miou - self.miou) / clean.miou if clean.miou else math.nan

    @cached_property
    def spikes(self) -> dict[str, np.ndarray]:
        """`counts` by population: of integer neurons the spikes of all slots."""
        return self.view.spikes(self.counts)

    @property
    def rates(self) -> dict[str, float]:
        """Spikes per neuron and inference (T steps), may exceed 1: R_s of Kim et al. 2022.

        By population, of integer neurons the sum of what they send.
        """
        return {
            name: float(count.sum() / (count.size * self.samples)) if self.samples else math.nan
            for name, count in self.spikes.items()
        }

    @property
    def rates_per_step(self) -> dict[str, float]:
        """Spikes per neuron and step, 0 .. 1; of integer neurons their mean level."""
        return {name: rate / self.steps for name, rate in self.rates.items()}

    @property
    def level_shares(self) -> dict[str, np.ndarray]:
        """The share of each level 0 .. D, of integer neurons of an exported network: (D + 1,)."""
        return self.view.shares(self.counts, self.samples, self.steps)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data for JSON, without `counts`; None where not finite."""
        rates, per_step, shares = self.rates, self.rates_per_step, self.level_shares
        return plain(
            {
                "samples": self.samples,
                "steps": self.steps,
                "miou": self.miou,
                "accuracy": self.accuracy,
                "iou": dict(zip(self.classes, self.iou, strict=True)),
                "classes": self.classes,
                "confusion": self.confusion,
                "loss": self.loss,
                "seconds": self.seconds,
                "comparison": self.comparison,
                "noise": self.noise,
                "at": self.at,
                "populations": {
                    name: {
                        "neurons": count.size,
                        "spikes": count.sum(),
                        "spikes_per_neuron_and_inference": rates[name],
                        "spikes_per_neuron_and_step": per_step[name],
                        **({"level_shares": shares[name]} if name in shares else {}),
                    }
                    for name, count in self.spikes.items()
                },
                "levels": self.view.to_dict(),
            }
        )

    def save(self, path: str | Path) -> None:
        """Writes `to_dict` and the spikes of each neuron as JSON, atomically.

        The latter ("counts": shape and zlib-compressed little-endian int64 in base64) are what
        the energy account needs, since neurons at an edge reach fewer synapses.

        Raises:
            LavasegError: the file cannot be written.
        """
        data = self.to_dict()
        data["counts"] = {name: _packed(count) for name, count in self.counts.items()}
        with replacing(path) as part:
            part.write_text(json.dumps(data, indent=1, allow_nan=False), "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """The evaluation that `save` wrote.

        Raises:
            LavasegError: no such file, or it is truncated or something else.
        """
        with reading(path, "is no evaluation that was saved here, or damaged"):
            data = json.loads(Path(path).read_text("utf-8"))
            found = cls(
                confusion=np.array(data["confusion"], np.int64),
                classes=tuple(data["classes"]),
                counts={name: _unpacked(packed) for name, packed in data["counts"].items()},
                samples=int(data["samples"]),
                steps=int(data["steps"]),
                loss=None if data["loss"] is None else float(data["loss"]),
                seconds=float(data["seconds"]),
                comparison={
                    k: math.nan if v is None else float(v) for k, v in data["comparison"].items()
                },
                noise=None if data.get("noise") is None else str(data["noise"]),
                at=str(data.get("at", "network")),
                view=LevelView.from_dict(data.get("levels", {})),
            )
            found._check_range("levels" in data)
            return found

    def _check_range(self, knows_levels: bool) -> None:
        """Refuse counts that no evaluation gives; a file may not say which levels there are."""
        if self.samples < 1 or self.steps < 1 or self.confusion.min(initial=0) < 0:
            raise LavasegError("it has counts below 0, or no samples")
        for name, count in self.counts.items():
            most = self.samples * self.steps
            levels = self.view.at_once(name) if knows_levels else MOST_LEVELS
            if count.min(initial=0) < 0 or count.max(initial=0) > levels * most:
                by = "" if levels == 1 else f" x {levels} levels"
                raise LavasegError(
                    f"spikes of {name!r} are beyond 0 to {levels * most} (samples x steps{by})"
                )


@dataclass
class Meter:
    """Adds up batches into an `Evaluation`.

    Args:
        classes: class names.
        steps: logical steps T.
        ignore_index: label that does not count, or None.
        noise, at, view: as of `Evaluation`.
    """

    classes: tuple[str, ...]
    steps: int
    ignore_index: int | None = None
    noise: str | None = None
    at: str = "network"
    view: LevelView = field(default_factory=LevelView)

    def __post_init__(self) -> None:
        self._confusion = np.zeros((len(self.classes),) * 2, np.int64)
        self._counts: dict[str, np.ndarray] = {}
        self._foreground: list[np.ndarray] = []
        self._dice: list[np.ndarray] = []
        self._samples = 0
        self._loss = 0.0
        self._loss_samples = 0

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
            loss: mean loss of the batch; that of one without a labelled pixel does not count.
        """
        self._confusion += metrics.confusion_matrix(
            prediction, label, len(self.classes), self.ignore_index
        )
        for name, count in counts.items():
            total = np.asarray(count).sum(0, dtype=np.int64)
            self._counts[name] = self._counts[name] + total if name in self._counts else total
        if len(self.classes) == 2 and self.ignore_index is None:
            self._foreground.append(metrics.foreground_iou_per_picture(prediction, label))
        self._dice.append(
            metrics.dice_iou_per_picture(prediction, label, len(self.classes), self.ignore_index)
        )
        if loss is not None and (self.ignore_index is None or (label != self.ignore_index).any()):
            self._loss += loss * len(label)
            self._loss_samples += len(label)
        self._samples += len(label)

    def result(self, seconds: float = 0.0) -> Evaluation:
        """The evaluation of all batches so far."""
        comparison = {}
        if self._samples:
            comparison[DICE_IOU] = float(np.concatenate(self._dice).mean())
        if self._foreground:
            with warnings.catch_warnings():  # nan where there is no foreground anywhere
                warnings.simplefilter("ignore", RuntimeWarning)
                comparison[FOREGROUND_IOU] = float(np.nanmean(np.concatenate(self._foreground)))
        return Evaluation(
            confusion=self._confusion.copy(),
            classes=self.classes,
            counts=dict(self._counts),
            samples=self._samples,
            steps=self.steps,
            loss=self._loss / self._loss_samples if self._loss_samples else None,
            seconds=seconds,
            comparison=comparison,
            noise=self.noise,
            at=self.at,
            view=self.view,
        )


def _packed(count: np.ndarray) -> dict[str, Any]:
    content = zlib.compress(np.ascontiguousarray(count, "<i8").tobytes())
    return {"shape": list(count.shape), "zlib": base64.b64encode(content).decode("ascii")}


def _unpacked(packed: Mapping[str, Any]) -> np.ndarray:
    shape = tuple(int(n) for n in packed["shape"])
    content = zlib.decompressobj().decompress(
        base64.b64decode(packed["zlib"]), 8 * math.prod(shape)
    )
    return np.frombuffer(content, "<i8").reshape(shape).astype(np.int64)
