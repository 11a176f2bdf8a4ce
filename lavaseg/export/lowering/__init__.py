"""Lowering: from trained float values to what hardware holds, as a list of small pure steps.

Each step takes a network and returns a network. `FLOAT_STEPS` run in this order; then
`quantise` turns floats into integers and `check_ranges` proves that nothing saturates.
"""

from __future__ import annotations

from collections.abc import Callable

from lavaseg.export.lowering.clock import split_clocks
from lavaseg.export.lowering.counted import countable, described, unrolled
from lavaseg.export.lowering.deployable import check_deployable, obstacles
from lavaseg.export.lowering.fold import fold_averages, fold_input_scale, fold_norms
from lavaseg.export.lowering.merge import merge_parallel
from lavaseg.export.lowering.prune import drop_auxiliaries
from lavaseg.export.lowering.quantise import Quantisation, choose_quantisation, quantise
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


def deployed(network: Network) -> Network:
    """The network that would run on hardware, whatever the weights will be.

    Raises:
        LavasegError: it cannot be deployed; the message says why.
    """
    return lower(untrained(network)).network


def lower(weighted: WeightedNetwork) -> WeightedNetwork:
    """All float steps, in order."""
    for step in FLOAT_STEPS:
        weighted = step(weighted)
    return weighted


__all__ = [
    "FLOAT_STEPS",
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
    "lower",
    "merge_parallel",
    "obstacles",
    "quantise",
    "split_clocks",
    "unroll_currents",
    "unrolled",
]
