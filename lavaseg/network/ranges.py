"""The range proof: bounds that no input whatever can make a population exceed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lavaseg.network.base import STATE_LIMIT, STATE_SCALE
from lavaseg.network.delays import plan
from lavaseg.network.graph import Network
from lavaseg.network.integers import WEIGHT_MIN, IntegerNetwork, RangeError
from lavaseg.network.nodes import Population, Relay

CURRENT_LIMIT = STATE_LIMIT // STATE_SCALE
"""The largest synaptic sum, in weight units, before the 24-bit u would wrap."""


@dataclass(frozen=True)
class PopulationRange:
    """Worst-case bounds of one population, from its weights alone, in weight units.

    Args:
        name: the population.
        current: the largest |u|; must not exceed `CURRENT_LIMIT`, or u would wrap.
        low, high: the lowest and highest membrane that T steps could reach.
        proved: the membrane cannot reach the clip of +-(2^23 - 1) state units. Where it is not
            proved, the clip is modelled exactly everywhere, and whether it happens depends on
            the data.
    """

    name: str
    current: float
    low: float
    high: float
    proved: bool


Messages = Mapping[str, tuple[float, float]]
"""The least (<= 0) and the largest message that one spike of each node can carry."""


def message_ranges(network: Network, weights: Mapping[str, np.ndarray]) -> Messages:
    """The messages of all nodes that send, the input included."""
    found: dict[str, tuple[float, float]] = {network.input.name: (0, network.input.max_message)}
    for node in network.ordered:
        found[node.name] = 0, node.max_message if isinstance(node, Population) else 1
        if isinstance(node, Relay):
            inhibition, excitation = synaptic_bounds(network, weights, node.name, found)
            found[node.name] = -float(inhibition.max()), float(excitation.max())
    return found


def synaptic_bounds(
    network: Network,
    weights: Mapping[str, np.ndarray],
    name: str,
    messages: Messages,
    clocks: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Largest inhibition and excitation of one step for each channel, both >= 0 (channels,).

    All spikes that excite arrive and none that inhibit, or the reverse; the clock's worst step.

    Args:
        name: a population or relay.
        messages: `message_ranges` of the network, at least of the nodes that it listens to.
        clocks: input currents for each step, (T, channels), of populations that have them.
    """
    channels = network.shape(name)[0]
    inhibition, excitation = np.zeros(channels), np.zeros(channels)
    for projection in network.incoming(name):
        low, high = messages[projection.source]
        weight = weights[projection.name].astype(np.float64)
        up, down = network.geometry(projection).sums(weight)
        excitation += high * up - low * down
        inhibition += high * down - low * up
    if clocks is not None and name in clocks:
        excitation += np.maximum(clocks[name], 0).max(0)
        inhibition += np.maximum(-clocks[name], 0).max(0)
    return inhibition, excitation


Inputs = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Largest inhibition and excitation of one step for each channel of each node."""


def input_bounds(net: IntegerNetwork) -> Inputs:
    """`synaptic_bounds` of all populations and relays, in topological order."""
    messages = message_ranges(net.network, net.weights)
    return {
        node.name: synaptic_bounds(net.network, net.weights, node.name, messages, net.clocks)
        for node in net.network.ordered
    }


def bounds(
    net: IntegerNetwork, population: Population, inputs: Inputs | None = None
) -> PopulationRange:
    """The worst case of one population.

    Args:
        inputs: `input_bounds` of the network, where they are known already.
    """
    if inputs is None:
        inputs = input_bounds(net)
    inhibition, excitation = inputs[population.name]
    kept = geometric_sum(population.current_decay, net.steps)
    bias = net.bias(population.name) / STATE_SCALE
    down = inhibition * kept + np.maximum(-bias, 0)
    up = excitation * kept + np.maximum(bias, 0)
    over_time = geometric_sum(population.voltage_decay, net.steps)
    low = -float((down * over_time).max())
    if population.threshold is None or population.memoryless:
        high = float((up * over_time).max())
    else:  # whatever passed the threshold was reset
        high = float(up.max()) + float(population.threshold)
    limit = STATE_LIMIT / STATE_SCALE
    if population.threshold is None:
        limit = net.threshold(population)  # above it, a read-out would fire and reset
    current = kept * float(max(inhibition.max(), excitation.max()))
    return PopulationRange(population.name, current, low, high, -low < limit and high <= limit)


def geometric_sum(decay: int, steps: float) -> float:
    """Largest sum that a unit input at every step leaves after `steps` (maybe inf) of decay."""
    keep = 1 - decay / 4096
    return float(steps) if keep == 1 else (1 - keep**steps) / (1 - keep)


def check_ranges(net: IntegerNetwork, inputs: Inputs | None = None) -> list[PopulationRange]:
    """Bounds of all populations, in the description's order.

    Args:
        inputs: `input_bounds` of the network, where they are known already.

    Raises:
        RangeError: a current could wrap around 24 bits; names the population.
    """
    if inputs is None:
        inputs = input_bounds(net)
    found = [bounds(net, population, inputs) for population in net.network.populations]
    for item in found:
        if item.current > CURRENT_LIMIT:
            raise RangeError(
                f"population {item.name!r}: weights add up to {item.current:.0f}, the 24-bit "
                f"current wraps above {CURRENT_LIMIT}: use a smaller weight scale, fewer inputs "
                "or fewer message bits"
            )
    for node in net.network.nodes:
        if isinstance(node, Relay):
            largest = max(float(bound.max()) for bound in inputs[node.name])
            if largest > STATE_LIMIT:
                raise RangeError(
                    f"relay {node.name!r}: its messages reach {largest:.0f}, 24 bits hold "
                    f"{STATE_LIMIT}: use smaller windows or fewer inputs"
                )
    return found


@dataclass(frozen=True)
class Brake:
    """Inhibition that outdoes all that can excite a population in one step, for one that echoes.

    Args:
        message: of the graded spike that brings it, 1 to 255.
        weights: of each channel, even, -256 to -2; a spike inhibits by 2 * message * weight.
    """

    message: int
    weights: np.ndarray


def brake(net: IntegerNetwork, population: Population, period: int | None = None) -> Brake:
    """The brake of a population that feeds back after one step (`lavaseg/deploy/lava/lines.py`).

    Args:
        period: physical steps from reset to reset; T by default.

    Raises:
        RangeError: together with all that can inhibit a neuron, it would wrap its 24-bit current.
    """
    messages = message_ranges(net.network, net.weights)
    inhibition, excitation = synaptic_bounds(
        net.network, net.weights, population.name, messages, net.clocks
    )
    kept = geometric_sum(population.current_decay, net.steps if period is None else period)
    bias = np.maximum(net.bias(population.name), 0) / STATE_SCALE
    against = np.maximum(excitation * kept + bias, 1)
    message = min(max(1, math.ceil(against.max() / 512)), 255)
    weights = -2 * np.ceil(against / (4 * message)).astype(np.int64)
    total = inhibition * kept - 2 * message * weights
    worst = int(total.argmax())
    if total[worst] > CURRENT_LIMIT or weights.min() < WEIGHT_MIN:
        raise RangeError(
            f"population {population.name!r} feeds back after one step and is held down between "
            f"samples: what can excite a neuron ({against[worst]:.0f}) and what can inhibit it "
            f"({inhibition[worst] * kept:.0f}) must stay below {CURRENT_LIMIT} together: use a "
            "smaller weight scale, fewer inputs or fewer message bits"
        )
    return Brake(message, weights)


def check_loops(net: IntegerNetwork, period: int | None = None) -> None:
    """Prove that every population that feeds back after one step can be held down on Lava.

    Args:
        period: physical steps from reset to reset; T by default.

    Raises:
        RangeError: one cannot; names it.
    """
    for name in plan(net.network, net.steps).echoes:
        population = net.network[name]
        assert isinstance(population, Population)
        brake(net, population, period)
