"""Whether a run may start in a folder, or go on there, and with what it was computed before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from lavaseg.errors import LavasegError
from lavaseg.kernels.devices_torch import Devices
from lavaseg.recipes import Recipe
from lavaseg.runs import Run, RunFolder
from lavaseg.system.progress import line
from lavaseg.system.versions import versions
from lavaseg.system.words import command


def check_free(folder: RunFolder, recipe: Recipe, resume: bool) -> None:
    """Check that a run can start in the folder, or go on there.

    A folder in which no epoch has finished holds nothing that could be lost.

    Raises:
        LavasegError: it cannot; says why.
    """
    if folder.conversion.exists():
        raise LavasegError(
            f"{folder.path} holds a converted network, which training would overwrite: give "
            f"another --out ({command('export', folder.path)} fine-tunes it)"
        )
    begun = folder.recipe.exists()
    results = (folder.history, folder.weights, folder.checkpoints)
    if not resume:
        if begun and any(result.exists() for result in results):
            raise LavasegError(
                f"{folder.path} already holds a run: continue it with --resume, or give another "
                "--out"
            )
        return
    if not begun:
        raise LavasegError(f"{folder.path} holds no run to resume")
    _check_same(Run.open(folder.path), recipe)


def _check_same(run: Run, recipe: Recipe) -> None:
    """Refuse to go on with another recipe.

    More epochs alone are the same run, continued; so is a data folder that moved, another machine,
    and another patience.
    """
    if "root" in recipe.data.options and recipe.data.name == run.recipe.data.name:
        run = run.with_data_in(recipe.data.options["root"])
    patience = {"early_stop": recipe.training.early_stop}
    patient = run.recipe.training.model_copy(update=patience)
    same = run.recipe.model_copy(update={"machine": recipe.machine, "training": patient})
    run = replace(run, recipe=same)
    if run.recipe == recipe:
        return
    epochs = recipe.training.epochs
    extended = run.recipe.training.model_copy(update={"epochs": epochs})
    if run.recipe.model_copy(update={"training": extended}) != recipe:
        raise LavasegError(
            f"{run.path} was started with other settings: resume it with the same recipe and "
            f"--set values (see {run.files.recipe.path})"
        )
    finished = len(run.history())
    if epochs < finished:
        raise LavasegError(
            f"{run.path} has finished {finished} epochs, fewer training.epochs ({epochs}) cannot "
            "be resumed"
        )
    follows = None
    if recipe.training.schedule != "constant":
        follows = f"training.schedule {recipe.training.schedule!r}"
    elif recipe.rmp.weight and recipe.rmp.schedule != "constant":
        follows = f"rmp.schedule {recipe.rmp.schedule!r}"
    if follows:
        raise LavasegError(
            f"{run.path} was started with other settings: training.epochs was "
            f"{run.recipe.training.epochs}, and what was trained so far depends on it, since "
            f"{follows} follows the whole training (only schedule constant can be extended)"
        )


def surroundings(devices: Devices) -> dict[str, Any]:
    """What the bits of a training depend on besides its recipe: versions, threads, devices."""
    return {
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "device": devices.name,
    }


def note_surroundings(folder: RunFolder, devices: Devices, resume: bool) -> None:
    """Record them; on resuming, say which differ from those that the run had before."""
    now = surroundings(devices)
    if resume and folder.surroundings.exists():
        before = dict(folder.surroundings.load())
        then, there = (_flat(found) for found in (before, now))
        changed = [f"{k} {then.get(k)} -> {v}" for k, v in there.items() if then.get(k) != v]
        if changed:
            line(
                "resumed with other surroundings, so the bits may differ from those of an "
                f"uninterrupted run: {', '.join(changed)}"
            )
    folder.surroundings.save(now)


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    packages = found.get("versions")
    rest = {k: v for k, v in found.items() if k != "versions"}
    return {**(packages if isinstance(packages, dict) else {}), **rest}
