"""Refuse what static 8-bit synapses and Loihi's neuron cannot do, and say what to change."""

from __future__ import annotations

from lavaseg.errors import LavasegError
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import DECAY_UNITY, Population


class NotDeployableError(LavasegError):
    """A model that trains but cannot run on Loihi; the message says what to change."""


def check_deployable(weighted: WeightedNetwork) -> WeightedNetwork:
    """The network unchanged, if every part of it has an exact counterpart on Lava."""
    for node in weighted.network.nodes:
        if isinstance(node, Population) and node.reset == "soft":
            raise NotDeployableError(
                f"population {node.name!r} uses soft reset, Loihi's neuron resets to 0: train "
                "with reset 'hard' (preset 'hardware'), or convert with --reset hard"
            )
        if node.norm == "bntt":
            kind = type(node).__name__.lower()
            raise NotDeployableError(
                f"{kind} {node.name!r} uses norm 'bntt', whose scale differs from step to step, "
                "but synapses are static: train with norm 'bntt_shift', whose scale does not"
            )
    for population in weighted.network.populations:
        if population.voltage_decay == DECAY_UNITY or population.current_decay == 0:
            raise NotDeployableError(
                f"population {population.name!r}: current_decay {population.current_decay} and "
                f"voltage_decay {population.voltage_decay} must be 1 to {DECAY_UNITY} and 0 to "
                f"{DECAY_UNITY - 1}, what Loihi's 12-bit decays hold"
            )
    return weighted
