"""Integer networks to measure: Spiking-DeepLab with random weights at realistic spike rates."""

from __future__ import annotations

import math

import numpy as np

from lavaseg import models
from lavaseg.encoders import Poisson
from lavaseg.integers import IntegerNetwork
from lavaseg.network import Input, Network

RATE = 0.12
"""Spikes a neuron and step that thresholds aim at; published rates are 2 to 25 %."""
_DEVIATION = 16.0
"""Standard deviation of the weights, in weight units."""


def deeplab(
    *, width: int, size: int, steps: int, layers: int | None = None, classes: int = 2, seed: int = 0
) -> IntegerNetwork:
    """Spiking-DeepLab in the hardware preset, norms folded away, with random even weights.

    Args:
        width: channels of the first layer; the others keep the published ratios (64 as published).
        size: height and width of the input, which has 3 channels.
        steps: T.
        layers: only the first so many convolutions, a plain sequence; None: all, and the read-out.
    """
    full = models.build("spiking_deeplab", Input("input", (3, size, size)), classes, width=width)
    count = len(full.nodes) if layers is None else layers
    rng = np.random.default_rng(seed)
    changes: dict[str, dict[str, object]] = {}
    weights = {}
    for projection in full.projections[:count]:
        shape = full.weight_shape(projection)
        assert shape is not None
        fan = math.prod(shape[1:])
        spiking = projection.target != full.readout or layers is not None
        # a read-out adds up for T steps, and must stay below the largest threshold
        deviation = _DEVIATION if spiking else min(_DEVIATION, 50_000 / (fan * steps))
        drawn = np.clip(2 * np.round(rng.normal(0, deviation / 2, shape)), -256, 254)
        weights[projection.name] = drawn.astype(np.int16)
        # sums of a step deviate by sqrt(fan * rate): this many of them fire at about RATE
        threshold = max(1, round(2 * deviation * math.sqrt(fan * RATE))) if spiking else None
        changes[projection.target] = {"norm": "none", "threshold": threshold}
    renamed = full.replace_nodes(changes)
    nodes = renamed.nodes[:count]
    network = Network(full.input, nodes, full.projections[:count], nodes[-1].name)
    names = tuple(f"class {i}" for i in range(network.shape(network.readout)[0]))
    return IntegerNetwork(network, weights, Poisson(steps), names)


def random_input(net: IntegerNetwork, samples: int, seed: int = 1) -> np.ndarray:
    """Spikes of random pictures, uint8 (N, T, C, H, W); a quarter of the pixels fire at a step."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 128, (samples, *net.network.input.shape), np.uint8)
    return net.encoder.encode(pictures, seed=seed)


def spike_rates(net: IntegerNetwork, counts: dict[str, np.ndarray]) -> str:
    """Measured spikes a neuron and step of each population, as a sentence."""
    rates = [
        f"{name} {100 * counts[name].mean() / net.steps:.0f} %"
        for name in net.network.shapes
        if name == net.network.input.name or getattr(net.network[name], "threshold", None)
    ]
    return "Spikes a neuron and step: " + ", ".join(rates) + "."
