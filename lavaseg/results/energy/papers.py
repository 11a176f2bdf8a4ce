"""Energies of an account as papers compute them, each with its definition and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lavaseg.results.energy.accounts import EnergyAccount
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


def on_device(account: EnergyAccount, device: Device) -> Estimate:
    """The exact operations at a device's published energies."""
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
    definition = " + ".join(terms) + f"; {device.note}"
    if impossible:
        definition += "; no figure: this device has no graded spikes, the network does"
    return Estimate(
        name=device.name,
        title=f"{device.title}, exact operations",
        picojoules=None if impossible else (least, most),
        reference=_real_pass(account) if device is CMOS_45NM else None,
        definition=definition,
        source=device.source,
    )


def kim_energy(account: EnergyAccount) -> Estimate:
    """The formula of Kim et al. 2022, as published."""
    energy = sum(p.macs * p.spikes_per_neuron for p in account.populations)
    energy *= AC_PJ
    return Estimate(
        name="kim",
        title="Kim et al.'s formula",
        picojoules=(energy, energy),
        reference=_padded_pass(account.dense_macs),
        definition="sum over layers of dense MACs × the layer's own output spikes of a neuron "
        "in one inference × 0.9 pJ, as published: it uses the output rate where the input "
        "rate causes the work, and charges nothing for a read-out that never fires",
        source="Kim et al., Neuromorphic Computing and Engineering 2022 (Spiking-DeepLab)",
    )


def mfs_seg_energy(account: EnergyAccount) -> Estimate:
    """The formula of MFS-Seg (Su et al. 2024), its equation 7."""
    energy = AC_PJ * account.steps * account.rate * account.dense_macs
    return Estimate(
        name="mfs-seg",
        title="MFS-Seg's formula",
        picojoules=(energy, energy),
        reference=_padded_pass(account.dense_macs),
        definition="0.9 pJ × T × mean firing rate × dense MACs of the whole network; the mean "
        "is taken here over all neurons that can fire; graded input is not charged as MACs",
        source="Su et al. 2024 (MFS-Seg), equation 7",
    )


def same_shape(account: EnergyAccount) -> Estimate:
    """The artificial network of the same shape as the network of an account, one pass."""
    energy = _real_pass(account)
    return Estimate(
        name="ann",
        title="Artificial network of the same shape",
        picojoules=(energy, energy),
        reference=None,
        definition="4.6 pJ × MACs of one dense pass (0.9 pJ × additions in layers without "
        "weights), border padding not charged, as for the spiking network; with padding, as "
        f"papers count: {format_energy(_padded_pass(account.dense_macs))}",
        source=CMOS_45NM.source,
    )


def artificial(macs: int) -> Estimate:
    """One pass of an artificial network of `macs` MACs, as Kim et al. 2022 count it."""
    energy = _padded_pass(macs)
    return Estimate(
        name="ann",
        title="Artificial network",
        picojoules=(energy, energy),
        reference=None,
        definition="4.6 pJ × MACs of one pass, zero padding included",
        source=CMOS_45NM.source,
    )


def estimates(account: EnergyAccount) -> tuple[Estimate, ...]:
    """All energies of one sample; the first is the one to quote."""
    return (
        on_device(account, CMOS_45NM),
        same_shape(account),
        kim_energy(account),
        mfs_seg_energy(account),
        on_device(account, LOIHI_1),
    )


def to_dict(account: EnergyAccount) -> dict[str, Any]:
    """An account and its estimates as plain data for JSON; figures of one sample."""
    return account.figures() | {"energy": [e.to_dict() for e in estimates(account)]}


def _padded_pass(macs: int) -> float:
    """One dense pass in pJ, zero padding included (Kim et al.)."""
    return MAC_PJ * macs


def _real_pass(account: EnergyAccount) -> float:
    """One dense pass in pJ, of the synapses that exist: MACs, and sums where there are no weights.

    Clocks are left out: an artificial network has no steps.
    """
    return sum(
        p.synapses * (MAC_PJ if p.weighted else AC_PJ)
        for p in account.projections
        if p.kind != "clock"
    )


def format_energy(picojoules: float) -> str:
    """An energy with three significant digits and its unit: '1.23 µJ'."""
    value, units = picojoules, ["pJ", "nJ", "µJ", "mJ", "J"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
