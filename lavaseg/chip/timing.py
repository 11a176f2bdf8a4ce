"""How long a step takes on a chip: the slowest core, the links between chips, the barrier.

The model is the one by which YOLO-KP's authors predicted their run. The chip then took 2.9 times as
long. So a prediction is a range: from what the model gives, to that times the largest factor by
which a public measurement exceeded it. Never compared with a run of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.chip.boards import CORES_PER_CHIP
from lavaseg.chip.interval import Interval
from lavaseg.chip.known import LINK_RATES
from lavaseg.chip.mapping import LayerMapping
from lavaseg.chip.measured import YOLO_KP
from lavaseg.chip.work import LayerWork, Traffic, chips_of


@dataclass(frozen=True)
class Constant:
    """A number of the model.

    Args:
        value: in `unit`.
        unit: as printed.
        source: where it is published.
    """

    value: float
    unit: str
    source: str


_SOURCE = f"prediction beside the measured run of YOLO-KP: {YOLO_KP.source}"
CONSTANTS: Mapping[str, Constant] = {
    "synaptic operation": Constant(0.66e-9, "s", _SOURCE),
    "neuron update": Constant(4e-9, "s", _SOURCE),
    "barrier": Constant(10e-6, "s", _SOURCE),
    "graded spikes over a link": Constant(LINK_RATES["graded"], "1/s", _SOURCE),
    "binary spikes over a link": Constant(LINK_RATES["binary"], "1/s", _SOURCE),
}
"""The constants of the model of time."""

ERROR = YOLO_KP.error or 1.0
"""By how many times the chip was slower than the model where both are published: one run."""


@dataclass(frozen=True)
class StepTime:
    """Predicted time of a step, in seconds.

    Args:
        core: of the slowest core.
        slowest: name of the layer whose core it is.
        link: of the busiest link between chips: each spike once for each chip that it reaches, with
            a link for each pair of chips; up to once for each core, all that enter or leave a chip
            over one link.
        host: of the input, if it comes over one such link; what the host needs is not public.
        barrier: of the synchronisation that ends a step.
    """

    core: float
    slowest: str
    link: Interval
    host: float
    barrier: float

    @property
    def model(self) -> Interval:
        """What the constants give: cores and links work at the same time, the barrier follows."""
        low = max(self.core, self.link.low) + self.barrier
        return Interval(low, max(self.core, self.link.high, self.host) + self.barrier)

    @property
    def seconds(self) -> Interval:
        """The prediction: the model's least, to its most times `ERROR`."""
        return Interval(self.model.low, self.model.high * ERROR)

    @property
    def limiting(self) -> str:
        """What takes the largest part of the least time."""
        if self.barrier > max(self.core, self.link.low):
            return "the barrier"
        if self.link.low > self.core:
            return "a link between chips"
        return f"a core of {self.slowest}"


def step_time(parts: Sequence[LayerWork]) -> StepTime:
    """The time of a step from what each layer does in it, on average over steps.

    A step in which more spikes than on average takes longer, and is not modelled.
    """
    operation, update = (CONSTANTS[key].value for key in ("synaptic operation", "neuron update"))
    core, slowest = 0.0, ""
    for part in parts:
        longest = float(np.max(part.operations * operation + part.updates * update))
        if longest > core:
            core, slowest = longest, part.layer.name
    layers = {part.layer.name: part.layer for part in parts}
    traffic = [item for part in parts for item in part.traffic]
    inner = [item for item in traffic if item.source in layers]
    host: dict[str, float] = {}
    for item in traffic:
        if item.source not in layers:  # played once for all that it reaches
            host[item.source] = max(host.get(item.source, 0.0), item.spikes / _rate(item.graded))
    barrier = CONSTANTS["barrier"].value
    return StepTime(core, slowest, _links(inner, layers), sum(host.values()), barrier)


def _rate(graded: bool) -> float:
    """Spikes a second over one link."""
    kind = "graded" if graded else "binary"
    return CONSTANTS[f"{kind} spikes over a link"].value


def _links(traffic: Sequence[Traffic], layers: Mapping[str, LayerMapping]) -> Interval:
    """Seconds that the busiest link is busy."""
    chips = 1 + max((layer.core_ids.stop - 1) // CORES_PER_CHIP for layer in layers.values())
    pairs = np.zeros((chips, chips))
    leaving, entering = np.zeros(chips), np.zeros(chips)
    for item in traffic:
        seconds = item.spikes / _rate(item.graded)
        first, source = chips_of(layers[item.source])
        begin, target = chips_of(layers[item.target])
        # it reaches another chip if one of its copies lies there
        reached = np.minimum(1.0, item.copies * target)
        here, there = slice(first, first + len(source)), slice(begin, begin + len(target))
        pairs[here, there] += seconds * np.outer(source, reached)
        shares, parts = np.zeros((2, chips))
        shares[here], parts[there] = source, target
        leaving += seconds * item.copies * shares * (1 - parts)
        entering += seconds * item.copies * parts * (1 - shares)
    np.fill_diagonal(pairs, 0)
    low = float(pairs.max())
    return Interval(low, max(low, float(leaving.max()), float(entering.max())))
