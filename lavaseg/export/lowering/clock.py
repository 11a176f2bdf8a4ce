"""Biases that differ from step to step become a constant bias and a clock."""

from __future__ import annotations

import numpy as np

from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import DECAY_UNITY, Population


def split_clocks(weighted: WeightedNetwork) -> WeightedNetwork:
    """The common part of a bias (T, channels) becomes a bias, the rest a clock.

    The bias is halfway between the extremes of each channel, so that the clock's synapses, which
    have 8 bits, hold the least they can. A bias is added to v and a clock to the input current a:
    where u decays slowly, each step's clock takes back what is left of the one before.
    """
    net = weighted.network
    if not weighted.clocks and all(bias.ndim == 1 for bias in weighted.biases.values()):
        return weighted
    biases, clocks = dict(weighted.biases), dict(weighted.clocks)
    for population in net.populations:
        name = population.name
        if name in biases and biases[name].ndim == 2:
            biases[name], clock = _split(biases[name], population)
            clocks[name] = clocks.get(name, 0.0) + clock
    network = net.replace_nodes({name: {"clock": True} for name in clocks})
    return weighted.replace(network=network, biases=biases, clocks=clocks)


def _split(steps: np.ndarray, population: Population) -> tuple[np.ndarray, np.ndarray]:
    """(channels,) and (T, channels)."""
    bias = (steps.min(0) + steps.max(0)) / 2
    rest = steps - bias
    clock = rest.copy()
    clock[1:] -= (1 - population.current_decay / DECAY_UNITY) * rest[:-1]
    return bias, clock
