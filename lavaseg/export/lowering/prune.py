"""Drop the parts that only training reads: auxiliary read-outs, and all that only they need."""

from __future__ import annotations

from lavaseg.export.weighted import WeightedNetwork


def drop_auxiliaries(weighted: WeightedNetwork) -> WeightedNetwork:
    """The part of the network that its read-out depends on."""
    net = weighted.network.without_auxiliaries()
    if net is weighted.network:
        return weighted
    kept = {node.name for node in net.nodes}
    return weighted.replace(
        network=net,
        weights={p.name: weighted.weights[p.name] for p in net.projections},
        biases={name: bias for name, bias in weighted.biases.items() if name in kept},
        norms={name: norm for name, norm in weighted.norms.items() if name in kept},
        clocks={name: clock for name, clock in weighted.clocks.items() if name in kept},
    )
