"""How a network lies on a chip: the cores of each layer, and what they use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lavaseg.chip.boards import Board, chips_for, smallest_board
from lavaseg.chip.layers import ChipLayer, Kind, chip_layers, outgoing
from lavaseg.chip.partition import Partitioner
from lavaseg.chip.profiles import NEWEST, TITLES, CompilerProfile, Registers
from lavaseg.chip.profiles import profile as find_profile
from lavaseg.chip.resources import Tile
from lavaseg.network import Network
from lavaseg.network.base import Shape
from lavaseg.network.integers import IntegerNetwork
from lavaseg.system.shown import html_table
from lavaseg.system.words import counted, percent


@dataclass(frozen=True)
class LayerMapping:
    """One layer on the chip.

    Args:
        name: of the node, or of what helps it.
        kind: as of `ChipLayer`.
        shape: (channels, height, width).
        tile: (x, y, c), what one core computes; (neurons, 1, 1) of a layer without places.
        registers: what the compiler would print: of the first core, or (2022) the mean of all.
        fullest: of the core that uses most.
        cores: how many it takes.
        core_ids: their numbers over all chips; the read-out has the first, as the compiler does it.
        limiting: the register of which the largest share is used, as the compiler names it.
        share: that share; 1.0 is a full core.
        violations: registers that exceed a core however small the tile is, and what is used.
        tabled: public tables of the compiler show such a layer; else its cost is our model.
    """

    name: str
    kind: Kind
    shape: Shape
    tile: tuple[int, int, int]
    registers: Registers
    fullest: Registers
    cores: int
    core_ids: range
    limiting: str
    share: float
    violations: dict[str, int]
    tabled: bool

    @property
    def fits(self) -> bool:
        """Whether each of its tiles fits a core."""
        return not self.violations


@dataclass(frozen=True)
class Mapping:
    """A network on Loihi 2 cores, by our model of the compiler; never run on a chip.

    Args:
        profile: the version of the compiler.
        layers: sources first.
    """

    profile: CompilerProfile
    layers: tuple[LayerMapping, ...]

    def __repr__(self) -> str:
        return f"Mapping({self.misfit or self.summary})"

    def _repr_html_(self) -> str:
        rows = (
            (layer.name, layer.limiting, percent(layer.share, 0), f"{layer.cores:,}")
            for layer in self.layers
        )
        return html_table(repr(self), ["layer", "most used", ">of a core", ">cores"], rows)

    def __getitem__(self, name: str) -> LayerMapping:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def cores(self) -> int:
        """Cores of all layers."""
        return sum(layer.cores for layer in self.layers)

    @property
    def chips(self) -> int:
        """Chips that have so many cores."""
        return chips_for(self.cores)

    @property
    def board(self) -> Board | None:
        """The smallest board that holds it; None: none does."""
        return smallest_board(self.cores)

    @property
    def placed(self) -> bool:
        """Whether every layer fits cores; else their number means nothing."""
        return all(layer.fits for layer in self.layers)

    @property
    def fits(self) -> bool:
        """Whether every layer fits cores, and all cores a board."""
        return self.misfit is None

    @property
    def misfit(self) -> str | None:
        """What does not fit, in one sentence; None if everything does."""
        for layer in self.layers:
            for name, used in layer.violations.items():
                limit = self.profile.capacities[name]
                return (
                    f"layer {layer.name!r} fits no core: {TITLES[name]} would be {used:,} for the "
                    f"smallest tile, a core has {limit:,} (compiler of {self.profile.name})"
                )
        if self.board is None:
            return f"the network needs {self.cores:,} cores, more than any board has"
        return None

    @property
    def summary(self) -> str:
        """Cores, chips and board in a few words."""
        board = self.board
        where = "more than any board has" if board is None else f"smallest board {board.name}"
        return f"{counted(self.cores, 'core')} on {counted(self.chips, 'chip')}, {where}"

    @property
    def utilisation(self) -> float:
        """Mean share of the limiting register over all cores."""
        return sum(layer.share * layer.cores for layer in self.layers) / max(1, self.cores)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "profile": self.profile.name,
            "cores": self.cores,
            "chips": self.chips,
            "board": None if self.board is None else self.board.name,
            "utilisation": self.utilisation,
            "fits": self.fits,
            "misfit": self.misfit,
            "layers": [
                {
                    "layer": layer.name,
                    "kind": layer.kind,
                    "shape": layer.shape,
                    "tile": layer.tile,
                    "registers": layer.registers.used(),
                    "fullest": layer.fullest.used(),
                    "cores": layer.cores,
                    "first_core": layer.core_ids.start,
                    "limiting": layer.limiting,
                    "share": layer.share,
                    "fits": layer.fits,
                    "model": "tables" if layer.tabled else "ours",
                }
                for layer in self.layers
            ],
        }


def map_net(
    net: IntegerNetwork | Network,
    *,
    profile: str = NEWEST,
    steps: int = 20,
    replay: bool = False,
) -> Mapping:
    """How a network lies on Loihi 2, by our model of Intel's compiler.

    Args:
        net: an integer network, or a description without `Current`s (weights of 8 bits then).
        profile: version of the compiler, "2022" or "2024".
        steps: T of a sample, for a network that is not integer yet.
        replay: the input is played from buffers on the chip, not sent by the host.

    Raises:
        LavasegError: there is no such profile, or the network has a `Current`. A layer that fits
            no core raises nothing: `Mapping.misfit` names it.
    """
    return map_layers(chip_layers(net, steps=steps, replay=replay), profile=profile)


def map_layers(layers: Sequence[ChipLayer], *, profile: str = NEWEST) -> Mapping:
    """The mapping of layers, given sources first."""
    chosen = find_profile(profile)
    targets = outgoing(layers)
    tiles: dict[str, Tile] = {}
    place = {layer.name: index for index, layer in enumerate(layers)}
    loops = any(place[item.source] > place[layer.name] for layer in layers
                for item in layer.incoming if item.source in place)  # fmt: skip
    for _ in range(1 + loops):  # what a layer that comes later sends back is known then
        for layer in reversed(layers):
            cutter = Partitioner(layer, chosen, targets.get(layer.name, ()), tiles)
            tiles[layer.name] = cutter.tile()
    found: list[LayerMapping] = []
    begin = 0
    for layer in reversed(layers):
        cutter = Partitioner(layer, chosen, targets.get(layer.name, ()), tiles)
        mapped = _mapped(layer, tiles[layer.name], cutter, begin)
        begin += mapped.cores
        found.append(mapped)
    return Mapping(chosen, tuple(reversed(found)))


def _mapped(layer: ChipLayer, tile: Tile, cutter: Partitioner, begin: int) -> LayerMapping:
    fullest = cutter.fullest(tile)
    shares = cutter.profile.shares(fullest)
    limit = cutter.profile.capacities["neurons"]
    if not layer.flat and limit:
        shares["neurons"] = tile.neurons / limit
    limiting = max(shares, key=lambda name: shares[name])
    cores = tile.cores(layer)
    return LayerMapping(
        name=layer.name,
        kind=layer.kind,
        shape=layer.shape,
        tile=(tile.x, tile.y, tile.c),
        registers=cutter.mean(tile) if cutter.profile.averages else cutter.first(tile),
        fullest=fullest,
        cores=cores,
        core_ids=range(begin, begin + cores),
        limiting=TITLES[limiting],
        share=shares[limiting],
        violations=cutter.exceeded(tile, fullest),
        tabled=layer.tabled,
    )
