"""The energy account: exact synaptic operations from measured spikes, and estimates of energy.

A network is looked at twice: as described, with dense MACs and firing rates as papers count them
(`described`), and as deployed, with its synapses (`counting`).

Operations are counted edge-aware: each spike times the synapses that it really has, so that
padded borders, stride holes and cropped outputs are not charged (`counting`). Energies are
estimates, and each carries its definition and source (`devices`, `papers`). Nothing here is a
measurement of a chip.
"""

from lavaseg.results.energy.accounts import (
    DelayAccount,
    EnergyAccount,
    PopulationAccount,
    ProjectionAccount,
)
from lavaseg.results.energy.counting import account, trains_only, uncountable
from lavaseg.results.energy.described import DescribedLayer, DescribedWork, describe, fires_as
from lavaseg.results.energy.devices import AC_PJ, CMOS_45NM, LOIHI_1, MAC_PJ, Device
from lavaseg.results.energy.papers import (
    Estimate,
    artificial,
    estimates,
    format_energy,
    kim_energy,
    kim_picojoules,
    mfs_seg_energy,
    mfs_seg_picojoules,
    on_device,
    same_shape,
    to_dict,
)

__all__ = [
    "AC_PJ",
    "CMOS_45NM",
    "LOIHI_1",
    "MAC_PJ",
    "DelayAccount",
    "DescribedLayer",
    "DescribedWork",
    "Device",
    "EnergyAccount",
    "Estimate",
    "PopulationAccount",
    "ProjectionAccount",
    "account",
    "artificial",
    "describe",
    "estimates",
    "fires_as",
    "format_energy",
    "kim_energy",
    "kim_picojoules",
    "mfs_seg_energy",
    "mfs_seg_picojoules",
    "on_device",
    "same_shape",
    "to_dict",
    "trains_only",
    "uncountable",
]
