"""Any model with delays that training learns, one for each channel that spikes."""

from __future__ import annotations

import dataclasses

from lavaseg.models.logic import is_gate
from lavaseg.network import Network, Population, Projection


def learning_delays(network: Network, max_delay: int) -> Network:
    """The network with learned delays where neurons send through weights.

    As SLAYER's blocks have it, spikes are late, not the input. Neurons that compare spikes of one
    step, and what feeds back, keep their delays.

    Args:
        max_delay: the most steps that a channel may be late; 0 leaves the network as it is.
    """
    if not max_delay:
        return network
    neurons = {p.name: p for p in network.populations if p.threshold is not None}

    def learns(projection: Projection) -> bool:
        source = neurons.get(projection.source)
        target = network[projection.target]
        gate = isinstance(target, Population) and is_gate(network, target)
        weighted = network.weight_shape(projection) is not None
        return source is not None and weighted and not gate and not projection.recurrent

    projections = tuple(
        dataclasses.replace(p, max_delay=max(max_delay, p.longest)) if learns(p) else p
        for p in network.projections
    )
    return dataclasses.replace(network, projections=projections)
