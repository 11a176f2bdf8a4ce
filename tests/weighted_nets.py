"""Networks with random values, and what enters the membranes of their populations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from lavaseg.export.weighted import FoldedNorm, WeightedNetwork
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.network import Network, Population

STEPS = 5


def received(weighted: WeightedNetwork, emitted: Mapping[str, torch.Tensor]) -> dict[str, object]:
    """What enters each population's membrane, float64 (T, C, H, W), norms and biases included.

    Args:
        emitted: spikes of the input and of each population, (T, C, H, W).
    """
    net, flowing = weighted.network, dict(emitted)
    found: dict[str, object] = {}
    for node in net.ordered:
        total = torch.zeros(STEPS, *net.shape(node.name), dtype=torch.float64)
        for p in net.incoming(node.name):
            weight = torch.from_numpy(np.asarray(weighted.weights[p.name], np.float64))
            arriving = apply_operator(p.operator, flowing[p.source], weight)
            total[p.delay :] += arriving[: max(STEPS - p.delay, 0)]
        if node.name in weighted.norms:
            norm = weighted.norms[node.name]
            total = total * torch.from_numpy(norm.scale).view(-1, 1, 1)
            total = total + torch.from_numpy(norm.shift).view(-1, 1, 1)
        if node.name in weighted.biases:
            total = total + torch.from_numpy(weighted.biases[node.name]).view(-1, 1, 1)
        if not isinstance(node, Population):
            flowing[node.name] = total
        else:
            found[node.name] = total
    return found


def with_values(network: Network, seed: int = 0) -> WeightedNetwork:
    """Random weights, norms and biases where the description asks for them."""
    rng = np.random.default_rng(seed)

    def per_channel(name: str) -> np.ndarray:
        return rng.normal(size=network.shape(name)[0])

    return WeightedNetwork(
        network,
        {
            p.name: np.ones(network.synapse_shape(p))
            if network.weight_shape(p) is None
            else rng.normal(size=network.synapse_shape(p))
            for p in network.projections
        },
        {node.name: per_channel(node.name) for node in network.nodes if node.bias},
        {
            node.name: FoldedNorm(per_channel(node.name), per_channel(node.name))
            for node in network.nodes
            if node.norm == "batch"
        },
    )


def assert_unchanged(before: WeightedNetwork, after: WeightedNetwork) -> None:
    rng = np.random.default_rng(9)
    net = before.network
    names = [net.input.name, *(p.name for p in net.populations)]
    emitted = {
        name: torch.from_numpy((rng.random((STEPS, *net.shape(name))) < 0.4).astype(np.float64))
        for name in names
    }
    expected, found = received(before, emitted), received(after, emitted)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6, msg=name)
