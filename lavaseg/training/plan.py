"""The plan of a fit: optimisation, encoder, seed, losses; and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lavaseg.encoders import Encoder
from lavaseg.recipes import Augment, Rmp, Training


@dataclass(frozen=True)
class Plan:
    """Everything that one fit depends on, besides the model and the data.

    Args:
        optimisation: epochs, batch size, learning rate, schedule.
        seed: of order and encoding.
        rmp: membrane regularisation.
        logit_scale: read-out membranes are divided by this: T, times the read-out's weight
            units for each trained unit once the network is integer.
        ignore_index: label that does not count, or None.
        augment: how training samples are changed at random.
        class_weights: weight of each class in the training loss, or None: all alike.
        frozen: layers that stay as they are.
    """

    optimisation: Training
    encoder: Encoder
    seed: int
    logit_scale: float
    rmp: Rmp = field(default_factory=Rmp)
    ignore_index: int | None = None
    augment: Augment = field(default_factory=Augment)
    class_weights: Sequence[float] | None = None
    frozen: Sequence[str] = ()


def learning_rate(plan: Training, steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at each optimiser step."""

    def factor(step: int) -> float:
        progress = min(step / steps, 1.0)
        if plan.schedule == "step":
            return plan.decay ** sum(progress >= part for part in plan.milestones)
        if plan.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        if plan.schedule == "one_cycle":  # warm up over a fifth, then to nothing
            if progress < 0.2:
                return 0.04 + 0.96 * progress / 0.2
            return 0.5 * (1 + math.cos(math.pi * (progress - 0.2) / 0.8))
        return 1.0

    return factor
