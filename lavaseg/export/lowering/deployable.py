"""Refuse networks that static 8-bit synapses and Loihi's neuron cannot run; say what to change."""

from __future__ import annotations

from lavaseg.errors import LavasegError
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import DECAY_UNITY, Network, Population, Resize


class NotDeployableError(LavasegError):
    """A model that trains but cannot run on Loihi; the message says what to change."""


RESIZE = "bilinear resize"
"""One kind of obstacle."""


def obstacles(network: Network) -> dict[str, str]:
    """Parts that have no exact counterpart on Lava: each kind, and a sentence on the first."""
    found: dict[str, str] = {}
    for node in network.nodes:
        if isinstance(node, Population) and node.reset == "soft":
            found.setdefault(
                "soft reset",
                f"population {node.name!r} uses soft reset, Loihi's neuron resets to 0: train "
                "with reset 'hard' (preset 'hardware'); what was converted: convert with "
                "--reset hard",
            )
        if node.norm == "bntt":
            kind = type(node).__name__.lower()
            found.setdefault(
                "norm bntt",
                f"{kind} {node.name!r} uses norm 'bntt', whose scale differs from step to step, "
                "but synapses are static: train with norm 'bntt_shift', whose scale does not",
            )
    for population in network.populations:
        if population.levels is not None and population.name == network.readout:
            found.setdefault(
                "levels",
                f"population {population.name!r} has levels {population.levels}, but it is the "
                "read-out, whose membrane is read: put a population without levels behind it",
            )
        forgets = population.voltage_decay == DECAY_UNITY and not population.memoryless
        if forgets or population.current_decay == 0:
            found.setdefault(
                "decays",
                f"population {population.name!r}: current_decay {population.current_decay} and "
                f"voltage_decay {population.voltage_decay} must be 1 to {DECAY_UNITY} and 0 to "
                f"{DECAY_UNITY - 1}, what Loihi's 12-bit decays hold, or both {DECAY_UNITY}, which "
                "a reset at each step makes",
            )
    for projection in network.projections:
        operator = projection.operator
        if operator.trains_only:
            resizes = isinstance(operator, Resize)
            found.setdefault(
                RESIZE if resizes else operator.kind,
                f"projection {projection.name!r} "
                f"{'resizes bilinearly' if resizes else 'only trains'}, and "
                f"{operator.trains_only}: train "
                + ("with resize 'crop' or with preset 'hardware'" if resizes else "without it"),
            )
    return found


def check_deployable(weighted: WeightedNetwork) -> WeightedNetwork:
    """The network unchanged, if every part of it has an exact counterpart on Lava."""
    for sentence in obstacles(weighted.network).values():
        raise NotDeployableError(sentence)
    return weighted
