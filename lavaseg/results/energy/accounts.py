"""An energy account: spikes and operations of each part of a network, as counts alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lavaseg.network import Shape


@dataclass(frozen=True)
class ProjectionAccount:
    """One projection: its synapses, and the operations that spikes caused there.

    Args:
        name, source, target, kind: names of the projection, of its two nodes and of its operator;
            kind "clock" for the axons of a population's clock, one of which reaches every neuron
            at each step.
        analog: its source sends graded spikes, so that each operation is a MAC.
        weighted: the operator has weights (in an artificial network it costs MACs, else sums).
        synapses: synapses that exist, each spatial copy counted: the operations that one
            spike of every source neuron would cause.
        dense_macs: operations of one dense pass as papers count them, zero padding included.
        spikes: spikes over all samples of the source's channels that have synapses here.
        operations: synaptic operations over all samples; exact.
    """

    name: str
    source: str
    target: str
    kind: str
    analog: bool
    weighted: bool
    synapses: int
    dense_macs: int
    spikes: int
    operations: int


@dataclass(frozen=True)
class DelayAccount:
    """The chain of relays, or the echo, of one node (`lavaseg/network/delays.py`).

    Args:
        source, delay: whose spikes wait, and the delay of the projections that they belong to, of
            the latest channel where they differ.
        relays: number of relays that follow one another; 1 for rows of different lengths.
        neurons: number of neurons of each relay; of all rows together.
        analog: they pass graded spikes on.
        operations: synaptic operations over all samples: each spike once a relay (with a delay, an
            upper bound), or an echo's input, and the inhibition that keeps the last `delay` steps
            of a sample out of the next one.
    """

    source: str
    delay: int
    relays: int
    neurons: int
    analog: bool
    operations: int


@dataclass(frozen=True)
class PopulationAccount:
    """One population, or relay: its spikes and their rates.

    Args:
        shape: (channels, height, width).
        fires: False for a read-out, which only integrates.
        spikes: number of spikes over all samples.
        rate: spikes per neuron and step.
        spikes_per_neuron: spikes of a neuron in one sample (Kim et al.'s R_s, may exceed 1).
    """

    name: str
    shape: Shape
    fires: bool
    spikes: int
    rate: float
    spikes_per_neuron: float

    @property
    def neurons(self) -> int:
        channels, height, width = self.shape
        return channels * height * width


@dataclass(frozen=True)
class EnergyAccount:
    """Operations of a run over `samples` samples of `steps` logical time steps.

    Projections and populations are in the description's order; sums are exact integers.
    """

    samples: int
    steps: int
    projections: tuple[ProjectionAccount, ...]
    populations: tuple[PopulationAccount, ...]
    delays: tuple[DelayAccount, ...] = ()

    @property
    def accumulates(self) -> float:
        """Synaptic operations of binary spikes, per sample."""
        return sum(p.operations for p in self._working if not p.analog) / self.samples

    @property
    def multiply_accumulates(self) -> float:
        """Synaptic operations of graded spikes, per sample."""
        return sum(p.operations for p in self._working if p.analog) / self.samples

    @property
    def synaptic_operations(self) -> float:
        """All synaptic operations per sample; those of relays that make spikes wait included."""
        return sum(p.operations for p in self._working) / self.samples

    @property
    def _working(self) -> tuple[ProjectionAccount | DelayAccount, ...]:
        return self.projections + self.delays

    @property
    def neuron_updates(self) -> int:
        """Neurons times steps per sample: each (relays included) is updated at every step."""
        neurons = sum(p.neurons for p in self.populations)
        return self.steps * (neurons + sum(d.relays * d.neurons for d in self.delays))

    @property
    def rate(self) -> float:
        """Spikes per neuron and step, over all neurons that can fire."""
        firing = [p for p in self.populations if p.fires]
        neurons = sum(p.neurons for p in firing)
        spikes = sum(p.spikes for p in firing)
        return spikes / (neurons * self.samples * self.steps) if neurons else 0.0

    @property
    def dense_macs(self) -> int:
        """MACs of one dense pass of the network as deployed, zero padding included."""
        return sum(p.dense_macs for p in self.projections if p.weighted)

    def operations_into(self, population: str) -> float:
        """Synaptic operations that a population receives, per sample."""
        found = [p.operations for p in self.projections if p.target == population]
        return sum(found) / self.samples

    def rows(self) -> list[dict[str, Any]]:
        """One row a projection, figures of one sample, for tables."""
        return [
            {
                "projection": p.name,
                "operator": p.kind,
                "operation": "MAC" if p.analog else "AC",
                "source_spikes": p.spikes / self.samples,
                "synapses": p.synapses,
                "operations": p.operations / self.samples,
                "dense_macs": p.dense_macs,
            }
            for p in self.projections
        ]

    def figures(self) -> dict[str, Any]:
        """The counts of one sample as plain data; `to_dict` of `papers` adds the energies."""
        return {
            "samples": self.samples,
            "steps": self.steps,
            "synaptic_operations": self.synaptic_operations,
            "accumulates": self.accumulates,
            "multiply_accumulates": self.multiply_accumulates,
            "neuron_updates": self.neuron_updates,
            "dense_macs": self.dense_macs,
            "rate": self.rate,
            "projections": self.rows(),
            "delays": [
                {
                    "source": d.source,
                    "delay": d.delay,
                    "relays": d.relays,
                    "neurons": d.relays * d.neurons,
                    "operations": d.operations / self.samples,
                }
                for d in self.delays
            ],
            "populations": [
                {
                    "population": p.name,
                    "shape": list(p.shape),
                    "neurons": p.neurons,
                    "rate": p.rate,
                    "spikes_per_neuron": p.spikes_per_neuron,
                    "operations": self.operations_into(p.name),
                }
                for p in self.populations
            ],
        }
