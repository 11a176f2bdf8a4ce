"""A trial: what a description would become on hardware, before anything is trained."""

from __future__ import annotations

import numpy as np

from lavaseg.export.weighted import Affine, WeightedNetwork
from lavaseg.network import Network, Node


def untrained(network: Network) -> WeightedNetwork:
    """The description with random weights, biases and norms, for steps that look at structure."""
    rng = np.random.default_rng(0)

    def channels(name: str) -> np.ndarray:
        return rng.standard_normal(network.shape(name)[0])

    def shift(node: Node) -> np.ndarray:
        """(channels,), or with two steps, which stand for any number, if it has some of its own."""
        found = channels(node.name)
        return np.stack([found, channels(node.name)]) if node.norm == "bntt_shift" else found

    return WeightedNetwork(
        network,
        {p.name: rng.standard_normal(network.synapse_shape(p)) for p in network.projections},
        {node.name: channels(node.name) for node in network.nodes if node.bias},
        {
            node.name: Affine(channels(node.name), shift(node))
            for node in network.nodes
            if node.norm != "none"
        },
        clocks={p.name: channels(p.name)[None] for p in network.populations if p.clock},
    )
