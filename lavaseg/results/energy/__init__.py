"""Energy account: exact synaptic operations from measured spikes, and what papers make of them.

Operations are counted edge-aware: each spike times the synapses that it really has, so that
padded borders, stride holes and cropped outputs are not charged. Energies are estimates, and
each carries its definition and source. Nothing here is a measurement of a chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Current, Network, Relay, Shape
from lavaseg.network.delays import plan
from lavaseg.network.grids import fan_out

# --------------------------------------------------------------------------------------------
# Devices


@dataclass(frozen=True)
class Device:
    """Published energies of one technology, in pJ an operation.

    Args:
        name, title: short identifier, and how tables call it.
        accumulate: one synaptic operation of a binary spike (an addition).
        multiply_accumulate: one synaptic operation of a graded spike; None: not possible.
        neuron_update: (least, most) for one neuron and step; (0, 0) if it is not charged.
        source: the publication.
        note: what the figures leave out or do not mean.
    """

    name: str
    title: str
    accumulate: float
    multiply_accumulate: float | None
    neuron_update: tuple[float, float]
    source: str
    note: str


AC_PJ, MAC_PJ = 0.9, 4.6
"""One addition, and one multiplication with addition, in 45 nm (Horowitz 2014)."""

CMOS_45NM = Device(
    name="cmos-45nm",
    title="45 nm CMOS",
    accumulate=AC_PJ,
    multiply_accumulate=MAC_PJ,
    neuron_update=(0.0, 0.0),
    source="Horowitz, ISSCC 2014: 32-bit floating point, addition 0.9 pJ, MAC 4.6 pJ",
    note="arithmetic only: memory, communication, neuron updates and leakage are not charged",
)
LOIHI_1 = Device(
    name="loihi-1",
    title="Loihi 1 (pre-silicon)",
    accumulate=23.6,
    multiply_accumulate=None,
    neuron_update=(52.0, 81.0),
    source="Davies et al., IEEE Micro 2018, Table 2: synaptic operation 23.6 pJ (minimum), "
    "neuron update 52 pJ inactive, 81 pJ active",
    note="pre-silicon values of another chip, not of Loihi 2, for which none are published; "
    "spike routing, leakage and host are not charged",
)
DEVICES: dict[str, Device] = {device.name: device for device in (CMOS_45NM, LOIHI_1)}


# --------------------------------------------------------------------------------------------
# The account


@dataclass(frozen=True)
class ProjectionAccount:
    """What one projection did.

    Args:
        name, source, target, kind: of the projection and its operator; kind "clock" for the
            axons of a population's clock, one of which reaches every neuron at each step.
        analog: its source sends graded spikes, so that each operation is a MAC.
        weighted: the operator has weights (in an artificial network it costs MACs, else sums).
        synapses: synapses that exist, each spatial copy counted: what one spike of every
            source neuron would cause.
        dense_macs: operations of one dense pass as papers count them, zero padding included.
        spikes: spikes of the source over all samples.
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
    """What the chain of relays, or the echo, of one node did (`lavaseg/network/delays.py`).

    Args:
        source, delay: whose spikes wait, and the delay of the projections that they belong to.
        relays: how many follow one another.
        neurons: of each relay.
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
    """What one population, or relay, did.

    Args:
        shape: (channels, height, width).
        fires: False for a read-out, which only integrates.
        spikes: over all samples.
        rate: spikes of a neuron and step.
        spikes_per_neuron: spikes of a neuron in one sample (Kim et al.'s R_s, may exceed 1).
        macs: dense MACs of all weighted projections into it, as papers count them.
    """

    name: str
    shape: Shape
    fires: bool
    spikes: int
    rate: float
    spikes_per_neuron: float
    macs: int

    @property
    def neurons(self) -> int:
        channels, height, width = self.shape
        return channels * height * width


@dataclass(frozen=True)
class Estimate:
    """Energy of one sample by one definition.

    Args:
        name, title: short identifier, and how tables call it.
        picojoules: (least, most); equal where the definition gives one number, None where the
            device cannot do the operations.
        reference: energy in pJ of the artificial network of the same shape, counted in the same
            way, or None where there is nothing to compare with.
        definition, source: what was computed, and who published it.
    """

    name: str
    title: str
    picojoules: tuple[float, float] | None
    reference: float | None
    definition: str
    source: str

    @property
    def ratio(self) -> float | None:
        """How many times less than the artificial network of the same shape; None if unknown."""
        if self.picojoules is None or self.reference is None or self.picojoules[1] == 0:
            return None
        return self.reference / self.picojoules[1]


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

    # -- counts of one sample ----------------------------------------------------------------

    @property
    def accumulates(self) -> float:
        """Synaptic operations of binary spikes, a sample."""
        return sum(p.operations for p in self._working if not p.analog) / self.samples

    @property
    def multiply_accumulates(self) -> float:
        """Synaptic operations of graded spikes, a sample."""
        return sum(p.operations for p in self._working if p.analog) / self.samples

    @property
    def synaptic_operations(self) -> float:
        """All synaptic operations, a sample; those of relays that make spikes wait included."""
        return sum(p.operations for p in self._working) / self.samples

    @property
    def _working(self) -> tuple[ProjectionAccount | DelayAccount, ...]:
        return self.projections + self.delays

    @property
    def neuron_updates(self) -> int:
        """Neurons times steps, a sample: each neuron (relays included) is updated at every step."""
        neurons = sum(p.neurons for p in self.populations)
        return self.steps * (neurons + sum(d.relays * d.neurons for d in self.delays))

    @property
    def rate(self) -> float:
        """Spikes of a neuron and step, over all neurons that can fire."""
        firing = [p for p in self.populations if p.fires]
        neurons = sum(p.neurons for p in firing)
        spikes = sum(p.spikes for p in firing)
        return spikes / (neurons * self.samples * self.steps) if neurons else 0.0

    @property
    def dense_macs(self) -> int:
        """MACs of one dense pass as papers count them: weighted layers, zero padding included."""
        return sum(p.dense_macs for p in self.projections if p.weighted)

    def operations_into(self, population: str) -> float:
        """Synaptic operations that a population receives, a sample."""
        found = [p.operations for p in self.projections if p.target == population]
        return sum(found) / self.samples

    # -- energies of one sample --------------------------------------------------------------

    def on(self, device: Device) -> Estimate:
        """The exact operations at a device's published energies."""
        silent = device.multiply_accumulate is None and self.multiply_accumulates > 0
        synaptic = self.accumulates * device.accumulate
        synaptic += self.multiply_accumulates * (device.multiply_accumulate or 0.0)
        least, most = (synaptic + self.neuron_updates * pj for pj in device.neuron_update)
        terms = [f"{device.accumulate:g} pJ × operations of binary spikes"]
        if device.multiply_accumulate is not None:
            terms.append(f"{device.multiply_accumulate:g} pJ × operations of graded spikes")
        if device.neuron_update[1]:
            low, high = device.neuron_update
            terms.append(f"{low:g} to {high:g} pJ × neurons × steps")
        definition = " + ".join(terms) + f"; {device.note}"
        if silent:
            definition += "; no figure: this device has no graded spikes, the network does"
        return Estimate(
            name=device.name,
            title=f"{device.title}, exact operations",
            picojoules=None if silent else (least, most),
            reference=self._artificial(exact=True) if device is CMOS_45NM else None,
            definition=definition,
            source=device.source,
        )

    def kim(self) -> Estimate:
        """The formula of Kim et al. 2022, as published."""
        energy = sum(p.macs * p.spikes_per_neuron for p in self.populations)
        energy *= AC_PJ
        return Estimate(
            name="kim",
            title="Kim et al.'s formula",
            picojoules=(energy, energy),
            reference=self._artificial(exact=False),
            definition="sum over layers of dense MACs × the layer's own output spikes of a neuron "
            "in one inference × 0.9 pJ, as published: it uses the output rate where the input "
            "rate causes the work, and charges nothing for a read-out that never fires",
            source="Kim et al., Neuromorphic Computing and Engineering 2022 (Spiking-DeepLab)",
        )

    def mfs_seg(self) -> Estimate:
        """The formula of MFS-Seg (Su et al. 2024), its equation 7."""
        energy = AC_PJ * self.steps * self.rate * self.dense_macs
        return Estimate(
            name="mfs-seg",
            title="MFS-Seg's formula",
            picojoules=(energy, energy),
            reference=self._artificial(exact=False),
            definition="0.9 pJ × T × mean firing rate × dense MACs of the whole network; the mean "
            "is taken here over all neurons that can fire; graded input is not charged as MACs",
            source="Su et al. 2024 (MFS-Seg), equation 7",
        )

    def artificial(self) -> Estimate:
        """The artificial network of the same shape, one pass."""
        energy = self._artificial(exact=True)
        return Estimate(
            name="ann",
            title="Artificial network of the same shape",
            picojoules=(energy, energy),
            reference=None,
            definition="4.6 pJ × MACs of one dense pass (0.9 pJ × additions in layers without "
            "weights), border padding not charged, as for the spiking network; with padding, as "
            f"papers count: {format_energy(self._artificial(exact=False))}",
            source=CMOS_45NM.source,
        )

    def _artificial(self, *, exact: bool) -> float:
        """One dense pass in pJ: real synapses only, or 4.6 pJ × MACs with padding (Kim et al.)."""
        if not exact:
            return MAC_PJ * self.dense_macs
        return sum(
            p.synapses * (MAC_PJ if p.weighted else AC_PJ)
            for p in self.projections
            if p.kind != "clock"  # it has no steps
        )

    def estimates(self) -> tuple[Estimate, ...]:
        """All energies of one sample; the first is the one to quote."""
        return (
            self.on(CMOS_45NM),
            self.artificial(),
            self.kim(),
            self.mfs_seg(),
            self.on(LOIHI_1),
        )

    # -- tables and files --------------------------------------------------------------------

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

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; figures of one sample, definitions and sources included."""
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
            "energy": [
                {
                    "name": e.name,
                    "title": e.title,
                    "picojoules": None if e.picojoules is None else list(e.picojoules),
                    "ratio_to_ann": e.ratio,
                    "definition": e.definition,
                    "source": e.source,
                }
                for e in self.estimates()
            ],
        }


def account(
    network: Network, counts: Mapping[str, np.ndarray], samples: int, steps: int
) -> EnergyAccount:
    """Count the operations that measured spikes caused.

    Args:
        network: the description as it runs, without `Current`s.
        counts: spikes of each neuron summed over samples and steps, integers (C, H, W), for the
            input and each population that fires; graded input counts messages.
        samples: number of samples that were summed.
        steps: logical time steps T of one sample.

    Raises:
        LavasegError: spikes of a population are missing, have another shape or are impossible;
            the network has a `Current`, which carries no spikes until export unrolls it.
    """
    if samples < 1 or steps < 1:
        raise LavasegError(f"samples and steps must be at least 1, got {samples} and {steps}")
    for node in network.nodes:
        if isinstance(node, Current):
            raise LavasegError(
                f"current {node.name!r} carries no spikes: count the exported network, in which "
                "it is unrolled into projections"
            )
    silent = {p.name for p in network.populations if p.threshold is None}
    sheets = {
        name: _summed(name, counts, shape, samples * steps, name in silent)
        for name, shape in network.shapes.items()
    }
    graded = {node.name for node in network.nodes if isinstance(node, Relay)}
    if network.input.message_bits > 1:
        graded.add(network.input.name)
    projections = []
    for p in network.projections:
        shape = network.shape(p.source)
        synapses = fan_out(p.operator, shape)[0]  # as of every channel
        projections.append(
            ProjectionAccount(
                name=p.name,
                source=p.source,
                target=p.target,
                kind=p.operator.kind,
                analog=p.source in graded,
                weighted=p.operator.weight_shape(shape) is not None,
                synapses=int(synapses.sum()) * shape[0],
                dense_macs=p.operator.macs(shape),
                spikes=int(sheets[p.source].sum()),
                operations=int((sheets[p.source] * synapses).sum()),
            )
        )
    for population in network.populations:
        if population.clock or population.norm == "bntt_shift":
            projections.append(_clock_account(network, population.name, samples, steps))
    populations = []
    for node in network.senders:
        name = node.name
        total, neurons = int(sheets[name].sum()), network.neurons(name)
        populations.append(
            PopulationAccount(
                name=name,
                shape=network.shape(name),
                fires=name not in silent,
                spikes=total,
                rate=total / (neurons * samples * steps),
                spikes_per_neuron=total / (neurons * samples),
                macs=sum(p.dense_macs for p in projections if p.target == name and p.weighted),
            )
        )
    delays = []
    planned = plan(network, steps)
    for (source, delay), relays in planned.chains.items():
        neurons = network.neurons(source)
        operations = int(sheets[source].sum()) * relays + neurons * delay * samples
        delays.append(DelayAccount(source, delay, relays, neurons, source in graded, operations))
    for name in planned.echoes:
        neurons = network.neurons(name)
        for analog in (False, True):  # an echo has its population's input once more
            operations = sum(
                p.operations for p in projections if p.target == name and p.analog == analog
            )
            count = 0 if analog else 1
            delays.append(
                DelayAccount(
                    name, 1, count, neurons, analog, operations + count * neurons * samples
                )
            )
    return EnergyAccount(samples, steps, tuple(projections), tuple(populations), tuple(delays))


def _clock_account(network: Network, name: str, samples: int, steps: int) -> ProjectionAccount:
    neurons = network.neurons(name)
    return ProjectionAccount(
        name=f"clock_to_{name}",
        source="clock",
        target=name,
        kind="clock",
        analog=False,
        weighted=False,
        synapses=steps * neurons,
        dense_macs=0,
        spikes=samples * steps,
        operations=samples * steps * neurons,
    )


def _summed(
    name: str, counts: Mapping[str, np.ndarray], shape: Shape, most: int, silent: bool
) -> np.ndarray:
    """Spikes of one node, all channels together, int64 (H, W); zeros for a read-out not recorded.

    That is enough: spikes of every channel reach as many synapses (`fan_out`).
    """
    if name not in counts:
        if silent:
            return np.zeros(shape[1:], np.int64)
        raise LavasegError(f"spike counts of {name!r} are missing")
    found = np.asarray(counts[name])
    if found.shape != shape or not np.issubdtype(found.dtype, np.integer):
        raise LavasegError(
            f"spike counts of {name!r} must be integers of shape {shape}, got {found.dtype} "
            f"{found.shape}"
        )
    if found.size and not 0 <= found.min() <= found.max() <= most:
        raise LavasegError(
            f"spike counts of {name!r} reach from {found.min()} to {found.max()}, "
            f"possible are 0 to {most} (samples x steps)"
        )
    summed: np.ndarray = found.sum(0, dtype=np.int64)
    return summed


def artificial(macs: int) -> Estimate:
    """One pass of an artificial network, as Kim et al. 2022 count it."""
    energy = MAC_PJ * macs
    return Estimate(
        name="ann",
        title="Artificial network",
        picojoules=(energy, energy),
        reference=None,
        definition="4.6 pJ × MACs of one pass, zero padding included",
        source=CMOS_45NM.source,
    )


def format_energy(picojoules: float) -> str:
    """An energy with three significant digits and its unit: '1.23 µJ'."""
    value, units = picojoules, ["pJ", "nJ", "µJ", "mJ", "J"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
