"""The files of a run folder as kinds of files, read by what reads a whole run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from _file_kinds import Kind
from _hostile import json_bombs

import lavaseg
from lavaseg import recipes
from lavaseg.export import export
from lavaseg.kernels.devices_torch import devices_of
from lavaseg.report import write_report
from lavaseg.runs import Run, RunFolder
from lavaseg.training import train
from lavaseg.training.fit import going_on
from lavaseg.training.resuming import note_surroundings

FIELDS = (
    "data.options={train: 40, test: 10}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
    "encoder={kind: direct, steps: 2}",
    "training={epochs: 2, batch_size: 10}",
    "finetune.epochs=1",
)
"""The demo at toy size."""


@cache
def finished(folder: Path) -> Path:
    """A run in `folder` with every file that a run may have, but for a conversion.

    Its data set is afterwards said to lie where nothing is, so that a report of it draws no
    pictures and is quick.
    """
    if not (folder / "report.html").exists():
        run = train(recipes.load("demo", FIELDS), folder, progress=False)
        lavaseg.evaluate(run)
        export(run, progress=False)
        lavaseg.evaluate_net(run)
        lavaseg.verify(run, backends=("torch",))
        elsewhere = {"data": {"name": "mnist-cifar10", "options": {"root": str(folder / "none")}}}
        run.files.recipe.save(recipes.parse({**run.recipe.model_dump(), **elsewhere}))
        write_report(run)
    return folder


def _report(path: Path) -> None:
    run = Run.open(path.parent)
    write_report(run, path.parent / "written.html")


def _resume(path: Path) -> None:
    run = Run.open(path.parent)
    note_surroundings(run.files, devices_of("cpu"), resume=True)
    going_on(run.files, run.files.history)


def _tuned(path: Path) -> None:
    run = Run.open(path.parent)
    run.files.tuned_weights.outdated_by()
    if run.files.tuning.load() and run.files.tuned_weights.exists():
        run.files.tuned_weights.load()


def _load(path: Path) -> None:
    folder = RunFolder(path.parent)
    for kind in folder.kinds():
        if kind.file == path.name:
            getattr(folder, kind.name).load()


def _conversion(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scales = {"conv1": [1.25, 0.5], "readout": [3.0]}
    record = {"source": "runs/ann", "weights": "0" * 64, "rule": "channel", "steps": 8}
    RunFolder(path.parent).conversion.save({**record, "logit_unit": 2.5, "scales": scales})


def run_kinds(folder: Path) -> tuple[Kind, ...]:
    """One kind for each file of a run; the run is made in `folder` when it is needed first."""

    def copied(path: Path) -> None:
        shutil.copytree(finished(folder), path.parent, dirs_exist_ok=True)

    readers: dict[str, Callable[[Path], None]] = {
        "recipe.yaml": _report,
        "network.json": _report,
        "metrics.csv": _report,
        "evaluation.json": _report,
        "evaluation-net.json": _report,
        "verify.json": _report,
        "net.net": _report,
        "surroundings.json": _resume,
        "finetuned.json": _tuned,
        "finetuned.safetensors": _tuned,
        "calibration.json": _report,
        "finetune.csv": _load,
    }
    return (
        *(
            Kind(f"run/{name}", copied, read, slow=read is _report)
            for name, read in readers.items()
        ),
        Kind("run/conversion.json", _conversion, _load, hostile=json_bombs),
    )
