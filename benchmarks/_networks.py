"""Integer networks to measure: published shapes with random weights at a chosen spike rate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lavaseg import models
from lavaseg.deploy import simulate
from lavaseg.encoders import Poisson
from lavaseg.network import (
    NEVER,
    STATE_SCALE,
    Conv,
    ConvTranspose,
    Input,
    Network,
    Population,
    Projection,
)
from lavaseg.network.integers import IntegerNetwork

RATE = 0.1
"""Spikes per neuron and step; published rates are 0.02 to 0.25."""
_DEVIATION = 16.0
"""Standard deviation of the weights, in weight units."""


def deeplab(
    *,
    width: int,
    size: int,
    steps: int,
    layers: int | None = None,
    classes: int = 2,
    rate: float = RATE,
    seed: int = 0,
) -> IntegerNetwork:
    """Spiking-DeepLab in the hardware preset, norms folded away.

    Args:
        width: channels of the first layer; the others keep the published ratios (64 as published).
        size: height and width of the input, which has 3 channels.
        steps: T.
        layers: convolutions from the input on, a plain sequence; None: all, and the read-out.
        rate: spikes per neuron and step.
    """
    full = models.build("spiking_deeplab", Input("input", (3, size, size)), classes, width=width)
    count = len(full.nodes) if layers is None else layers
    return spiking_net(full.input, full.projections[:count], steps, rate, seed)


def fcn(
    *, width: int, size: int, steps: int, classes: int = 2, rate: float = RATE, seed: int = 0
) -> IntegerNetwork:
    """An FCN on the same convolutions: transposed convolutions add three scales up.

    The read-out has the size of the input, and sees conv2, conv4 and conv8.
    """
    whole = models.build("spiking_deeplab", Input("input", (3, size, size)), classes, width=width)
    projections = (
        *whole.projections[:-1],
        Projection("conv8", "readout", ConvTranspose(classes, (8, 8), (4, 4), (2, 2))),
        Projection("conv4", "readout", ConvTranspose(classes, (4, 4), (2, 2), (1, 1))),
        Projection("conv2", "readout", Conv(classes, (1, 1))),
    )
    return spiking_net(whole.input, projections, steps, rate, seed)


def chain(
    populations: int, *, channels: int, size: int, steps: int, rate: float = RATE, seed: int = 0
) -> IntegerNetwork:
    """A chain of 3x3 convolutions of the same size."""
    names = ["input", *(f"conv{index}" for index in range(populations))]
    projections = tuple(
        Projection(source, target, Conv(channels, (3, 3), padding=(1, 1)))
        for source, target in itertools.pairwise(names)
    )
    return spiking_net(Input("input", (3, size, size)), projections, steps, rate, seed)


def spiking_net(
    input_: Input, projections: tuple[Projection, ...], steps: int, rate: float, seed: int
) -> IntegerNetwork:
    """Random even weights, and thresholds at which every population spikes at about `rate`.

    A silent net would be cheap for us, and cost stock Lava the same. The last projection's target
    is the read-out, which does not fire.
    """
    rng = np.random.default_rng(seed)
    spikes = _random_pictures(input_, 1, steps, seed)
    readout = projections[-1].target
    targets = dict.fromkeys(p.target for p in projections)
    nodes: list[Population] = []
    weights: dict[str, np.ndarray] = {}
    whole = Network(input_, tuple(map(Population, targets)), projections, readout)
    for name in targets:
        for projection in whole.incoming(name):
            shape = whole.weight_shape(projection)
            assert shape is not None
            weights[projection.name] = _random_weights(shape, steps, rate, name == readout, rng)
        silent = Population(name, threshold=None)
        net = _prefix(whole, [*nodes, silent], weights, steps)
        if name == readout:
            return net
        drift = simulate(net, spikes).readout / STATE_SCALE
        threshold = float(np.maximum(drift, 0).mean()) / steps / rate
        for _ in range(4):  # what is lost at resets
            node = Population(name, float(min(max(1, round(threshold)), NEVER - 1)))
            net = _prefix(whole, [*nodes, node], weights, steps)
            found = float(simulate(net, spikes).counts[name].mean()) / steps
            threshold *= min(max(found / rate, 0.5), 2)
        nodes.append(node)
    raise AssertionError("no read-out")


def _prefix(
    whole: Network, nodes: list[Population], weights: Mapping[str, np.ndarray], steps: int
) -> IntegerNetwork:
    """The network up to and including the last of `nodes`, which is read out."""
    present = {whole.input.name, *(node.name for node in nodes)}
    projections = tuple(p for p in whole.projections if {p.source, p.target} <= present)
    network = replace(whole, nodes=tuple(nodes), projections=projections, readout=nodes[-1].name)
    names = tuple(f"class {i}" for i in range(network.shape(network.readout)[0]))
    kept = {p.name: weights[p.name] for p in projections}
    return IntegerNetwork(network, kept, Poisson(steps), names)


def _random_weights(
    shape: tuple[int, ...], steps: int, rate: float, readout: bool, rng: np.random.Generator
) -> np.ndarray:
    """Even int16 weights; a read-out's are small enough to add up for all steps.

    Their mean grows with the rate: only what drifts upwards can fire often.
    """
    fan = math.prod(shape) // min(shape[:2]) if readout else 0
    deviation = min(_DEVIATION, NEVER / (8 * fan * steps)) if readout else _DEVIATION
    drawn = 2 * np.round(rng.normal(rate * deviation / 2, deviation / 2, shape))
    return np.clip(drawn, -256, 254).astype(np.int16)


def _random_pictures(sheet: Input, samples: int, steps: int, seed: int) -> np.ndarray:
    pictures = np.random.default_rng(seed).integers(0, 128, (samples, *sheet.shape), np.uint8)
    return Poisson(steps).encode(pictures, seed=seed)


def random_input(net: IntegerNetwork, samples: int, seed: int = 1) -> np.ndarray:
    """Spikes of random pictures, uint8 (N, T, C, H, W); a quarter of the pixels fire at a step."""
    return _random_pictures(net.network.input, samples, net.steps, seed)


def spike_rates(net: IntegerNetwork, counts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Spikes per neuron and step of each population that can fire."""
    return {
        population.name: float(counts[population.name].mean()) / net.steps
        for population in net.network.populations
        if population.threshold is not None
    }


def rates_sentence(net: IntegerNetwork, counts: Mapping[str, np.ndarray]) -> str:
    """`spike_rates` in words, for a report."""
    rates = spike_rates(net, counts).items()
    return (
        "Spikes per neuron and step: " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in rates) + "."
    )
