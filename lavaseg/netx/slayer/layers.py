"""Turns SLAYER's layers into populations and projections."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import (
    DECAY_UNITY,
    NEVER,
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Operator,
    Population,
    Shape,
)
from lavaseg.network.integers import BIAS_MANTISSA_MAX
from lavaseg.netx.limits import MAX_NEURONS
from lavaseg.netx.slayer.fields import StoredLayer
from lavaseg.netx.slayer.parts import Parts, Sheet, each_channel
from lavaseg.netx.slayer.pools import pool, unpool

MAX_POOL = 2**22
"""Kernel places of a pool, over all channels; bounds the time that a hostile file can take."""
MAX_DELAY = 62
"""Steps that a channel may be late: the limit of `Projection.delay`."""

_AFFINE_THRESHOLD = 2**18 - 1
"""The threshold that SLAYER's Affine block writes, since it never fires."""


def read_input(layer: StoredLayer, bits: int, given: Shape | None) -> Parts:
    """The host's sheet, and the neurons of an input block behind it.

    Args:
        layer: the first one of the file, be it an input layer or not.
        bits: message bits of the encoder.
        given: (channels, height, width), where the caller says it.
    """
    flat = False
    if layer.kind == "input":
        extents = layer.extents()
        shape, flat = sheet_shape(extents), len(extents) == 1
        if given is not None and tuple(given) != shape:
            layer.refuse(f"is {extents}, the call says {tuple(given)}", "shape")
    elif given is not None:
        shape = given
    elif layer.kind.startswith("dense"):
        shape, flat = (layer.integer("inFeatures", 1, MAX_NEURONS), 1, 1), True
    else:
        layer.refuse(f"is a {layer.kind} layer with no input layer before it: give input_shape")
    source = Input("input", shape, bits)
    layer.check_size(source.shape)
    parts = Parts(source, Sheet("input", source.shape, np.zeros(shape[0], int), flat))
    if layer.kind == "input" and "neuron" in layer.fields:
        _add_input_neurons(parts, layer)
    elif layer.kind == "input" and layer.fields & {"weight", "bias"}:
        layer.refuse("has a weight or bias, but no neuron")
    return parts


def read_layer(parts: Parts, layer: StoredLayer, name: str, *, last: bool) -> None:
    """Add any other layer to the parts.

    Args:
        name: what its population is called.
        last: whether it is the last one, which may be a read-out.
    """
    if layer.kind == "flatten":
        _flatten(parts, layer)
        return
    extents = layer.extents()
    operator, weight = _OPERATORS[layer.kind](layer, parts.sheet)
    shape = operator.output_shape(parts.sheet.shape)
    if sheet_shape(extents) != shape:
        layer.refuse(f"is {extents}, its other fields give {shape}", "shape")
    layer.check_size(shape)
    population = _population(layer, name)
    if population.threshold is None and not last:
        layer.refuse("never fires (an Affine block), expected only as the last layer")
    most, bias, delays = BIAS_MANTISSA_MAX, None, np.zeros(shape[0], int)
    if "bias" in layer.fields:
        bias = layer.channels("bias", shape[0], -most, most).astype(np.int32)
    if "delay" in layer.fields:
        delays = layer.channels("delay", shape[0], 0, MAX_DELAY)
    if population.threshold is None and delays.any():
        layer.refuse("delays a read-out, which sends no spikes", "delay")
    parts.connect(parts.sheet, name, operator, weight)
    if layer.kind == "dense_rec":  # its channel delays come behind the loop
        if not isinstance(operator, Dense):
            layer.refuse("is a recurrent layer on sheets, expected after a flat one")
        loop = layer.whole("weight_rec", (shape[0], shape[0]))
        back = Sheet(name, shape, np.ones(shape[0], int))
        parts.connect(back, name, Dense(shape[0]), loop.reshape(shape[0], *shape))
    parts.add(population, bias)
    flat = len(extents) == 1 or isinstance(operator, Dense)
    parts.sheet = Sheet(name, shape, delays, flat)


def sheet_shape(extents: tuple[int, ...]) -> Shape:
    """(channels, height, width) of a stored shape, which is (features,) where it is flat."""
    channels, height, width = extents if len(extents) == 3 else (extents[0], 1, 1)
    return channels, height, width


def _flatten(parts: Parts, layer: StoredLayer) -> None:
    size = math.prod(layer.extents())
    if size != math.prod(parts.sheet.shape):
        layer.refuse(f"has {size} neurons, before it {parts.sheet.shape}", "shape")
    parts.sheet = replace(parts.sheet, flat=True)


def _add_input_neurons(parts: Parts, layer: StoredLayer) -> None:
    """SLAYER's input block: neurons that get weight * input + bias."""
    source, channels = parts.sheet, parts.sheet.shape[0]
    population = _population(layer, "input_neurons")
    weight, bias = (
        layer.whole(name, (), -256, 254).item() if name in layer.fields else default
        for name, default in (("weight", 64), ("bias", 0))
    )
    parts.connect(source, population.name, *each_channel(channels, weight))
    unfiltered = population.current_decay == DECAY_UNITY
    if bias and not unfiltered:
        # SLAYER adds it before the current filter: neurons that always fire bring it there
        parts.connect(source, "input_bias", *each_channel(channels, 0))
        parts.add(Population("input_bias"), np.full(channels, 2))
        constant = replace(source, name="input_bias")
        parts.connect(constant, population.name, *each_channel(channels, bias))
    parts.add(population, np.full(channels, bias) if bias and unfiltered else None)
    parts.sheet = replace(source, name=population.name)


def _population(layer: StoredLayer, name: str) -> Population:
    """The layer's neurons; an Affine block without dynamics has none: its currents add up."""
    if "neuron" not in layer.fields:
        return Population(name, None)
    threshold = layer.integer("neuron/vThMant", 1, _AFFINE_THRESHOLD)
    if NEVER < threshold < _AFFINE_THRESHOLD:
        layer.refuse(f"is {threshold}, Loihi holds up to {NEVER}", "neuron/vThMant")
    layer.integer("neuron/refDelay", 1, 1)
    if layer.flag("neuron/gradedSpike"):
        layer.refuse("is set: spikes of a population are binary", "neuron/gradedSpike")
    for scale in ("neuron/weight_exp", "neuron/wgtExp"):
        if layer.has(scale) and layer.whole(scale, ()):
            layer.refuse("is not 0: the scale of WgtScaleBatchNorm cannot be read", scale)
    return Population(
        name,
        None if threshold >= NEVER else threshold,
        layer.integer("neuron/iDecay", 0, DECAY_UNITY),
        layer.integer("neuron/vDecay", 0, DECAY_UNITY),
    )


# --------------------------------------------------------------------------------------------
# Operators: what a layer does to the spikes of a sheet, with its weights


def _convolution(layer: StoredLayer, source: Sheet) -> tuple[Operator, np.ndarray]:
    geometry = _windows(layer, source)
    fan, channels, groups = (
        layer.integer(name, 1, MAX_NEURONS) for name in ("inChannels", "outChannels", "groups")
    )
    if fan != source.shape[0]:
        layer.refuse(f"is {fan}, the layer before has {source.shape[0]}", "inChannels")
    if fan % groups or channels % groups:
        layer.refuse(f"is {groups}, which does not divide the channels", "groups")
    kind = Conv if layer.kind == "conv" else ConvTranspose
    operator = kind(channels, groups=groups, **geometry)
    shape = operator.weight_shape(source.shape)
    assert shape is not None
    return operator, layer.whole("weight", shape)


def _pool(layer: StoredLayer, source: Sheet) -> tuple[Operator, np.ndarray]:
    geometry = _windows(layer, source)
    kernel = geometry.pop("kernel")
    if source.shape[0] * math.prod(kernel) > MAX_POOL:
        layer.refuse(f"has more than {MAX_POOL} taps over all channels")
    weight = layer.whole("weight", (1, 1, *kernel))[0, 0]
    try:
        return (pool if layer.kind == "pool" else unpool)(weight, source.shape, **geometry)
    except LavasegError as error:
        layer.refuse(f"cannot be read: {error}")


def _windows(layer: StoredLayer, source: Sheet) -> dict[str, tuple[int, int]]:
    """Kernel, stride, padding and dilation of a layer that works on sheets."""
    if source.flat:
        layer.refuse(f"is a {layer.kind} layer after a flat one")
    return {
        "kernel": layer.pair("kernelSize"),
        "stride": layer.pair("stride"),
        "dilation": layer.pair("dilation"),
        "padding": layer.pair("padding", 0),
    }


def _dense(layer: StoredLayer, source: Sheet) -> tuple[Operator, np.ndarray]:
    """All-to-all, or, where SLAYER ran it on sheets, a 1 x 1 convolution."""
    features, fan = (layer.integer(name, 1, MAX_NEURONS) for name in ("outFeatures", "inFeatures"))
    everywhere = len(layer.extents()) == 3 and not source.flat
    expected = source.shape[0] if everywhere else math.prod(source.shape)
    if fan != expected:
        layer.refuse(f"is {fan}, the layer before has {expected}", "inFeatures")
    weight = layer.whole("weight", (features, fan))
    if everywhere:
        return Conv(features, (1, 1)), weight.reshape(features, fan, 1, 1)
    return Dense(features), weight.reshape(features, *source.shape)


_OPERATORS: dict[str, Callable[[StoredLayer, Sheet], tuple[Operator, np.ndarray]]] = {
    "conv": _convolution,
    "convT": _convolution,
    "pool": _pool,
    "unpool": _pool,
    "dense": _dense,
    "dense_rec": _dense,
}
"""By the type of a layer; those without neurons, input and flatten, have none."""
