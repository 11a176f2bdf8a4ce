"""A learning-rate range test: a training whose rate rises from step to step, and what it loses.

Lightning's own finder is not taken: it divides its running mean as if it had seen one loss more,
so that its curve begins at half of the loss; it also raises the rate of learned delays, which is
in steps of time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.recipes import Recipe
from lavaseg.runs import Run, RunFolder
from lavaseg.system.progress import Report, bar, line
from lavaseg.system.threads import limited_threads
from lavaseg.training.experiment import Prepared, begin_with, prepare
from lavaseg.training.fit import batches, quiet, run, trainer_of
from lavaseg.training.memory import keep_freed_memory
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.place import Place, threads_of
from lavaseg.training.segmenter import segmenter
from lavaseg.training.slayer.delays import ChannelDelays
from lavaseg.training.surroundings import alone, pl
from lavaseg.training.transfer import settled

STEPS = 100
"""Steps of a range test, unless told otherwise."""
RANGES = {"sgd": (1e-5, 10.0)}
"""The least and the largest rate of an optimiser, where they are not `RANGE`."""
RANGE = (1e-6, 1.0)
_SPREAD = 3.0
"""Steps over which the curve is smoothed: the standard deviation of the weights."""
_DIVERGED = 4.0
"""The test ends where the loss is this many times its lowest."""
_FALL = 0.02
"""The least part by which the loss must fall for a rate to be suggested."""


@dataclass(frozen=True)
class RateTest:
    """Losses of a training whose learning rate rises.

    Args:
        rates: the learning rate of each step, rising.
        losses: of the batch of each step, before its weights are changed; all finite.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def __repr__(self) -> str:
        found = "none" if self.suggestion is None else f"{self.suggestion:.2g}"
        return f"RateTest({len(self.rates)} rates, suggested: {found})"

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The losses, each a mean of its neighbours, weighted by how near they are."""
        places = np.arange(len(self.losses))
        near = np.exp(-0.5 * ((places[:, None] - places) / _SPREAD) ** 2)
        found = (near * np.array(self.losses)).sum(1) / near.sum(1)
        return tuple(float(loss) for loss in found)

    @property
    def lowest(self) -> float | None:
        """The rate at which the smoothed loss is lowest; None where there are no losses."""
        return self.rates[int(np.argmin(self.smoothed))] if self.losses else None

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls fastest over the logarithm of the rate.

        None where it does not fall.
        """
        smoothed = np.array(self.smoothed)
        end = int(np.argmin(smoothed)) + 1 if len(smoothed) else 0
        if end < 3 or smoothed[end - 1] > (1 - _FALL) * smoothed[0]:
            return None
        slope = np.gradient(smoothed[:end], np.log(self.rates[:end]))
        return self.rates[int(np.argmin(slope))]

    def rows(self) -> list[Mapping[str, float]]:
        """One row a step, for a table in a file."""
        steps = zip(self.rates, self.losses, self.smoothed, strict=True)
        return [{"learning_rate": r, "loss": x, "smoothed": s} for r, x, s in steps]


def try_rates(
    recipe: Recipe,
    *,
    init: str | Path | Run | None = None,
    steps: int = STEPS,
    progress: bool = True,
) -> RateTest:
    """Train a recipe for some steps at rates that rise, and write nothing.

    Learned delays stay as they begin.

    Args:
        init: weights to begin with, as `train` takes them.
        steps: of the optimiser, each with a rate of its own.
        progress: show a progress bar.

    Raises:
        LavasegError: fewer than two steps, or what `train` refuses before it begins.
        KeyboardInterrupt: Ctrl-C.
    """
    if steps < 2:
        raise LavasegError(f"steps must be 2 or more, got {steps}")
    recipe = settled(recipe, init, RunFolder(Path()), resume=False)
    place = Place.of(recipe).alone
    with limited_threads(threads_of(recipe)):
        prepared = prepare(recipe, Path())
        begin_with(prepared, line if progress else None)
        return _swept(prepared, place, steps, progress)


def _swept(prepared: Prepared, place: Place, steps: int, progress: bool) -> RateTest:
    recipe = prepared.run.recipe
    _hold_delays(prepared.model)
    least, largest = RANGES.get(recipe.training.optimiser, RANGE)
    keep_freed_memory()
    with bar("try rates", show=progress) as report, quiet(), alone():
        sweep = _Sweep(np.geomspace(least, largest, steps).tolist(), report)
        trainer = trainer_of(
            prepared.plan,
            place,
            callbacks=[sweep],
            max_epochs=-1,
            max_steps=steps,
            logger=False,
            enable_checkpointing=False,
        )
        run(
            trainer,
            segmenter(prepared.model, prepared.plan, len(prepared.run.classes)),
            batches(prepared.plan, prepared.training, place, shuffle=True),
        )
    return RateTest(tuple(sweep.rates[: len(sweep.losses)]), tuple(sweep.losses))


def _hold_delays(model: SpikingNetwork | AnalogNetwork) -> None:
    for module in model.modules():
        if isinstance(module, ChannelDelays):
            module.requires_grad_(False)


class _Sweep(pl.Callback):
    """Sets the rate of each step, gathers the losses, and ends where they diverge."""

    def __init__(self, rates: Sequence[float], report: Report) -> None:
        self.rates, self.report = rates, report
        self.losses: list[float] = []
        self.parts: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.optimizers[0].param_groups[0]["lr"] = self.rates[len(self.losses)]

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        self.parts.append(float(outputs["loss"]))
        if len(self.parts) < trainer.accumulate_grad_batches:
            return
        loss, self.parts = sum(self.parts), []
        if math.isfinite(loss):
            self.losses.append(loss)
        self.report(len(self.losses), len(self.rates))
        recent = self.losses[-3:]
        worse = min(recent, default=0.0) > _DIVERGED * min(self.losses, default=0.0)
        trainer.should_stop = trainer.should_stop or worse or not math.isfinite(loss)
