"""How many parameters a network has: as trained, and in integers, and why the two differ."""

from __future__ import annotations

from lavaseg.network import Current, Network
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.levels import integer_neurons
from lavaseg.netx.table import describe


def stored_parameters(net: IntegerNetwork) -> int:
    """Weights, gains, biases and clocks that a network in integers holds, each once.

    It is the sum of the column `parameters` of `describe`; relays and slots that stand for one
    population of integer neurons add nothing.
    """
    return sum(row["parameters"] for row in describe(net))


def parameters_in_words(trained: Network, net: IntegerNetwork) -> str:
    """Both numbers in a sentence, with all that makes them differ.

    Args:
        trained: the description of the float network that `net` was exported from.
    """
    learned, stored = trained.parameter_count(net.steps), stored_parameters(net)
    late = any(p.by_channel or p.max_delay for p in trained.projections)
    delays = "; delays of channels count in neither" if late else ""
    if learned == stored:
        return f"{stored:,} integers, as many as numbers were learned{delays}"
    reasons = " and ".join(_reasons(trained, net)) or "export merges and splits layers"
    return f"{stored:,} integers, of {learned:,} numbers that were learned: {reasons}{delays}"


def _reasons(trained: Network, net: IntegerNetwork) -> list[str]:
    """What export does to the number of parameters, as far as it does it here."""
    found = []
    if any(node.norm != "none" for node in trained.nodes):
        found.append("norms are folded into weights and biases")
    if trained.auxiliaries:
        found.append("auxiliary read-outs are left out")
    if any(isinstance(node, Current) for node in trained.nodes):
        found.append("sums are unrolled, so that weights stand once for each of their sources")
    if net.encoder.interleave > 1:
        found.append("sheets that were made narrower repeat weights")
    network = net.network
    within = {m for item in integer_neurons(network, net.weights) for m in item.members[1:]}
    gains = [
        p
        for p in network.projections
        if network.weight_shape(p) is None and not p.shares and p.target not in within
    ]
    if gains:
        found.append("gains of pools and direct connections are stored, which nobody learns")
    return found
