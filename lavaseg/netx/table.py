"""The content of an integer network, layer by layer, as rows for tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lavaseg.network import Conv, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.levels import integer_neurons
from lavaseg.netx.stock import stock_obstacles


def describe(net: IntegerNetwork) -> list[dict[str, Any]]:
    """One row for the input and for each population or current, in topological order, for tables.

    Integer neurons have one row for all of their nodes.

    Keys: layer, type, operator (text, '' for the input), shape (C, H, W), parameters (weights and
    biases), latency (steps), levels (None: binary spikes), form ("binary" or "graded", of levels),
    threshold (mantissa, of levels the distance between them; None: never fires), current_decay,
    voltage_decay (1/4096), weights and biases ((smallest, largest) or None; biases in state
    units), stock_loadable, and stock_obstacle (why not, or '').
    """
    network, sheets = net.network, integer_neurons(net.network, net.weights)
    sums = {item.sum: item for item in sheets}
    folded = {name for item in sheets for name in item.members[1:]}
    called = {member: item.name for item in sheets for member in item.members}
    rows = [_row(network.input.name, "input", network.input.shape, 0)]
    for name, reason in stock_obstacles(net):
        if name in folded:
            continue
        item = sums.get(name)
        # what is known of the neurons is that of the first slot
        neurons = network[name if item is None else item.slots[0]]
        incoming = [p for p in network.incoming(name) if p.shares is None]
        weights = [net.weights[p.name] for p in incoming if p.name in net.weights]
        bias, clock = net.biases.get(neurons.name), net.clocks.get(neurons.name)
        row = _row(name, type(neurons).__name__.lower(), network.shape(name))
        row["latency"] = network.latencies[name]
        chain = network.is_sequence
        row["operator"] = " + ".join(
            [
                text + ("" if chain else f" from {called.get(source, source)}")
                for text, source in _operators(incoming)
            ]
            + ["clock"] * (clock is not None)
        )
        row["parameters"] = sum(map(network.synapse_count, incoming))
        row["parameters"] += bias.mantissa.size if bias else 0
        row["parameters"] += 0 if clock is None else clock.size
        if isinstance(neurons, Population):
            for key in ("threshold", "current_decay", "voltage_decay"):
                row[key] = getattr(neurons, key)
        if item is not None:
            row["layer"], row["form"], row["levels"] = item.name, item.form, len(item.slots)
            row["latency"] = max(network.latencies[member] for member in item.members)
            row["threshold"] *= 2  # that of the first slot is half of the distance
        row["weights"] = _range(weights)
        row["biases"] = _range([bias.state_units]) if bias else None
        row["stock_loadable"], row["stock_obstacle"] = not reason, reason
        rows.append(row)
    return rows


def _row(name: str, kind: str, shape: tuple[int, ...], latency: int = 0) -> dict[str, Any]:
    return {
        "layer": name,
        "type": kind,
        "operator": "",
        "shape": shape,
        "parameters": 0,
        "latency": latency,
        "levels": None,
        "form": None,
        "threshold": None,
        "current_decay": None,
        "voltage_decay": None,
        "weights": None,
        "biases": None,
        "stock_loadable": True,
        "stock_obstacle": "",
    }


def _range(arrays: list[np.ndarray]) -> tuple[int, int] | None:
    if not arrays:
        return None
    return min(int(a.min()) for a in arrays), max(int(a.max()) for a in arrays)


def _operators(incoming: Sequence[Projection]) -> list[tuple[str, str]]:
    """(words, source) of what feeds a node; projections that differ in delay alone are one."""
    groups: dict[tuple[object, ...], list[Projection]] = {}
    for p in incoming:
        own = p.name if p.channels is None else ""
        groups.setdefault((p.source, p.operator, p.recurrent, own), []).append(p)
    return [(_with_delays(group), group[0].source) for group in groups.values()]


def _with_delays(group: Sequence[Projection]) -> str:
    delays = sorted(p.delay for p in group)
    if len(group) > 1:
        text = f"{_operator_text(group[0])} delays {delays[0]} to {delays[-1]}"
        return f"{text} by channel"
    return _operator_text(group[0]) + (f" delay {delays[0]}" if delays[0] else "")


def _operator_text(projection: Projection) -> str:
    """An operator in words, such as 'conv 3x3 stride 2', without defaults and usual padding."""
    operator = projection.operator
    words = [operator.kind]
    for item in dataclasses.fields(operator):
        value = getattr(operator, item.name)
        if item.name == "kernel":
            words.append(f"{value[0]}x{value[1]}")
        elif item.name not in ("channels", "features") and value != item.default:
            if item.name == "padding" and isinstance(operator, Conv) and _keeps_size(operator):
                continue
            pair = isinstance(value, tuple) and value[0] != value[1]
            text = "x".join(map(str, value)) if pair else str(np.ravel(value)[0])
            words.append(f"{item.name} {text}")
    return " ".join(words)


def _keeps_size(conv: Conv) -> bool:
    """Whether the padding makes up for what the kernel takes away."""
    return all(
        2 * p == d * (k - 1)
        for k, p, d in zip(conv.kernel, conv.padding, conv.dilation, strict=True)
    )
