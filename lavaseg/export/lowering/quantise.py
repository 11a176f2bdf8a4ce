"""Quantise: one scale a population, weights to even integers, biases to mantissa and exponent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lavaseg.encoders import Encoder
from lavaseg.export.lowering.levels import Choice, unroll_levels
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import NEVER, STATE_SCALE, Network, Population, Relay
from lavaseg.network.integers import (
    BIAS_MANTISSA_MAX,
    STOCK_BIAS_EXPONENT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Bias,
    IntegerNetwork,
    RangeError,
    RoundedNetwork,
)
from lavaseg.network.ranges import (
    CURRENT_LIMIT,
    Messages,
    geometric_sum,
    message_ranges,
    synaptic_bounds,
)

HEADROOM = 0.85
"""Part of each range that the first choice of scale uses; fine-tuning may grow into the rest."""


@dataclass(frozen=True)
class Quantisation:
    """The scales that turn trained units into Loihi's.

    Args:
        scales: weight units for each trained unit, for each population.
        bias_exponent: of all biases; stock NetX knows no other than 6.
    """

    scales: Mapping[str, float]
    bias_exponent: int = STOCK_BIAS_EXPONENT


def choose_quantisation(weighted: WeightedNetwork, steps: float = math.inf) -> Quantisation:
    """The largest scale of each population that keeps every number in its range.

    Limits: weights -256 .. 254, the 24-bit current, the 17-bit threshold, the 13-bit bias
    mantissa. The threshold comes out as a whole number.

    Args:
        steps: T of a sample, over which a current adds up that does not decay at once; by default
            any number of them.

    Raises:
        RangeError: a threshold so small, or a bias so large, that no scale fits.
    """
    net = weighted.network
    messages = message_ranges(net, weighted.weights)
    scales = relay_scales(net)
    for population in net.populations:
        scale = whole_threshold(largest_scale(weighted, population, messages, steps), population)
        if scale is None:
            raise too_large(population)
        scales[population.name] = scale
    return Quantisation(scales)


def relay_scales(net: Network) -> dict[str, float]:
    """The scales of relays, whose messages are counts of spikes."""
    return {node.name: 1.0 for node in net.nodes if isinstance(node, Relay)}


def largest_scale(
    weighted: WeightedNetwork, population: Population, messages: Messages, steps: float
) -> float:
    """The largest scale with which a population's numbers fit, its threshold not yet whole.

    Args:
        messages: `message_ranges` of the network.
        steps: T of a sample.
    """
    name = population.name
    synapses = [weighted.weights[p.name] for p in weighted.network.incoming(name)]
    if name in weighted.clocks:
        synapses.append(weighted.clocks[name])
    largest = max((np.abs(values).max(initial=0.0) for values in synapses), default=0.0)
    largest_current = accumulated(
        weighted.network,
        population,
        synaptic_bounds(weighted.network, weighted.weights, name, messages, weighted.clocks),
        steps,
    )
    bias = float(np.abs(weighted.biases.get(name, np.zeros(1))).max(initial=0.0))
    reachable = BIAS_MANTISSA_MAX * 2**STOCK_BIAS_EXPONENT / STATE_SCALE
    limits = [
        WEIGHT_MAX / largest if largest else math.inf,
        HEADROOM * CURRENT_LIMIT / max(largest_current, 1e-12),
        HEADROOM * reachable / bias if bias else math.inf,
    ]
    if population.threshold is not None:
        limits.append((NEVER - 1) / highest_threshold(population))
    return float(min(limits))


def accumulated(
    network: Network, population: Population, step: tuple[np.ndarray, np.ndarray], steps: float
) -> float:
    """The largest current that T steps leave of the worst inhibition and excitation of one.

    What feeds back is held down between samples by more than all that can excite it, so that both
    share the range there.
    """
    loops = any(p.recurrent for p in network.incoming(population.name))
    worst = step[0] + step[1] if loops else np.maximum(*step)
    largest = float(worst.max(initial=0.0))
    return geometric_sum(population.current_decay, steps) * largest if largest else 0.0


def whole_threshold(scale: float, population: Population) -> float | None:
    """The next smaller scale that makes the threshold whole; None: it would be below 1.

    With levels it is even: the levels lie half of it above each multiple of it.
    """
    if population.threshold is None:
        return scale
    unit = 1 if population.levels is None else 2
    mantissa = unit * math.floor(scale * population.threshold / unit)
    return mantissa / population.threshold if mantissa >= 1 else None


def highest_threshold(population: Population) -> float:
    """What is compared with the membrane, at most, in the unit of a population's threshold.

    Hardware holds all thresholds that a population with levels has (`unroll_levels`).
    """
    assert population.threshold is not None
    if population.levels is None:
        return population.threshold
    return (population.levels - 0.5) * population.threshold


def too_large(population: Population) -> RangeError:
    """The error of a population that no scale fits."""
    if population.levels is not None:
        return RangeError(
            f"population {population.name!r}: its levels are {population.threshold:g} apart, below "
            "two weight units once its weights or biases fit 8 bits; they are too large for it"
        )
    return RangeError(
        f"population {population.name!r}: its threshold {population.threshold:g} is below one "
        "weight unit once its weights or biases fit 8 bits; they are too large for it"
    )


def quantise_weight(weight: np.ndarray, scale: float) -> np.ndarray:
    """The weights as even integers in -256 .. 254, int16."""
    even = 2 * np.round(weight * (scale / 2))
    return np.clip(even, WEIGHT_MIN, WEIGHT_MAX).astype(np.int16)


def diffuse_weight(weight: np.ndarray, scale: float) -> np.ndarray:
    """The weights of a convolution as even integers, int16, whose rounding errors cancel nearby.

    What rounding one weight leaves is added to the next, as Floyd & Steinberg 1976 do with the
    grey of pixels: all channels of a tap, taps along rows, there and back. Where neighbouring
    inputs are alike, as in pictures, the errors of weights rounded each for itself add up.

    Args:
        weight: (channels, inputs, height, width).
    """
    path = np.moveaxis(weight * (scale / 2), 1, -1).copy()
    path[:, 1::2] = path[:, 1::2, ::-1]
    left = np.zeros(len(path))
    taps = path.reshape(len(path), -1)
    for index in range(taps.shape[1]):
        wanted = taps[:, index] + left
        taps[:, index] = np.clip(np.round(wanted), WEIGHT_MIN // 2, WEIGHT_MAX // 2)
        left = np.clip(wanted - taps[:, index], -1, 1)  # a clipped weight's rest is not worth it
    path[:, 1::2] = path[:, 1::2, ::-1]
    return (2 * np.moveaxis(path, -1, 1)).astype(np.int16)


def quantise_bias(bias: np.ndarray, scale: float, exponent: int) -> Bias:
    """The nearest mantissa, limited to 13 bits."""
    mantissa = np.round(bias * scale * STATE_SCALE / 2**exponent)
    return Bias(np.clip(mantissa, -BIAS_MANTISSA_MAX, BIAS_MANTISSA_MAX).astype(np.int16), exponent)


def rounded(
    weighted: WeightedNetwork,
    quantisation: Quantisation,
    encoder: Encoder,
    classes: tuple[str, ...],
) -> RoundedNetwork:
    """The network in integers, by rounding to the nearest; levels are left as they are."""
    net = weighted.network
    scales = quantisation.scales
    thresholds = {
        p.name: {"threshold": round(p.threshold * scales[p.name])}
        for p in net.populations
        if p.threshold is not None
    }
    return RoundedNetwork(
        net.replace_nodes(thresholds),
        {
            p.name: quantise_weight(weighted.weights[p.name], scales[p.target])
            for p in net.projections
        },
        encoder,
        classes,
        {
            name: quantise_bias(bias, scales[name], quantisation.bias_exponent)
            for name, bias in weighted.biases.items()
        },
        dict(scales),
        {name: quantise_weight(clock, scales[name]) for name, clock in weighted.clocks.items()},
    )


def quantise(
    weighted: WeightedNetwork,
    quantisation: Quantisation,
    encoder: Encoder,
    classes: tuple[str, ...],
    levels: Choice = "auto",
) -> IntegerNetwork:
    """The network in integers, by rounding to the nearest, and its levels unrolled.

    Args:
        levels: how integer neurons are unrolled (`unroll_levels`).
    """
    return unroll_levels(rounded(weighted, quantisation, encoder, classes), levels)
