"""The registers of a core, and versions of Intel's compiler with the capacities they check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lavaseg.errors import LavasegError
from lavaseg.network.delays import MOST_AXONS
from lavaseg.system.words import or_like

TITLES: Mapping[str, str] = {
    "axon_in": "AxonIn",
    "neuron_groups": "NeuronGr",
    "neurons": "Neurons",
    "syn_mem": "SynMem",
    "axon_map": "AxonMap",
    "axon_mem": "AxonMem",
    "total": "Total",
}
"""Names of the registers as the compiler prints them."""


@dataclass(frozen=True)
class Registers:
    """What one core uses.

    Args:
        axon_in: entries for incoming axons.
        neuron_groups: groups of neurons with parameters of their own.
        neurons: words of neuron state.
        syn_mem: words of synaptic memory, 64 bits each.
        axon_map: entries that find the axons of a neuron that spikes.
        axon_mem: words of outgoing axons, four destinations each.
    """

    axon_in: int
    neuron_groups: int
    neurons: int
    syn_mem: int
    axon_map: int
    axon_mem: int

    @property
    def total(self) -> int:
        """The sum of all six, which the compiler limits, too."""
        return (
            self.axon_in
            + self.neuron_groups
            + self.neurons
            + self.syn_mem
            + self.axon_map
            + self.axon_mem
        )

    def used(self) -> dict[str, int]:
        """All seven numbers by the names of `TITLES`."""
        return {name: getattr(self, name) for name in TITLES}


@dataclass(frozen=True)
class CompilerProfile:
    """A version of the compiler: what a core holds, and how it splits layers.

    Args:
        name: the year of its tables.
        capacities: limits by the names of `TITLES`; None where it has none.
        halves_rows: it makes tiles smaller along both axes in turn, not along x alone.
        power_words: it splits a dense layer so that each axon has a power of two of words;
            else into equal parts, by the ratio of what is needed to what there is.
        groups_channels: it counts a neuron group for each group of channels, not one a core.
        averages: it prints the mean over a layer's cores where these differ, not the first core.
        source: the public tables that it was read from.
    """

    name: str
    capacities: Mapping[str, int | None]
    halves_rows: bool
    power_words: bool
    groups_channels: bool
    averages: bool
    source: str

    def violations(self, registers: Registers) -> dict[str, int]:
        """Registers that exceed their capacity, with what is used."""
        return {
            name: used
            for name, used in registers.used().items()
            if (limit := self.capacities[name]) is not None and used > limit
        }

    def shares(self, registers: Registers) -> dict[str, float]:
        """Use of each limited register, 1.0 being all of it."""
        return {
            name: used / limit
            for name, used in registers.used().items()
            if (limit := self.capacities[name])
        }


_WIDE = {"axon_in": MOST_AXONS, "neuron_groups": 8, "neurons": 4095, "axon_map": 16000}

PROFILES: Mapping[str, CompilerProfile] = {
    item.name: item
    for item in (
        CompilerProfile(
            "2022",
            {**_WIDE, "syn_mem": 12000, "axon_mem": 16000, "total": None},
            halves_rows=False,
            power_words=False,
            groups_channels=False,
            averages=True,
            source="lava-dl, tutorials/lava/lib/dl/netx/pilotnet_snn and pilotnet_sdnn "
            "(benchmark.ipynb, October 2022)",
        ),
        CompilerProfile(
            "2024",
            {**_WIDE, "syn_mem": 16000, "axon_mem": 16000, "total": 20000},
            halves_rows=True,
            power_words=True,
            groups_channels=True,
            averages=False,
            source="lava-dl, tutorials/lava/lib/dl/netx/yolo_kp and mnist (run.ipynb, 2024)",
        ),
    )
}
"""Versions that public tables are known of, oldest first. Only the synaptic memory of 2022 is
printed; its other capacities are taken from 2024, and its tables do not contradict them."""

NEWEST = "2024"


def profile(name: str) -> CompilerProfile:
    """The profile of that name.

    Raises:
        LavasegError: there is none.
    """
    if name not in PROFILES:
        raise LavasegError(
            f"there is no compiler profile {name!r}{or_like(name, PROFILES, 'expected one of')}"
        )
    return PROFILES[name]
