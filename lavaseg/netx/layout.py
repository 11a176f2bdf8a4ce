"""Where each number of a network lives in the file: one table for writer and reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import (
    NEVER,
    Conv,
    Dense,
    Network,
    Node,
    Operator,
    Population,
    Projection,
    Shape,
)

WEIGHT, BIAS, TEXT, DELAY = (np.dtype(kind) for kind in ("<i2", "<i2", "u1", "u1"))
"""Types of stored weights and clocks, of bias mantissas, of the description's bytes, and of the
delay of each synapse."""
DESCRIPTION = "lavaseg/description"

_NUMBER, _TYPE = np.dtype("<i8"), np.dtype("S10")
_STOCK_REFUSES = "concat"
"""A layer type at which stock NetX stops rather than run something else."""


@dataclass(frozen=True)
class Layout:
    """The fixed fields and the paths of the arrays that a network implies.

    Args:
        name: "sequence" (NetX's published layout) or "graph".
        fields: path to value, for everything in `layer` that the description determines.
        weights: path to projection, for each projection that has weights of its own.
        biases: path to population or current, for each one that has a bias.
        clocks: path to population, for each one that has a clock.
        delays: path to projection, for each one whose delays stock NetX reads.
    """

    name: str
    fields: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, Projection] = field(default_factory=dict)
    biases: dict[str, str] = field(default_factory=dict)
    clocks: dict[str, str] = field(default_factory=dict)
    delays: dict[str, Projection] = field(default_factory=dict)

    @property
    def paths(self) -> set[str]:
        """Every dataset of the file."""
        arrays = (self.weights, self.biases, self.clocks, self.delays)
        return {DESCRIPTION, *self.fields, *(path for paths in arrays for path in paths)}

    @property
    def groups(self) -> set[str]:
        """Every group of the file; the root is ''."""
        split = (path.split("/") for path in self.paths)
        return {"/".join(parts[:depth]) for parts in split for depth in range(len(parts))}


# --------------------------------------------------------------------------------------------
# The published layout, "sequence"


@dataclass(frozen=True)
class SequenceLayer:
    """How a layer of the published layout holds an operator.

    Args:
        type: what stock NetX calls the layer.
        fields: the operator's own fields, from operator, source shape and target shape; named as
            lava.lib.dl.slayer.block.base writes them.
        flat: it reads and writes flat sheets: a flatten layer goes before it where there is none,
            and its weights are (outputs, inputs).
        recurrent: what stock NetX calls the layer if its neurons feed back; "": it has no such.
    """

    type: str
    fields: Callable[[Any, Shape, Shape], dict[str, int | tuple[int, ...]]]
    flat: bool = False
    recurrent: str = ""


def _conv_fields(conv: Conv, source: Shape, target: Shape) -> dict[str, int | tuple[int, ...]]:
    return {
        "shape": target,
        "inChannels": source[0],
        "outChannels": conv.channels,
        "kernelSize": conv.kernel,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
    }


def _dense_fields(dense: Dense, source: Shape, target: Shape) -> dict[str, int | tuple[int, ...]]:
    return {
        "shape": (dense.features,),
        "inFeatures": math.prod(source),
        "outFeatures": dense.features,
    }


SEQUENCE: dict[type[Operator], SequenceLayer] = {
    Conv: SequenceLayer("conv", _conv_fields),
    Dense: SequenceLayer("dense", _dense_fields, flat=True, recurrent="dense_rec"),
}
"""The operators that stock NetX can load; a network with any other has the layout "graph"."""


def sequence_layout(network: Network, biased: Iterable[str]) -> Layout:
    """The published NetX layout; the network must be a chain of the operators in `SEQUENCE`."""
    layout, biased = Layout("sequence"), set(biased)
    layout.fields["layer/0/type"] = _type("input")
    layout.fields["layer/0/shape"] = _number(network.input.shape)
    index, flat = 1, False
    for node in network.ordered:
        (projection,), loops = split_loops(network, node)
        operator, source = projection.operator, network.shape(projection.source)
        if type(operator) not in SEQUENCE:
            raise LavasegError(f"projection {projection.name!r}: no {operator.kind} in a sequence")
        layer = SEQUENCE[type(operator)]
        if layer.flat and not flat:
            layout.fields[f"layer/{index}/type"] = _type("flatten")
            layout.fields[f"layer/{index}/shape"] = _number((math.prod(source),))
            index, flat = index + 1, True
        prefix = f"layer/{index}/"
        layout.fields[prefix + "type"] = _type(layer.recurrent if loops else layer.type)
        for name, number in layer.fields(operator, source, network.shape(node.name)).items():
            layout.fields[prefix + name] = _number(number)
        for name, value in _neuron_fields(node).items():
            layout.fields[prefix + name] = value
        layout.weights[prefix + "weight"] = projection
        if loops:
            layout.weights[prefix + "weight_rec"] = loops[0]
        if layer.flat and projection.longest:
            layout.delays[prefix + "delay"] = projection
        if node.name in biased:
            layout.biases[prefix + "bias"] = node.name
        index += 1
    return layout


def split_loops(
    network: Network, node: Node
) -> tuple[tuple[Projection, ...], tuple[Projection, ...]]:
    """The projections into a node from others, and from itself."""
    incoming = network.incoming(node.name)
    return tuple(p for p in incoming if not p.recurrent), tuple(p for p in incoming if p.recurrent)


def _neuron_fields(node: Node) -> dict[str, np.ndarray]:
    """The fields of a neuron, as `device_params` of lava.lib.dl.slayer.neuron.cuba.Neuron."""
    if not isinstance(node, Population):
        raise LavasegError(f"{type(node).__name__.lower()} {node.name!r} cannot be in a sequence")
    return {
        "neuron/type": _type("CUBA"),
        "neuron/iDecay": _number(node.current_decay),
        "neuron/vDecay": _number(node.voltage_decay),
        "neuron/vThMant": _number(NEVER if node.threshold is None else int(node.threshold)),
        "neuron/refDelay": _number(1),
        "neuron/gradedSpike": np.array(False),
    }


def _type(name: str) -> np.ndarray:
    return np.array([name.encode("ascii")], _TYPE)


def _number(value: int | tuple[int, ...]) -> np.ndarray:
    return np.array(value, _NUMBER)


# --------------------------------------------------------------------------------------------
# The layout of any other network, "graph"


def graph_layout(network: Network, biased: Iterable[str]) -> Layout:
    """The layout of arrays by name in the group `lavaseg`, with a layer that NetX refuses."""
    return Layout(
        "graph",
        {"layer/0/type": _type(_STOCK_REFUSES)},
        {f"lavaseg/weights/{p.name}": p for p in network.projections if p.shares is None},
        {f"lavaseg/biases/{name}": name for name in biased},
        {f"lavaseg/clocks/{p.name}": p.name for p in network.populations if p.clock},
    )


LAYOUTS: dict[str, Callable[[Network, Iterable[str]], Layout]] = {
    "sequence": sequence_layout,
    "graph": graph_layout,
}
"""The function of each layout: (network, names of the nodes that have a bias) -> `Layout`."""


def stored_weight_shape(network: Network, projection: Projection) -> tuple[int, ...]:
    """Shape in the file: as in memory, but (outputs, inputs) where the layer is flat.

    The layout "graph" stores the same operators' weights alike.
    """
    shape = network.synapse_shape(projection)
    layer = SEQUENCE.get(type(projection.operator))
    return (shape[0], math.prod(shape[1:])) if layer is not None and layer.flat else shape


def stored_delays(network: Network, projection: Projection) -> np.ndarray:
    """The delay of each synapse of a flat layer, (outputs, inputs), as stock NetX reads it."""
    channels, height, width = network.shape(projection.source)
    each = np.repeat(np.broadcast_to(projection.delay, channels), height * width)
    outputs, _ = stored_weight_shape(network, projection)
    return np.tile(each.astype(DELAY), (outputs, 1))
