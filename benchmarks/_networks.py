"""Integer networks to measure: Spiking-DeepLab with random weights at realistic spike rates."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lavaseg import models
from lavaseg.deploy import simulate
from lavaseg.encoders import Poisson
from lavaseg.integers import IntegerNetwork
from lavaseg.network import Input, Network, Population, Projection
from lavaseg.neuron import NEVER, STATE_SCALE

RATE = 0.15
"""Spikes a neuron and step if nothing were lost at resets, which leaves about 0.09; published
rates are 0.02 to 0.25."""
_DEVIATION = 16.0
"""Standard deviation of the weights, in weight units."""


def deeplab(
    *, width: int, size: int, steps: int, layers: int | None = None, classes: int = 2, seed: int = 0
) -> IntegerNetwork:
    """Spiking-DeepLab in the hardware preset, norms folded away, with random even weights.

    Thresholds are set layer by layer so that every population spikes at a realistic rate (see
    `RATE`) on random pictures: a silent net would be cheap for us, and cost stock Lava the same.

    Args:
        width: channels of the first layer; the others keep the published ratios (64 as published).
        size: height and width of the input, which has 3 channels.
        steps: T.
        layers: only the first so many convolutions, a plain sequence; None: all, and the read-out.
    """
    full = models.build("spiking_deeplab", Input("input", (3, size, size)), classes, width=width)
    count = len(full.nodes) if layers is None else layers
    rng = np.random.default_rng(seed)
    spikes = _random_pictures(full.input, 1, steps, seed)
    weights: dict[str, np.ndarray] = {}
    nodes: list[Population] = []
    for projection in full.projections[:count]:
        fires = projection.target != full.readout
        shape = full.weight_shape(projection)
        assert shape is not None
        weight = _random_weights(shape, steps, fires, rng)
        population = Population(projection.target, threshold=None)
        if fires:
            threshold = _threshold(full, projection, weight, spikes)
            population = Population(projection.target, threshold)
            spikes = _layer(full, projection, population, weight, spikes)[1]
        weights[projection.name] = weight
        nodes.append(population)
    network = Network(full.input, tuple(nodes), full.projections[:count], nodes[-1].name)
    return IntegerNetwork(network, weights, Poisson(steps), _names(network))


def _random_weights(
    shape: tuple[int, ...], steps: int, fires: bool, rng: np.random.Generator
) -> np.ndarray:
    """Even int16 weights; a read-out's are small enough to add up for all steps."""
    fan = math.prod(shape[1:])
    deviation = _DEVIATION if fires else min(_DEVIATION, NEVER / (2 * fan * steps))
    drawn = np.clip(2 * np.round(rng.normal(0, deviation / 2, shape)), -256, 254)
    return drawn.astype(np.int16)


def _threshold(
    full: Network, projection: Projection, weight: np.ndarray, spikes: np.ndarray
) -> int:
    """The mantissa at which the positive drift of the membranes makes spikes at `RATE`."""
    silent = Population(projection.target, threshold=None)
    drift = _layer(full, projection, silent, weight, spikes)[0] / STATE_SCALE
    mean = float(np.maximum(drift, 0).mean()) / spikes.shape[1]
    return min(max(1, round(mean / RATE)), NEVER - 1)


def _layer(
    full: Network,
    projection: Projection,
    population: Population,
    weight: np.ndarray,
    spikes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Last membranes (N, C, H, W) and spikes (N, T, C, H, W) of one layer on its own."""
    source = Input(projection.source, full.shape(projection.source))
    network = Network(source, (population,), (projection,), population.name)
    encoder = Poisson(spikes.shape[1])
    net = IntegerNetwork(network, {projection.name: weight}, encoder, _names(network))
    activity = simulate(net, spikes, record=population.name)
    return activity.readout, activity.spikes[population.name]


def _names(network: Network) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(network.shape(network.readout)[0]))


def _random_pictures(sheet: Input, samples: int, steps: int, seed: int) -> np.ndarray:
    pictures = np.random.default_rng(seed).integers(0, 128, (samples, *sheet.shape), np.uint8)
    return Poisson(steps).encode(pictures, seed=seed)


def random_input(net: IntegerNetwork, samples: int, seed: int = 1) -> np.ndarray:
    """Spikes of random pictures, uint8 (N, T, C, H, W); a quarter of the pixels fire at a step."""
    return _random_pictures(net.network.input, samples, net.steps, seed)


def spike_rates(net: IntegerNetwork, counts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Spikes a neuron and step of each population that can fire."""
    return {
        population.name: float(counts[population.name].mean()) / net.steps
        for population in net.network.populations
        if population.threshold is not None
    }


def rates_sentence(net: IntegerNetwork, counts: Mapping[str, np.ndarray]) -> str:
    """`spike_rates` in words, for a report."""
    rates = spike_rates(net, counts).items()
    return "Spikes a neuron and step: " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in rates) + "."
