"""Networks that stock NetX (lava.lib.dl.netx.hdf5.Network of lava-dl 0.6) can load, or why not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lavaseg.network import Dense, Node, Population, Projection
from lavaseg.network.integers import STOCK_BIAS_EXPONENT, IntegerNetwork
from lavaseg.network.ranges import message_ranges
from lavaseg.netx.layout import SEQUENCE, split_loops


def stock_loadable(net: IntegerNetwork) -> tuple[bool, str]:
    """Whether stock `lava.lib.dl.netx.hdf5.Network` runs the file of `net` spike for spike.

    Returns:
        (True, "") or (False, the first layer that it cannot load, and why).
    """
    for name, reason in stock_obstacles(net):
        if reason:
            return False, f"population {name!r} {reason}"
    return True, ""


def stock_obstacles(net: IntegerNetwork) -> Iterator[tuple[str, str]]:
    """Each node, in topological order, with why stock NetX cannot load it, '' if it can."""
    before, flat, early = net.network.input.name, False, ""
    for depth, node in enumerate(net.network.ordered):
        incoming, loops = split_loops(net.network, node)
        reason = _why_not(net, node, incoming, loops, before, flat)
        late = any(p.longest for p in incoming)
        if late and early and not reason:
            reason = f"gets late spikes, and {early} may fire before the first sample arrives"
        # a layer runs from the first step on; only the foremost is reset before it does anything
        if depth and not early and (net.bias(node.name) > 0).any():
            early = f"the bias of {node.name!r}"
        if loops and early and not reason:
            reason = f"feeds back, and {early} may make it fire before the first sample arrives"
        yield node.name, reason
        layer = SEQUENCE.get(type(incoming[0].operator))
        before, flat = node.name, layer is not None and layer.flat


def _why_not(
    net: IntegerNetwork,
    node: Node,
    incoming: tuple[Projection, ...],
    loops: tuple[Projection, ...],
    before: str,
    flat: bool,
) -> str:
    if not isinstance(node, Population):
        return f"is a {type(node).__name__.lower()} without neurons"
    if len(incoming) > 1:
        return f"adds up {len(incoming)} projections"
    (projection,) = incoming
    layer = SEQUENCE.get(type(projection.operator))
    if projection.source != before:
        return f"takes its spikes from {projection.source!r}, not from the layer before it"
    if layer is None:
        return f"has a {projection.operator.kind} projection"
    if projection.longest and not layer.flat:
        return f"gets its input {projection.longest} steps late, at a convolution"
    if projection.longest and message_ranges(net.network, net.weights)[before][1] > 1:
        return f"gets graded spikes {projection.longest} steps late"
    if flat and not layer.flat:
        return "is a convolution after a dense layer"
    reason = _why_not_neurons(net, node) or _why_not_loops(projection, loops)
    if reason or not layer.flat:
        return reason
    parts = [net.weights[p.name].reshape(-1) for p in (projection, *loops)]
    # of a layer that feeds back they are scaled together, and then handled each for itself
    reasons = map(why_not_dense, [np.concatenate(parts), *parts])
    return next(filter(None, reasons), "")


def _why_not_loops(projection: Projection, loops: tuple[Projection, ...]) -> str:
    """Stock NetX knows one loop: from each neuron of a dense layer to each, one step later."""
    if not loops:
        return ""
    plain = len(loops) == 1 and isinstance(loops[0].operator, Dense) and loops[0].delay == 1
    if not plain or not isinstance(projection.operator, Dense):
        return "feeds back otherwise than from a dense layer to itself, all to all, one step later"
    return "feeds back, and gets its input late" if projection.longest else ""


def _why_not_neurons(net: IntegerNetwork, population: Population) -> str:
    if population.reset != "hard":
        return f"has a {population.reset} reset"
    if population.norm != "none":
        return "still has a batch norm"
    if population.clock:
        return "has a clock, a current of its own for each step"
    bias = net.biases.get(population.name)
    if bias is not None and bias.exponent != STOCK_BIAS_EXPONENT:
        return f"has a bias exponent of {bias.exponent}, stock NetX takes {STOCK_BIAS_EXPONENT}"
    return ""


def why_not_dense(weight: np.ndarray) -> str:
    """Two faults of lava.lib.dl.netx.utils.optimize_weight_bits, found by trying 20,000 arrays.

    It divides by the largest weight; and purely negative weights whose smallest is a power of
    two are scaled to -256, which lava.proc.dense then clips to -255 and truncates.

    Args:
        weight: int (outputs, inputs), or any other shape.

    Returns:
        What is wrong with dense weights, '' if nothing is.
    """
    lowest = -int(weight.min())
    if weight.max() > 0 or lowest & (lowest - 1):
        return ""
    if lowest == 0:
        return "has only zero weights, on which stock NetX fails"
    return f"has no positive weight and a smallest one of {-lowest}, which stock NetX changes"
