"""What training takes, and what labelling costs nothing at all gives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.results import metrics
from lavaseg.studies import options as o
from lavaseg.studies.measures import Row, row

if TYPE_CHECKING:
    from lavaseg.runs import Run


_MEMORY = "lavaseg.studies.measuring.memory"


def cost(run: Run, options: o.Options) -> Iterable[Row]:
    """Seconds of training, peak memory of a training step.

    Seconds are those of the epochs, as the run's table has them. Memory is what one process's
    first step adds to its largest resident memory, measured in a process of its own; it is left
    out where the system does not say.
    """
    yield row("train_seconds", sum(epoch["seconds"] for epoch in run.history()))
    words = [sys.executable, "-m", _MEMORY, str(run.path)]
    child = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True)
    if child.returncode:
        raise LavasegError(f"its process ended with exit code {child.returncode}, see the log")
    found = json.loads(child.stdout.splitlines()[-1])
    if found is not None:
        yield row("step_memory", found)


def losses(run: Run, options: o.Options) -> Iterable[Row]:
    """The training loss of the first and of the last epoch."""
    rows = run.history()
    yield row("loss_first", rows[0]["loss"])
    yield row("loss_last", rows[-1]["loss"])


def trivial(run: Run, options: o.Options) -> Iterable[Row]:
    """Test mIoU in percent of the class that is most frequent in the training labels."""
    classes, data = len(run.classes), run.data
    frequent = np.argmax(sum(_histograms(data.train, classes, data.ignore_index)))
    confusion = np.zeros((classes, classes), np.int64)
    confusion[:, frequent] = sum(_histograms(data.test, classes, data.ignore_index))
    yield row("trivial_miou", 100 * metrics.mean_iou(confusion))


def _histograms(samples: Any, classes: int, ignored: int | None) -> Iterable[np.ndarray]:
    for index in range(len(samples)):
        label = samples[index][1]
        yield np.bincount(label[label != ignored], minlength=classes)
