"""Activity of a network: spikes of every population and the read-out, in logical time.

Torch, the simulator and both Lava runtimes all return this, so that they can be compared
spike for spike and one energy account serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lavaseg.network import Network
from lavaseg.system.shown import by, html_table
from lavaseg.system.words import counted


@dataclass(frozen=True)
class Activity:
    """Recorded activity of N samples over T logical steps.

    Args:
        readout: membrane of the read-out after the last step, int64 (N, C, H, W), in state units
            (1/64 of a weight unit).
        counts: spikes of each neuron over all T steps, uint16 (N, C, H, W) for each population,
            the input included. Graded input counts messages (non-zero values), not their sum.
        spikes: uint8 or int32 (N, T, C, H, W) of the populations that were recorded, the input
            included; empty if none was asked for.
        seconds: wall time of the run itself; set-up, compilation and loading are not included.
    """

    readout: np.ndarray
    counts: Mapping[str, np.ndarray]
    spikes: Mapping[str, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0

    def __repr__(self) -> str:
        kept = f", spikes of {', '.join(self.spikes)}" if self.spikes else ""
        return (
            f"Activity({counted(self.samples, 'sample')}, read-out {by(self.readout.shape)}, "
            f"counts of {counted(len(self.counts), 'population')}{kept})"
        )

    def _repr_html_(self) -> str:
        rows = (
            (name, by(count.shape[1:]), f"{int(count.sum()):,}", f"{count.mean():.4g}")
            for name, count in self.counts.items()
        )
        columns = ["population", "shape", ">spikes", ">of a neuron and sample"]
        return html_table(repr(self), columns, rows)

    @property
    def samples(self) -> int:
        return len(self.readout)


def silence(network: Network, spikes: Mapping[str, float]) -> str:
    """A sentence if no spike reaches the read-out, or ''.

    Args:
        spikes: of each population, in any unit; those that are missing were not counted.
    """
    firing = [p.name for p in network.populations if p.threshold is not None and p.name in spikes]
    if firing and not any(spikes[name] for name in firing):
        return "no population sent a single spike: labels say nothing of the input"
    last = [projection.source for projection in network.incoming(network.readout)]
    if last and all(name in spikes and not spikes[name] for name in last):
        return (
            f"no spike reached the read-out {network.readout!r} ({', '.join(last)} sent none): "
            "labels say nothing of the input"
        )
    return ""
