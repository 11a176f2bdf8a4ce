"""Records a population, in logical time, while Lava runs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Recorder:
    """Takes the state of one population at each physical step.

    Lava counts steps from 1; the population does logical step k of the stream at physical step
    k + 1 + latency. What it does before and after the stream, and in the padding steps of a period
    that is longer than a sample, belongs to no sample and is dropped.
    Sheets are in Lava's order (width, height, channels); the arrays may be memory-mapped files.

    Args:
        latency: steps from the input to the population.
        steps: logical steps of one sample, T.
        period: physical steps from the beginning of one sample to that of the next, T or more.
        counts: uint16 (samples, W, H, C), zeros; spikes of each neuron.
        spikes: uint8 (samples, T, W, H, C), or None.
        membrane: int32 (samples, W, H, C), the membrane after each sample's last step, or None.
        clock: int64 (1,), set to the physical step, or None.
    """

    latency: int
    steps: int
    period: int
    counts: np.ndarray
    spikes: np.ndarray | None = None
    membrane: np.ndarray | None = None
    clock: np.ndarray | None = None

    def write(self, time_step: int, spikes: np.ndarray, membrane: np.ndarray) -> None:
        """Record a physical step: spikes or messages, and the membrane after reset (int32)."""
        if self.clock is not None:
            self.clock[0] = time_step
        sample, step = divmod(time_step - 1 - self.latency, self.period)
        if not 0 <= sample < len(self.counts) or step >= self.steps:
            return
        self.counts[sample] += spikes != 0
        if self.spikes is not None:
            self.spikes[sample, step] = spikes
        if self.membrane is not None and step == self.steps - 1:
            self.membrane[sample] = membrane
