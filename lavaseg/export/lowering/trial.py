"""A trial: what a description would become on hardware, before anything is trained."""

from __future__ import annotations

import numpy as np

from lavaseg.export.weighted import FoldedNorm, WeightedNetwork
from lavaseg.network import Network


def untrained(network: Network, steps: int = 1) -> WeightedNetwork:
    """The description with values for steps that look at structure alone.

    Weights are 1, which takes no time to draw; norms, biases and clocks are random. All are
    positive, so that no sum vanishes by chance.

    Args:
        steps: T of a sample, where a node has values of its own for each step.
    """
    rng = np.random.default_rng(0)

    def channels(name: str) -> np.ndarray:
        return rng.uniform(0.5, 1.5, network.shape(name)[0])

    def stepped(name: str) -> np.ndarray:
        return rng.uniform(0.5, 1.5, (steps, network.shape(name)[0]))

    return WeightedNetwork(
        network,
        {p.name: np.ones(network.synapse_shape(p)) for p in network.projections},
        {node.name: channels(node.name) for node in network.nodes if node.bias},
        {
            node.name: FoldedNorm(
                channels(node.name),
                (channels if node.norm == "batch" else stepped)(node.name),
            )
            for node in network.nodes
            if node.norm != "none"
        },
        clocks={p.name: stepped(p.name) for p in network.populations if p.clock},
    )
