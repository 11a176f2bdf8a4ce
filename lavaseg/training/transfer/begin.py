"""The weights that a run begins with: drawn, then taken from elsewhere as its recipe says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavaseg.data.base import Samples
from lavaseg.errors import LavasegError
from lavaseg.recipes import Init, Recipe
from lavaseg.runs import Run, RunFolder
from lavaseg.system.words import counted, several
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.transfer.given import Given, opened
from lavaseg.training.transfer.layers import Model, frozen_layers, layers_of, matching
from lavaseg.training.transfer.taking import Taken, take
from lavaseg.training.transfer.unfolded import restore_norms

_NAMED = 8
"""Layers that one line names."""


@dataclass(frozen=True)
class Begun:
    """What a model has begun with.

    Args:
        given: where its weights come from.
        taken: what it took, and what not.
        frozen: the layers that training leaves as they are.
        measured: training samples on which norms were measured that the weights have folded in; 0
            if there are none.
    """

    given: Given
    taken: Taken
    frozen: tuple[str, ...]
    measured: int

    def __str__(self) -> str:
        taken, layers = self.taken, len(self.taken.layers) + len(self.taken.new)
        ends = f"{taken.layers[0]} to {taken.layers[-1]}"
        parts = [f"all {counted(layers, 'layer')} taken, {ends}"]
        if taken.new:
            new = [f"{name} ({why})" for name, why in taken.new.items()]
            of = f"{len(taken.layers)} of {counted(layers, 'layer')} taken"
            parts = [f"{of} ({several(taken.layers, _NAMED)})", f"new: {several(new, _NAMED)}"]
        if taken.partly:
            partly = [f"{name} {what}" for name, what in taken.partly.items()]
            parts.append(several(partly, _NAMED))
        if taken.unused:
            parts.append(f"left unused: {several(taken.unused, _NAMED)}")
        if self.frozen:
            parts.append(f"frozen: {several(self.frozen, _NAMED)}")
        if self.measured:
            samples = counted(self.measured, "training sample")
            parts.append(f"norms, which are folded there, begin with statistics of {samples}")
        return f"weights of {self.given.title}: {'; '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """The account that a run keeps, plain data for JSON."""
        return {
            "weights": str(self.given.file),
            "sha256": self.given.sha256,
            "epoch": self.given.epoch,
            "taken": list(self.taken.layers),
            "partly": dict(self.taken.partly),
            "new": dict(self.taken.new),
            "unused": list(self.taken.unused),
            "frozen": list(self.frozen),
            "norms_measured_on": self.measured,
        }

    def noted(self, recipe: Recipe) -> Recipe:
        """The recipe that also says which content the weights had."""
        return _with_init(recipe, sha256=self.given.sha256)


def settled(
    recipe: Recipe, init: str | Path | Run | None, folder: RunFolder, resume: bool
) -> Recipe:
    """The recipe with the weights that it begins with, which may be given beside it.

    A run that is resumed has begun with those that its own recipe names.

    Raises:
        LavasegError: weights are given, and the run is resumed.
    """
    if init is not None and resume:
        raise LavasegError(
            f"--resume goes on with the weights of the last epoch in {folder.path}, --init begins "
            "with others: leave one of them out"
        )
    if init is not None:
        weights = str(init.path if isinstance(init, Run) else init)
        return _with_init(recipe, weights=weights, sha256="")
    if not resume or not folder.recipe.exists():
        return recipe
    before, own = folder.recipe.load().init, recipe.init
    if own == Init():
        return recipe.model_copy(update={"init": before})
    if own.weights in ("", before.weights) and not own.sha256:
        return _with_init(recipe, weights=before.weights, sha256=before.sha256)
    return recipe


def begin(
    model: Model, recipe: Recipe, classes: tuple[str, ...], samples: Callable[[], Samples]
) -> Begun | None:
    """Give a drawn model the weights that its recipe names; None if it names none.

    Args:
        classes: names of the model's classes.
        samples: gives the training samples, on which norms are measured if there are none.

    Raises:
        LavasegError: there are no such weights, or they have changed since; no layer fits; a layer
            that is frozen or to be drawn is none, or is frozen before it has learned anything.
    """
    init = recipe.init
    if not init.weights:
        for field, layers in (("frozen", init.frozen), ("new", init.new)):
            if layers:
                raise LavasegError(
                    f"init.{field} names layers, but init.weights names no weights that they would "
                    "begin with: give some, also by --init"
                )
        return None
    given = opened(init.weights, model)
    if init.sha256 not in ("", given.sha256):
        raise LavasegError(
            f"init.weights: {given.file} is not what it was when init.sha256 was written: expected "
            f"{init.sha256[:12]}..., found {given.sha256[:12]}...; leave init.sha256 out to begin "
            "with what is there now"
        )
    drawn = matching(layers_of(model), init.new, "init.new")
    taken = take(model, given, classes, drawn)
    frozen = frozen_layers(model, init.frozen) if init.frozen else ()
    for layer in frozen:
        if layer in taken.new:
            raise LavasegError(
                f"init.frozen: layer {layer!r} is new ({taken.new[layer]}), so that it would never "
                "learn anything: name layers that are taken, or leave it out"
            )
    measured = 0
    if taken.shifts:
        assert isinstance(model, SpikingNetwork)
        measured = restore_norms(model, taken.shifts, samples(), recipe)
    return Begun(given, taken, frozen, measured)


def _with_init(recipe: Recipe, **fields: Any) -> Recipe:
    return recipe.model_copy(update={"init": recipe.init.model_copy(update=fields)})
