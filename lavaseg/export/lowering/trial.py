"""A trial: the network that a description would be on hardware, before anything is trained."""

from __future__ import annotations

import numpy as np

from lavaseg.export.weighted import FoldedNorm, WeightedNetwork
from lavaseg.network import Network

STEPS = 2
"""Time steps of a trial, which stand for any number of them."""


def untrained(network: Network) -> WeightedNetwork:
    """The description with values for steps that look at structure alone.

    Weights are 1, and norms scale all channels of a node alike: each array is one number repeated,
    which takes neither time nor memory. Scales, biases and clocks are random, so that what differs
    is not equal by chance, and positive, so that no sum vanishes.
    """
    rng = np.random.default_rng(0)

    def number() -> float:
        return rng.uniform(0.5, 1.5)

    def channels(name: str) -> np.ndarray:
        return rng.uniform(0.5, 1.5, network.shape(name)[0])

    def stepped(name: str) -> np.ndarray:
        return rng.uniform(0.5, 1.5, (STEPS, network.shape(name)[0]))

    return WeightedNetwork(
        network,
        {p.name: np.broadcast_to(1.0, network.synapse_shape(p)) for p in network.projections},
        {node.name: channels(node.name) for node in network.nodes if node.bias},
        {
            node.name: FoldedNorm(
                np.broadcast_to(number(), network.shape(node.name)[:1]),
                (channels if node.norm == "batch" else stepped)(node.name),
            )
            for node in network.nodes
            if node.norm != "none"
        },
        clocks={p.name: stepped(p.name) for p in network.populations if p.clock},
    )
