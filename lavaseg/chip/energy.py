"""Time and energy of a sample on a chip, predicted as ranges. Never measured on a chip by us.

Static energy is static power times time, dynamic energy is synaptic operations times what public
runs spent on each, everything else that was dynamic included. No energy of an operation is
published for Loihi 2: these are bounds that are derived from few runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lavaseg.chip.boards import chips_for
from lavaseg.chip.interval import Interval
from lavaseg.chip.mapping import Mapping as ChipMapping
from lavaseg.chip.measured import PILOTNET_LIF, S4D, YOLO_KP
from lavaseg.chip.period import padded
from lavaseg.chip.timing import StepTime, step_time
from lavaseg.chip.work import total, work
from lavaseg.network import Network
from lavaseg.network.integers import IntegerNetwork

YOLO_CORES = 1022
"""Cores of YOLO-KP with its replayed input, by the compiler's table."""


def _static_power() -> Interval:
    """Watts of a chip that does nothing, by the public runs.

    Least: all of S4D's power, which its authors call mostly static, is that of one chip. Most:
    all static power of YOLO-KP's board is that of the chips whose cores it uses, though its other
    chips idle, too.
    """
    assert S4D.total is not None
    assert YOLO_KP.static is not None
    return Interval(S4D.total, YOLO_KP.static / chips_for(YOLO_CORES))


STATIC_POWER = _static_power()
"""Watts of each chip that a network uses."""


def _dynamic_energy() -> Interval:
    found = [run.picojoules_per_operation for run in (YOLO_KP, PILOTNET_LIF)]
    known = [value for value in found if value is not None]
    return Interval(min(known), max(known))


DYNAMIC_PICOJOULES = _dynamic_energy()
"""Picojoules of a synaptic operation, all in: a bound that is derived from each run whose dynamic
energy and operations are both known. It is no energy of an operation."""


@dataclass(frozen=True)
class Prediction:
    """Time and energy of a sample.

    Args:
        step: the time of a step and its parts.
        period: steps from one sample to the next.
        latency: steps from a sample's first input to its last output.
        operations: synaptic operations of a sample, those of helpers included.
        updates: neuron updates of a sample.
        chips: that the network uses.
    """

    step: StepTime
    period: int
    latency: int
    operations: float
    updates: int
    chips: int

    @property
    def samples_per_second(self) -> Interval:
        """Samples that leave the chip each second, streamed back to back."""
        return (self.step.seconds * float(self.period)).inverse

    @property
    def seconds(self) -> Interval:
        """From a sample's first input to its last output."""
        return self.step.seconds * float(self.latency)

    @property
    def static_joules(self) -> Interval:
        """Static energy of a sample, streamed: idle chips of the same board are not charged."""
        return STATIC_POWER * float(self.chips) * self.step.seconds * float(self.period)

    @property
    def dynamic_joules(self) -> Interval:
        """Dynamic energy of a sample, by its synaptic operations."""
        return DYNAMIC_PICOJOULES * (self.operations * 1e-12)

    @property
    def joules(self) -> Interval:
        """Energy of a sample."""
        return self.static_joules + self.dynamic_joules

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: ranges as (least, most)."""
        ranges = {
            "seconds_per_step": self.step.seconds,
            "samples_per_second": self.samples_per_second,
            "seconds": self.seconds,
            "joules": self.joules,
            "static_joules": self.static_joules,
            "dynamic_joules": self.dynamic_joules,
        }
        return {
            "measured_on_a_chip": False,
            "limiting": self.step.limiting,
            "period": self.period,
            "operations": self.operations,
            "neuron_updates": self.updates,
            "chips": self.chips,
            **{name: [value.low, value.high] for name, value in ranges.items()},
        }


def predict(
    net: IntegerNetwork | Network,
    mapping: ChipMapping,
    counts: Mapping[str, np.ndarray],
    samples: int,
    steps: int,
    *,
    period: int | None = None,
) -> Prediction:
    """Time and energy of a sample from the spikes that were measured in simulation.

    Args:
        net, mapping, counts, samples, steps: as of `lavaseg.chip.work.work`.
        period: physical steps from sample to sample; by default `padded(steps)`, the last ones
            silent.

    Raises:
        LavasegError: as `work` does.
    """
    network = net.network if isinstance(net, IntegerNetwork) else net
    parts = work(net, mapping, counts, samples, steps)
    operations, updates = total(parts)
    period = padded(steps) if period is None else period
    return Prediction(
        step_time(parts),
        period,
        steps + max(network.latencies.values()),
        operations * steps,
        updates * period,
        mapping.chips,
    )
