"""The choice of tiles: into which parts a layer is cut, so that each fits a core.

What Intel's compiler does is not public. These rules were found from its printed tables and choose
the same tile for every layer there (docs/loihi2.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from lavaseg.chip.layers import ChipLayer, Synapses
from lavaseg.chip.profiles import CompilerProfile, Registers
from lavaseg.chip.resources import Axons, Tile, list_words, outgoing_axons, registers


class Partitioner:
    """Chooses the tile of one layer.

    Args:
        layer: what is cut.
        profile: the capacities of a core.
        targets: the layers that it sends to, with the synapses there.
        tiles: the tiles of these, by name; a layer that sends to itself need not have one yet.
    """

    def __init__(
        self,
        layer: ChipLayer,
        profile: CompilerProfile,
        targets: Sequence[tuple[ChipLayer, Synapses]],
        tiles: Mapping[str, Tile],
    ) -> None:
        self.layer, self.profile, self.targets, self.tiles = layer, profile, targets, tiles

    def tile(self) -> Tile:
        """The tile; the smallest possible one if none fits."""
        if not self.layer.flat:
            return self._sheet()
        return self._by_words() if self.profile.power_words else self._by_ratio()

    def first(self, tile: Tile) -> Registers:
        """Registers of the first core."""
        out = self._axons(tile)
        return self._registers(tile, out, (0, 0))

    def fullest(self, tile: Tile) -> Registers:
        """Registers of the core whose axons take most; a full tile."""
        out = self._axons(tile)
        total = out.axon_map + out.axon_mem
        row, column = divmod(int(total.argmax()), total.shape[1])
        return self._registers(tile, out, (row, column))

    def _axons(self, tile: Tile) -> Axons:
        tiles = {**self.tiles, self.layer.name: tile}
        return outgoing_axons(self.layer, tile, self.targets, tiles)

    def _registers(self, tile: Tile, out: Axons, place: tuple[int, int]) -> Registers:
        axons = int(out.axon_map[place]), int(out.axon_mem[place])
        return registers(self.layer, tile, self.profile, axons)

    def mean(self, tile: Tile) -> Registers:
        """Registers as the compiler of 2022 prints them: axons, and lists of synapses, as the mean
        over all cores; the other registers of a sheet are those of a full tile."""
        layer = self.layer
        if not layer.flat:
            out = self._axons(tile)
            means = int(out.axon_map.mean()), int(out.axon_mem.mean())
            return registers(layer, tile, self.profile, means)
        cores, last = tile.cores(layer), layer.neurons % tile.x or tile.x
        full = registers(layer, tile, self.profile, (tile.x, 0))
        rest = registers(layer, Tile(last, 1, 1), self.profile, (last, 0))
        return Registers(
            **{
                item.name: (getattr(full, item.name) * (cores - 1) + getattr(rest, item.name))
                // cores
                for item in fields(Registers)
            }
        )

    def violations(self, tile: Tile) -> dict[str, int]:
        """Registers of which the fullest core has too little, with what is used.

        A sheet's neurons are counted, whatever state they have: a buffer of the input that takes 13
        words a neuron is printed with 427 % of the words and fits. Their words weigh on the total.
        """
        return self.exceeded(tile, self.fullest(tile))

    def exceeded(self, tile: Tile, fullest: Registers) -> dict[str, int]:
        """The same for registers that are known already."""
        found = self.profile.violations(fullest)
        limit = self.profile.capacities["neurons"]
        if not self.layer.flat and limit is not None and tile.neurons <= limit:
            found.pop("neurons", None)
        return found

    # -- sheets --------------------------------------------------------------------------------

    def _sheet(self) -> Tile:
        """Begin with the largest power of two along x, all of y and all channels. While there are
        too many neurons, halve x and y in turn (2022: x alone). While synapses do not fit, halve
        the channels; while anything else does not fit, go on along x and y. Last, let x, then y
        grow again while all fits."""
        channels, height, width = self.layer.shape
        widest = 1 << (width.bit_length() - 1)
        tile, along_x = Tile(widest, height, channels), True
        limit = self.profile.capacities["neurons"]
        assert limit is not None
        while tile.neurons > limit and tile.neurons > 1:
            tile, along_x = self._halved(tile, along_x)
        while (over := self.violations(tile)) and tile.neurons > 1:
            if "syn_mem" in over or ("total" in over and self._mostly_synapses(tile)):
                tile = self._narrowed(tile)
            else:
                tile, along_x = self._halved(tile, along_x)
        while tile.x < widest and self._fits(wider := Tile(2 * tile.x, tile.y, tile.c)):
            tile = wider
        while tile.y < height and self._fits(
            higher := Tile(tile.x, min(2 * tile.y, height), tile.c)
        ):
            tile = higher
        return tile

    def _fits(self, tile: Tile) -> bool:
        limit = self.profile.capacities["neurons"]
        return (limit is None or tile.neurons <= limit) and not self.violations(tile)

    def _halved(self, tile: Tile, along_x: bool) -> tuple[Tile, bool]:
        """The tile of half the places, and the axis that is next; odd extents are left alone."""
        turn = along_x or not self.profile.halves_rows
        if tile.y % 2 or tile.y == 1:
            turn = True
        if tile.x == 1:
            turn = False
        if turn:
            return Tile(tile.x // 2, tile.y, tile.c), False
        if tile.y > 1:
            return Tile(tile.x, -(-tile.y // 2), tile.c), True
        return Tile(tile.x, tile.y, -(-tile.c // 2)), along_x

    def _narrowed(self, tile: Tile) -> Tile:
        if tile.c > 1:
            return Tile(tile.x, tile.y, -(-tile.c // 2))
        return self._halved(tile, True)[0]

    def _mostly_synapses(self, tile: Tile) -> bool:
        used = self.fullest(tile)
        return 2 * used.syn_mem > used.total

    # -- lists of axons ------------------------------------------------------------------------

    def _by_words(self) -> Tile:
        """As many neurons as fit; where their synapses or the total do not, as many as have lists
        of at most 2**k words, with the largest k that fits."""
        limit = self.profile.capacities["neurons"]
        assert limit is not None
        most = max(1, min(self.layer.neurons, limit // self.layer.units))
        tile = Tile(most, 1, 1)
        if not self.violations(tile):
            return tile
        lists = 1 << (self._longest(tile).bit_length() - 1)
        while lists >= 1:
            tile = self._with_lists(lists, most)
            if not self.violations(tile):
                return tile
            lists //= 2
        return Tile(1, 1, 1)

    def _longest(self, tile: Tile) -> int:
        """Words of the longest list of synapses."""
        return max(list_words(self.layer, item, tile) for item in self.layer.incoming)

    def _with_lists(self, longest: int, most: int) -> Tile:
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            if self._longest(Tile(middle, 1, 1)) <= longest:
                low = middle
            else:
                high = middle - 1
        return Tile(low, 1, 1)

    def _by_ratio(self) -> Tile:
        """Equal parts: as many as the fullest register exceeds its capacity, again until all
        fits."""
        parts = 1
        while True:
            tile = Tile(-(-self.layer.neurons // parts), 1, 1)
            over = self.violations(tile)
            if not over or tile.x == 1:
                return tile
            parts *= max(self._ratio(name, used) for name, used in over.items())

    def _ratio(self, name: str, used: int) -> int:
        limit = self.profile.capacities[name]
        assert limit
        return max(2, -(-used // limit))
