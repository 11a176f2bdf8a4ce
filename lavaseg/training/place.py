"""Where a fit runs: its devices, its share of them, helpers that read samples, and how long."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.kernels.devices_torch import Devices, devices_of
from lavaseg.recipes import Recipe
from lavaseg.runs import Run
from lavaseg.system.limits import check_shared_memory
from lavaseg.system.threads import cores
from lavaseg.training.ranks import ALONE, Rank


@dataclass(frozen=True)
class Place:
    """What a fit runs on; it changes nothing of what is trained but the order of sums.

    Args:
        devices: all that train together.
        rank: which of them this process has.
        workers: processes that read and encode samples for this one.
        limit: the time limit, as the recipe gives it; None: none.
        deadline: when it ends, by `time.monotonic`.
    """

    devices: Devices = field(default_factory=lambda: devices_of("auto"))
    rank: Rank = ALONE
    workers: int = 0
    limit: str | None = None
    deadline: float = float("inf")

    @classmethod
    def of(cls, recipe: Recipe, started: float | None = None) -> Place:
        """The place that a recipe's section `machine` describes.

        Args:
            started: when the time began that is limited, by `time.monotonic`; None: now.

        Raises:
            LavasegError: a device is missing, or cannot do what the recipe asks for.
        """
        machine = recipe.machine
        devices = devices_of(machine.device, machine.devices)
        if recipe.training.precision == "float16" and devices.kind == "cpu":
            raise LavasegError(
                "training.precision float16 needs a GPU: expected bfloat16 or float32 on a CPU"
            )
        seconds = float("inf") if machine.seconds is None else machine.seconds
        deadline = (time.monotonic() if started is None else started) + seconds
        return cls(devices, workers=machine.workers, limit=machine.time_limit, deadline=deadline)

    @property
    def alone(self) -> Place:
        """The first of its devices, for as long as it takes."""
        first = Devices(self.devices.kind, self.devices.numbers[:1])
        return replace(self, devices=first, limit=None, deadline=float("inf"))


def check_workers(run: Run) -> None:
    """Refuse workers for whose batches there is too little shared memory.

    Raises:
        LavasegError: says how much it would take.
    """
    machine, encoder = run.recipe.machine, run.recipe.encoder_object
    if not machine.workers:
        return
    steps = 1 if isinstance(encoder, Direct) else encoder.steps
    sample = 4 * steps * math.prod(encoder.shape(run.picture_shape))
    sample += 8 * math.prod(run.picture_shape[1:])
    # each worker reads the next batch while one waits
    share = -(-run.recipe.training.batch_size // machine.devices)
    batches = 2 * machine.workers * machine.devices
    check_shared_memory(batches * share * sample, f"machine.workers {machine.workers}")


def threads_of(recipe: Recipe) -> int | None:
    """Threads of each process of a training; None: as many as libraries take."""
    asked, processes = recipe.machine.threads, recipe.machine.devices
    if asked is not None:
        return min(asked, cores())
    return None if processes == 1 else max(cores() // processes, 1)
