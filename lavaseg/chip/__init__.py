"""Loihi 2 as a chip: what is public of it, and how a network lies on its cores.

Nothing here runs on a chip or calls Intel's compiler, which is not public: registers and tiles are
modelled from tables that the compiler printed (docs/loihi2.md).
"""

from __future__ import annotations

from lavaseg.chip.boards import BOARDS, CORES_PER_CHIP, Board, find_board, smallest_board
from lavaseg.chip.energy import Prediction, predict
from lavaseg.chip.interval import Interval
from lavaseg.chip.known import LIMITS
from lavaseg.chip.layers import ChipLayer, Synapses, chip_layers
from lavaseg.chip.limits import Finding, find_limits, legal
from lavaseg.chip.mapping import LayerMapping, Mapping, map_layers, map_net
from lavaseg.chip.measured import MEASUREMENTS, Measurement, Power
from lavaseg.chip.period import padded
from lavaseg.chip.profiles import PROFILES, CompilerProfile, Registers, profile

__all__ = [
    "BOARDS",
    "CORES_PER_CHIP",
    "LIMITS",
    "MEASUREMENTS",
    "PROFILES",
    "Board",
    "ChipLayer",
    "CompilerProfile",
    "Finding",
    "Interval",
    "LayerMapping",
    "Mapping",
    "Measurement",
    "Power",
    "Prediction",
    "Registers",
    "Synapses",
    "chip_layers",
    "find_board",
    "find_limits",
    "legal",
    "map_layers",
    "map_net",
    "padded",
    "predict",
    "profile",
    "smallest_board",
]
