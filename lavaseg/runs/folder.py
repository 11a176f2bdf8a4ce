"""The folder of a run: all artefacts that may lie in it, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavaseg.runs.artefacts import Artefact, Kind
from lavaseg.runs.formats import (
    ARRAYS,
    BOARD,
    EVALUATION,
    FOLDER,
    JSON,
    MEMBRANES,
    NET,
    PAGE,
    RECIPE,
    TABLE,
    VERDICT,
)


@dataclass(frozen=True)
class RunFolder:
    """A folder that is or will be that of a run: `folder.net.path`, `folder.net.load()`.

    An artefact that is not there has a path, too, so that whoever writes it need not know its name.

    Args:
        path: the folder, which need not exist.
    """

    path: Path

    recipe = Kind(
        "recipe.yaml",
        "every field of the recipe, defaults and `--set` included",
        RECIPE,
        written_by=("train", "convert"),
    )
    description = Kind(
        "network.json",
        "description, class names, ignore index, picture shape",
        JSON,
        written_by=("train", "convert"),
    )
    begun = Kind(
        "init.json",
        "which weights it began with: their file with a hash, layers taken, new, unused and frozen",
        JSON,
        written_by=("train",),
    )
    history = Kind(
        "metrics.csv",
        "one row an epoch: losses, validation mIoU, spike rates, operations, energy",
        TABLE,
        written_by=("train",),
    )
    membranes = Kind(
        "membranes.safetensors",
        "histograms of the membranes of each population by epoch, if the recipe asks for them",
        MEMBRANES,
        written_by=("train",),
    )
    weights = Kind(
        "model.safetensors",
        "float weights of the best validation epoch, or those that `convert` made of them",
        ARRAYS,
        written_by=("train", "convert"),
    )
    conversion = Kind(
        "conversion.json",
        "the artificial run, a hash of its weights, rule, steps, reset, encoder, samples, scales",
        JSON,
        written_by=("convert",),
    )
    surroundings = Kind(
        "surroundings.json",
        "versions, threads and device that it was last trained with",
        JSON,
        written_by=("train",),
    )
    checkpoints = Kind(
        "checkpoints/",
        "the last epoch and the one before, for `--resume`: weights, optimiser, history",
        FOLDER,
        written_by=("train", "export"),
    )
    curves = Kind(
        "tensorboard/",
        "for TensorBoard: rows of the tables, learning rate, IoU by class, pictures, membranes",
        FOLDER,
        written_by=("train", "export"),
    )
    evaluation = Kind(
        "evaluation.json",
        "the float network on the whole test set",
        EVALUATION,
        written_by=("evaluate", "demo"),
        made_from=(weights,),
    )
    calibration = Kind(
        "calibration.json",
        "scales measured on training pictures, what they clip, weights that are rounded by them, a "
        "hash of the float weights",
        JSON,
        written_by=("export",),
        made_from=(weights,),
    )
    tuning_history = Kind(
        "finetune.csv",
        "one row an epoch of fine-tuning",
        TABLE,
        written_by=("export",),
    )
    tuning = Kind(
        "finetuned.json",
        "what fine-tuning started from: a hash of the float weights, settings, scales",
        JSON,
        written_by=("export",),
    )
    tuned_weights = Kind(
        "finetuned.safetensors",
        "weights of the best epoch of fine-tuning, or those it began with, not rounded yet",
        ARRAYS,
        written_by=("export",),
        made_from=(weights,),
        hashes=tuning,
    )
    net = Kind(
        "net.net",
        "the integer network",
        NET,
        written_by=("export",),
        made_from=(weights,),
    )
    verdict = Kind(
        "verify.json",
        "the verdict: how many values differed, for each population and backend",
        VERDICT,
        written_by=("verify", "demo"),
        made_from=(net,),
    )
    net_evaluation = Kind(
        "evaluation-net.json",
        "the integer network on the whole test set",
        EVALUATION,
        written_by=("evaluate", "demo"),
        made_from=(net,),
    )
    labels_evaluation = Kind(
        "evaluation-labels.json",
        "the float network on the whole test set, at the size of the label files",
        EVALUATION,
        written_by=("evaluate",),
        made_from=(weights,),
    )
    net_labels_evaluation = Kind(
        "evaluation-net-labels.json",
        "the integer network on the whole test set, at the size of the label files",
        EVALUATION,
        written_by=("evaluate",),
        made_from=(net,),
    )
    chip_profile = Kind(
        "loihi2.json",
        "what a board with Loihi 2 measured: lags, power, time, activity, memory",
        BOARD,
        written_by=("run", "collect"),
        made_from=(net,),
    )
    report = Kind(
        "report.html",
        "the page",
        PAGE,
        written_by=("report", "demo"),
        made_from=(
            weights,
            evaluation,
            net,
            verdict,
            net_evaluation,
            labels_evaluation,
            net_labels_evaluation,
            chip_profile,
        ),
    )

    drawing = Kind(
        "network.svg",
        "the float network as a drawing",
        PAGE,
        written_by=("show",),
        made_from=(description,),
    )
    animation = Kind(
        "spikes.html",
        "the spikes of every layer for one picture, step by step",
        PAGE,
        written_by=("show",),
        made_from=(weights, net),
    )

    def besides(self, own: Artefact[Any]) -> list[Path]:
        """Paths of all that the folder may hold, but one."""
        return [self.path / kind.file for kind in self.kinds() if kind != own.kind]

    @classmethod
    def kinds(cls) -> tuple[Kind[Any], ...]:
        """Every artefact that a run may have, in the order in which they come to be."""
        return tuple(value for value in vars(cls).values() if isinstance(value, Kind))
