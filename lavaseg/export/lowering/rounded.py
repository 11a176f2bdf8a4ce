"""A network in integers as it was described: integer neurons are not unrolled yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lavaseg.encoders import Encoder
from lavaseg.network import Network
from lavaseg.network.integers import Bias


@dataclass(frozen=True)
class RoundedNetwork:
    """The fields of an `IntegerNetwork` whose populations may have levels.

    Thresholds of such populations are even. `unroll_levels` makes an `IntegerNetwork` of it, which
    checks all numbers.
    """

    network: Network
    weights: Mapping[str, np.ndarray]
    encoder: Encoder
    classes: tuple[str, ...]
    biases: Mapping[str, Bias] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    clocks: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Logical time steps of one sample, T."""
        return self.encoder.steps
