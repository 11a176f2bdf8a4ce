"""Peak memory of a run's training step, for a process of its own: `python -m ... RUN` prints it."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import torch

from lavaseg.runs import Run
from lavaseg.training.batches import Batch, loader
from lavaseg.training.models import trained_model
from lavaseg.training.plan import Plan
from lavaseg.training.preparing import training_parts, weights_of_classes
from lavaseg.training.segmenter import Segmenter, segmenter


def step_bytes(run: Run) -> int | None:
    """Bytes that forward and backward pass of one step add to the process's memory at most.

    One of two samples, the fewest that any norm takes, goes before, which compiles kernels and
    loads libraries. RMP has its weight of mid-training. None where the system does not say (only
    Linux does).
    """
    module = _module(run)
    messages, labels = next(iter(_batches(run)))
    _step(module, (messages[:2], labels[:2]))
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = _status("VmRSS")
        _step(module, (messages, labels))
        return max(_status("VmHWM") - before, 0)
    except OSError:
        return None


def _module(run: Run) -> Segmenter:
    recipe, encoder = run.recipe, run.recipe.encoder_object
    training, _ = training_parts(recipe, run.data)
    plan = Plan(
        recipe.training,
        encoder,
        recipe.seed,
        float(encoder.steps),
        recipe.rmp,
        run.ignore_index,
        recipe.augment,
        weights_of_classes(recipe, run.data, training),
    )
    module = segmenter(trained_model(run).train(), plan, len(run.classes))
    module.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    halfway = SimpleNamespace(global_step=1, estimated_stepping_batches=2)
    module.trainer = halfway  # type: ignore[assignment]
    return module


def _batches(run: Run) -> torch.utils.data.DataLoader[Batch]:
    training, _ = training_parts(run.recipe, run.data)
    recipe = run.recipe
    size = recipe.training.batch_size
    return loader(training, recipe.encoder_object, batch_size=size, seed=recipe.seed, shuffle=True)


def _step(module: Segmenter, batch: Batch) -> None:
    module.training_step(batch, 0).backward()
    module.zero_grad()


def _status(name: str) -> int:
    """Bytes that the system says of this process."""
    text = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(text.partition(f"{name}:")[2].split()[0])


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        print(json.dumps(step_bytes(Run.open(sys.argv[1]))))
