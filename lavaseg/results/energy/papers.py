"""Energies of a network as papers compute them, each with its definition and source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lavaseg.results.energy.accounts import EnergyAccount
from lavaseg.results.energy.described import DescribedWork
from lavaseg.results.energy.devices import AC_PJ, CMOS_45NM, LOIHI_1, MAC_PJ, Device


@dataclass(frozen=True)
class Estimate:
    """Energy of one sample by one definition.

    Args:
        name, title: short identifier, and how tables call it.
        picojoules: (least, most); equal where the definition gives one number, None where the
            device cannot do the operations.
        reference: energy in pJ of the artificial network of the same shape, counted in the same
            way, or None where there is nothing to compare with.
        definition, source: the formula in words, and who published it.
    """

    name: str
    title: str
    picojoules: tuple[float, float] | None
    reference: float | None
    definition: str
    source: str

    @property
    def ratio(self) -> float | None:
        """The artificial network's energy divided by this one; None if unknown."""
        if self.picojoules is None or self.reference is None or self.picojoules[1] == 0:
            return None
        return self.reference / self.picojoules[1]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "picojoules": None if self.picojoules is None else list(self.picojoules),
            "ratio_to_ann": self.ratio,
            "definition": self.definition,
            "source": self.source,
        }


def on_device(
    account: EnergyAccount, device: Device, work: DescribedWork | None = None
) -> Estimate:
    """The exact operations of a network as deployed, at a device's published energies.

    Args:
        work: the description, whose artificial twin the energy is compared with.
    """
    impossible = device.multiply_accumulate is None and account.multiply_accumulates > 0
    synaptic = account.accumulates * device.accumulate
    synaptic += account.multiply_accumulates * (device.multiply_accumulate or 0.0)
    least, most = (synaptic + account.neuron_updates * pj for pj in device.neuron_update)
    terms = [f"{device.accumulate:g} pJ × operations of binary spikes"]
    if device.multiply_accumulate is not None:
        terms.append(f"{device.multiply_accumulate:g} pJ × operations of graded spikes")
    if device.neuron_update[1]:
        low, high = device.neuron_update
        terms.append(f"{low:g} to {high:g} pJ × neurons × steps")
    definition = " + ".join(terms) + "; counted in the network as deployed, whose sums are unrolled"
    definition += f"; {device.note}"
    if impossible:
        definition += "; no figure: this device has no graded spikes, the network does"
    return Estimate(
        name=device.name,
        title=f"Deployed: {device.title}, exact operations",
        picojoules=None if impossible else (least, most),
        reference=work.real_pass if work is not None and device is CMOS_45NM else None,
        definition=definition,
        source=device.source,
    )


def kim_picojoules(layers: Iterable[tuple[float, float]]) -> float:
    """Energy by Kim et al. 2022 of layers given as (dense MACs, spikes of a neuron R_s)."""
    return AC_PJ * sum(macs * spikes for macs, spikes in layers)


def mfs_seg_picojoules(
    blocks: Iterable[tuple[float, float]], steps: int, multiplied: float = 0
) -> float:
    """Energy by equation 7 of Su et al. 2024.

    Args:
        blocks: (dense MACs, firing rate per neuron and step) of each.
        steps: T.
        multiplied: MACs of the layers that see values instead of spikes, charged once.
    """
    return AC_PJ * steps * sum(macs * rate for macs, rate in blocks) + MAC_PJ * multiplied


def kim_energy(work: DescribedWork) -> Estimate:
    """The formula of Kim et al. 2022, as published."""
    energy = kim_picojoules((layer.macs, layer.own) for layer in work.layers)
    return Estimate(
        name="kim",
        title="Kim et al.'s formula",
        picojoules=(energy, energy),
        reference=MAC_PJ * work.macs,
        definition="sum over layers of dense MACs × the layer's own output spikes of a neuron "
        "in one inference × 0.9 pJ, as published: it uses the output rate where the input "
        "rate causes the work, and charges nothing for a read-out that never fires; a layer that "
        "ends in a sum without neurons takes the spikes in front of it",
        source="Kim et al., Neuromorphic Computing and Engineering 2022 (Spiking-DeepLab)",
    )


def mfs_seg_energy(work: DescribedWork) -> Estimate:
    """The formula of MFS-Seg (Su et al. 2024), its equation 7."""
    energy = mfs_seg_picojoules(
        ((layer.macs, layer.arriving / work.steps) for layer in work.layers if not layer.graded),
        work.steps,
        sum(layer.macs for layer in work.layers if layer.graded),
    )
    return Estimate(
        name="mfs-seg",
        title="MFS-Seg's formula",
        picojoules=(energy, energy),
        reference=MAC_PJ * work.macs,
        definition="0.9 pJ × T × sum over blocks of firing rate × dense MACs, + 4.6 pJ × MACs of "
        "layers that see graded input, once; a block is a layer here, and its rate that of the "
        "neurons in front of it (the paper's tables take one mean rate for the whole network, and "
        "leave the second term out)",
        source="Su et al. 2024 (MFS-Seg), equation 7",
    )


def same_shape(work: DescribedWork) -> Estimate:
    """The artificial network of the same shape as a description, one pass."""
    energy = MAC_PJ * work.macs
    definition = (
        "4.6 pJ × MACs of one dense pass of the network as described, zero padding included and "
        "transposed convolutions by their outputs, as papers count"
    )
    if work.real_pass is not None:
        definition += (
            f"; the deployed operations are compared with {format_energy(work.real_pass)}, in "
            "which border padding is not charged, and additions in layers without weights are, "
            "0.9 pJ each"
        )
    return Estimate(
        name="ann",
        title="Artificial network of the same shape",
        picojoules=(energy, energy),
        reference=None,
        definition=definition,
        source=CMOS_45NM.source,
    )


def artificial(macs: int) -> Estimate:
    """One pass of an artificial network of `macs` MACs, as Kim et al. 2022 count it."""
    energy = MAC_PJ * macs
    return Estimate(
        name="ann",
        title="Artificial network",
        picojoules=(energy, energy),
        reference=None,
        definition="4.6 pJ × MACs of one pass, zero padding included and transposed convolutions "
        "by their outputs",
        source=CMOS_45NM.source,
    )


def estimates(work: DescribedWork, account: EnergyAccount | None = None) -> tuple[Estimate, ...]:
    """All energies of one sample; the first is the one to quote.

    Args:
        work: the network as described, with its spikes.
        account: exact operations of the network as deployed; None where they are not counted.
    """
    described = (kim_energy(work), mfs_seg_energy(work), same_shape(work))
    if account is None:
        return described
    return (
        on_device(account, CMOS_45NM, work),
        *described,
        on_device(account, LOIHI_1),
    )


def to_dict(
    work: DescribedWork, account: EnergyAccount | None = None, uncounted: str = ""
) -> dict[str, Any]:
    """A description's work and energies, and the exact counts, as plain data for JSON.

    Figures of one sample. `synaptic_operations` is None where they are not counted, and
    `uncounted` then says why.
    """
    counts = {"synaptic_operations": None} if account is None else account.figures()
    return counts | {
        "uncounted": uncounted or None,
        "macs": work.macs,
        "layers": [dataclasses.asdict(layer) for layer in work.layers],
        "energy": [e.to_dict() for e in estimates(work, account)],
    }


def format_energy(picojoules: float) -> str:
    """An energy with three significant digits and its unit: '1.23 µJ'."""
    value, units = picojoules, ["pJ", "nJ", "µJ", "mJ", "J"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
