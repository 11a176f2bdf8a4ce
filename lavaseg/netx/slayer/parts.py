"""The network as far as it is read: populations and projections that the layers became."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Operator, Population, Projection, Shape
from lavaseg.network.integers import Bias
from lavaseg.network.nodes import delay_of

MAX_WEIGHT_BYTES = 2**31
"""Weights of the network read."""


@dataclass(frozen=True)
class Sheet:
    """Spikes that a layer sees.

    Args:
        delays: steps that the spikes of each channel are late, (channels,).
        flat: a sheet without height and width.
    """

    name: str
    shape: Shape
    delays: np.ndarray
    flat: bool = False


@dataclass
class Parts:
    """The parts read so far; `sheet` is the one that the next layer sees."""

    input: Input
    sheet: Sheet
    nodes: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    biases: dict[str, Bias] = field(default_factory=dict)
    doubled: dict[str, str] = field(default_factory=dict)
    """Populations whose weights, bias and threshold are twice those of the file, and its layer."""
    counts: dict[str, float] = field(default_factory=dict)
    """Weight units of one spike, or of one a neuron of its group, in a read-out that counts."""

    def add(self, population: Population, bias: np.ndarray | None = None) -> None:
        """Add a population, with a bias mantissa for each channel if it has one."""
        self.nodes.append(replace(population, bias=bias is not None))
        if bias is not None:
            self.biases[population.name] = Bias(bias)

    def connect(self, source: Sheet, target: str, operator: Operator, weight: np.ndarray) -> None:
        """Project a sheet's spikes, each channel as late as it is."""
        name = f"{source.name}_to_{target}"
        if sum(w.nbytes for w in self.weights.values()) + 2 * weight.size > MAX_WEIGHT_BYTES:
            raise LavasegError(
                f"projection {name!r}: the weights so far take more than {MAX_WEIGHT_BYTES} bytes"
            )
        delay = delay_of(source.delays.tolist())
        self.projections.append(Projection(source.name, target, operator, delay, name))
        # a wider type where 16 bits do not hold them, so that their range is refused by name
        fits = weight.min() >= -(2**15) and weight.max() < 2**15
        self.weights[name] = weight.astype(np.int16) if fits else weight

    def count_spikes(self, groups: int | None = None) -> None:
        """Add a read-out that adds up what the last layer sends, 2 weight units each.

        Args:
            groups: how many, of channels that follow one another, are added up; None: each neuron
                for itself.
        """
        channels, *sheet = self.sheet.shape
        if groups is None:
            size, counting = 1, each_channel(channels, 2)
        else:
            size = math.prod(self.sheet.shape) // groups
            kernel = sheet[0], sheet[1]
            weight = np.full((groups, channels // groups, *kernel), 2)
            counting = Conv(groups, kernel, groups=groups), weight
        self.connect(self.sheet, "readout", *counting)
        self.add(Population("readout", None))
        self.counts["readout"] = 2.0 * size


def each_channel(channels: int, value: int) -> tuple[Conv, np.ndarray]:
    """Operator and weights from each neuron to the one at its place; all weights are `value`."""
    return Conv(channels, (1, 1), groups=channels), np.full((channels, 1, 1, 1), value)
