"""Lowering: from trained float values to what hardware holds, as a list of small pure steps.

Each step takes a network and returns a network. `FLOAT_STEPS` run in this order; then
`rounded` turns floats into integers, `unroll_levels` makes binary populations of integer neurons
(`quantise` does both), and `check_ranges` proves that nothing saturates.
"""

from __future__ import annotations

from collections.abc import Callable

from lavaseg.export.lowering.clock import split_clocks
from lavaseg.export.lowering.counted import countable, described, unrolled
from lavaseg.export.lowering.deployable import check_deployable, obstacles
from lavaseg.export.lowering.fold import fold_averages, fold_input_scale, fold_norms
from lavaseg.export.lowering.levels import CHOICES, Choice, levels_unrolled, unroll_levels
from lavaseg.export.lowering.merge import merge_parallel
from lavaseg.export.lowering.prune import drop_auxiliaries
from lavaseg.export.lowering.quantise import (
    Quantisation,
    choose_quantisation,
    quantise,
    rounded,
)
from lavaseg.export.lowering.trial import untrained
from lavaseg.export.lowering.unroll import unroll_currents
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import Network

FLOAT_STEPS: tuple[Callable[[WeightedNetwork], WeightedNetwork], ...] = (
    drop_auxiliaries,
    check_deployable,
    fold_averages,
    fold_norms,
    unroll_currents,
    merge_parallel,
    fold_input_scale,
    split_clocks,
)


def deployed(network: Network, levels: Choice = "auto") -> Network:
    """The network that would run on hardware, whatever the weights will be.

    Args:
        levels: how integer neurons are unrolled (`unroll_levels`).

    Raises:
        LavasegError: it cannot be deployed; the message says why.
    """
    return levels_unrolled(lower(untrained(network)).network, levels).network


def lower(weighted: WeightedNetwork) -> WeightedNetwork:
    """All float steps, in order."""
    for step in FLOAT_STEPS:
        weighted = step(weighted)
    return weighted


__all__ = [
    "CHOICES",
    "FLOAT_STEPS",
    "Choice",
    "Quantisation",
    "check_deployable",
    "choose_quantisation",
    "countable",
    "deployed",
    "described",
    "drop_auxiliaries",
    "fold_averages",
    "fold_input_scale",
    "fold_norms",
    "levels_unrolled",
    "lower",
    "merge_parallel",
    "obstacles",
    "quantise",
    "rounded",
    "split_clocks",
    "unroll_currents",
    "unroll_levels",
    "unrolled",
]
