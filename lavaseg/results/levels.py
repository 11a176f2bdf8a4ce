"""The level view: results of integer neurons by population, whatever hardware made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.network import MOST_LEVELS, Network
from lavaseg.network.levels import IntegerNeurons, forms_in_words, integer_neurons

if TYPE_CHECKING:
    from lavaseg.models.analog import AnalogModel
    from lavaseg.results.energy import EnergyAccount


@dataclass(frozen=True)
class LevelView:
    """Which populations send integers, and which nodes each of them became on hardware.

    Args:
        levels: D of each population of integer neurons.
        sheets: the nodes of those that are unrolled, by the name of the population.
    """

    levels: Mapping[str, int] = field(default_factory=dict)
    sheets: Mapping[str, IntegerNeurons] = field(default_factory=dict)

    @classmethod
    def of(
        cls, network: Network | AnalogModel, weights: Mapping[str, np.ndarray] | None = None
    ) -> LevelView:
        """The view of a network, as described or in integers; an artificial one sends none.

        Args:
            weights: of its projections, as of `integer_neurons`.
        """
        if not isinstance(network, Network):
            return cls()
        levels = {p.name: p.levels for p in network.populations if p.levels is not None}
        sheets: dict[str, IntegerNeurons] = {}
        for sheet in integer_neurons(network, weights):
            taken = sheets.keys() | (network.shapes.keys() - {*sheet.members})
            sheets[sheet.sum if sheet.name in taken else sheet.name] = sheet
        levels |= {name: len(sheet.slots) for name, sheet in sheets.items()}
        return cls(levels, sheets)

    @cached_property
    def _populations(self) -> dict[str, str]:
        """The population of each node of a sheet."""
        return {node: name for name, sheet in self.sheets.items() for node in sheet.members}

    def population(self, node: str) -> str:
        """The population that a node belongs to; by default itself."""
        return self._populations.get(node, node)

    def members(self, population: str) -> tuple[str, ...]:
        """The nodes of a population; by default itself."""
        sheet = self.sheets.get(population)
        return (population,) if sheet is None else sheet.members

    def folded(self, nodes: Iterable[str]) -> list[str]:
        """The populations of nodes, in their order."""
        return list(dict.fromkeys(map(self.population, nodes)))

    def unfolded(self, names: Iterable[str]) -> list[str]:
        """The nodes of populations; the names of nodes stay."""
        return [node for name in names for node in self.members(name)]

    def within(self, nodes: Collection[str]) -> LevelView:
        """The view where only some nodes are known: sheets that lack one are left out."""
        sheets = {k: sheet for k, sheet in self.sheets.items() if {*sheet.members} <= {*nodes}}
        gone = self.sheets.keys() - sheets.keys()
        return LevelView({k: d for k, d in self.levels.items() if k not in gone}, sheets)

    def at_once(self, node: str) -> int:
        """Spikes that a neuron of a node counts for at a step, at most."""
        unrolled = node in self.sheets or node in self._populations
        return 1 if unrolled else self.levels.get(node, 1)

    def spikes(self, counts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Spikes of each neuron by population: those of its slots, added up.

        Args:
            counts: of nodes, arrays of any equal shapes.
        """
        view = self.within(counts)
        found: dict[str, np.ndarray] = {}
        for name in view.folded(counts):
            sheet = view.sheets.get(name)
            parts = [counts[slot] for slot in sheet.slots] if sheet else [counts[name]]
            found[name] = parts[0] if sheet is None else np.stack(parts).sum(0, dtype=np.int64)
        return found

    def shares(
        self, counts: Mapping[str, np.ndarray], samples: int, steps: int
    ) -> dict[str, np.ndarray]:
        """The share of each integer 0 .. D in all that a population sent, float64 (D + 1,).

        Slot k spikes where the integer is at least k, so that counts alone say it.

        Args:
            counts: spikes of each neuron, summed over samples and steps, of nodes.
        """
        found = {}
        for name, sheet in self.within(counts).sheets.items():
            sent = samples * steps * counts[sheet.sum].size
            least = np.array([sent, *(int(counts[slot].sum()) for slot in sheet.slots), 0])
            found[name] = (least[:-1] - least[1:]) / max(sent, 1)
        return found

    def operations_into(self, account: EnergyAccount, population: str) -> float:
        """Synaptic operations that a population receives, inside of it included, per sample."""
        return sum(map(account.operations_into, self.members(population)))

    @property
    def in_words(self) -> str:
        """Which populations send their integers how, in words; empty where none is unrolled."""
        return forms_in_words(self.sheets.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: levels and nodes of each population of integer neurons."""
        return {
            name: {
                "levels": levels,
                **({} if name not in self.sheets else _plain(self.sheets[name])),
            }
            for name, levels in self.levels.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LevelView:
        """What `to_dict` gave.

        Raises:
            ValueError, KeyError, TypeError: other data.
        """
        levels = {str(name): int(item["levels"]) for name, item in data.items()}
        sheets = {
            str(name): IntegerNeurons(
                str(item["sum"]), tuple(map(str, item["slots"])), tuple(map(str, item["relays"]))
            )
            for name, item in data.items()
            if "slots" in item
        }
        for name, count in levels.items():
            slots = sheets[name].slots if name in sheets else range(count)
            if not 1 <= count <= MOST_LEVELS or len(slots) != count:
                raise ValueError(f"{name!r} has {count} levels and {len(slots)} slots")
        return cls(levels, sheets)


def _plain(sheet: IntegerNeurons) -> dict[str, Any]:
    return {
        "form": sheet.form,
        "sum": sheet.sum,
        "slots": list(sheet.slots),
        "relays": list(sheet.relays),
    }
