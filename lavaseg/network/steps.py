"""Another number of steps than trained: what has values of its own for each step, there."""

from __future__ import annotations

import numpy as np

from lavaseg.network.base import DECAY_UNITY

RULE = (
    "what has values of its own for each step, norms and clocks, takes the first ones below the "
    "trained number of steps, and above it repeats the last one"
)
"""The rule of `steps_taken`, for output. Kim et al. 2022 (figure 13) give none."""


def steps_taken(trained: int, steps: int) -> np.ndarray:
    """The trained step whose values each of `steps` steps takes, int64 (steps,).

    The first ones while there are some, then the last one again and again.
    """
    return np.minimum(np.arange(steps), trained - 1)


def clock_at(clock: np.ndarray, steps: int, current_decay: int) -> np.ndarray:
    """A clock for another number of steps, which holds the current of its last step.

    What a clock adds enters the current, of which 1 - d_u / 4096 is kept to the next step. Later
    steps so get what keeps the clock's part of the current where it is: the last value itself
    where nothing is kept.

    Args:
        clock: (trained steps, channels); even integers in weight units, or floats.
        steps: their number afterwards.
        current_decay: d_u in 1/4096, of the population that the clock belongs to.

    Returns:
        (steps, channels), of the clock's type.
    """
    out = clock[steps_taken(len(clock), steps)]
    if steps > len(clock) and current_decay != DECAY_UNITY:
        kept = 1 - current_decay / DECAY_UNITY
        current = np.zeros(clock.shape[1:])
        for added in clock:
            current = kept * current + added
        held = (1 - kept) * current
        whole = np.issubdtype(clock.dtype, np.integer)
        out[len(clock) :] = 2 * np.rint(held / 2) if whole else held
    return out
