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
    Size,
)
from lavaseg.network.integers import BIAS_MANTISSA_MAX, WEIGHT_MAX, WEIGHT_MIN
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
        shape, flat = (_dense_sizes(layer)[1], 1, 1), True
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


def read_layer(parts: Parts, layer: StoredLayer, name: str, *, last: bool, membrane: bool) -> None:
    """Add any other layer to the parts.

    Args:
        name: what its population is called.
        last: whether it is the last one, which may be a read-out.
        membrane: the membrane of the last layer is the read-out, whatever its threshold.
    """
    if layer.kind == "flatten":
        _flatten(parts, layer)
        return
    operator, weight = _OPERATORS[layer.kind](layer, parts.sheet)
    shape = operator.output_shape(parts.sheet.shape)
    extents = layer.extents() if layer.has("shape") else None
    if extents is not None and sheet_shape(extents) != shape:
        layer.refuse(f"is {extents}, its other fields give {shape}", "shape")
    layer.check_size(shape)
    loop = None
    if layer.kind == "dense_rec":
        loop = layer.whole("weight_rec", (shape[0], shape[0]))
    factor = _factor(layer, weight, loop)
    if factor != 1:
        parts.doubled[name] = layer.prefix
    population = _population(layer, name, factor, never=last and membrane)
    if population.threshold is None and not last:
        layer.refuse("never fires (an Affine block), expected only as the last layer")
    most, bias, source = BIAS_MANTISSA_MAX, None, parts.sheet
    delays = np.zeros(shape[0], int)
    if "bias" in layer.fields:
        limit = most // factor
        bias = (layer.channels("bias", shape[0], -limit, limit) * factor).astype(np.int32)
    if "delay" in layer.fields:
        delays, before = _delays(layer, source, shape[0], weight.size)
        if (source.delays + before).max() > MAX_DELAY:
            layer.refuse(
                f"adds up with that of the layer before to {(source.delays + before).max()} steps, "
                f"expected 0 to {MAX_DELAY}",
                "delay",
            )
        source = replace(source, delays=source.delays + before)
    if population.threshold is None and delays.any():
        layer.refuse("delays a read-out, which sends no spikes", "delay")
    parts.connect(source, name, operator, weight * factor)
    if loop is not None:  # its channel delays come behind the loop
        if not isinstance(operator, Dense):
            layer.refuse("is a recurrent layer on sheets, expected after a flat one")
        back = Sheet(name, shape, np.ones(shape[0], int))
        parts.connect(back, name, Dense(shape[0]), loop.reshape(shape[0], *shape) * factor)
    parts.add(population, bias)
    flat = isinstance(operator, Dense) or (extents is not None and len(extents) == 1)
    parts.sheet = Sheet(name, shape, delays, flat)


def read_average(parts: Parts, layer: StoredLayer) -> None:
    """SLAYER's average block: the read-out counts the spikes of groups of neurons."""
    (groups, *sheet), source = sheet_shape(layer.extents()), parts.sheet
    if sheet != [1, 1] or source.shape[0] % groups:
        layer.refuse(
            f"is {layer.extents()}, expected a number of groups that divides the {source.shape[0]} "
            "channels before it",
            "shape",
        )
    if not parts.nodes:
        layer.refuse("averages spikes of the input, expected those of neurons")
    parts.count_spikes(groups)


def sheet_shape(extents: tuple[int, ...]) -> Shape:
    """(channels, height, width) of a stored shape, which is (features,) where it is flat."""
    channels, height, width = extents if len(extents) == 3 else (extents[0], 1, 1)
    return channels, height, width


def _flatten(parts: Parts, layer: StoredLayer) -> None:
    size = math.prod(layer.extents()) if layer.has("shape") else math.prod(parts.sheet.shape)
    if size != math.prod(parts.sheet.shape):
        layer.refuse(f"has {size} neurons, before it {parts.sheet.shape}", "shape")
    parts.sheet = replace(parts.sheet, flat=True)


def _add_input_neurons(parts: Parts, layer: StoredLayer) -> None:
    """SLAYER's input block: neurons that get weight * input + bias."""
    source, channels = parts.sheet, parts.sheet.shape[0]
    weight, bias = (
        layer.whole(name, (), -256, 254).item() if name in layer.fields else default
        for name, default in (("weight", 64), ("bias", 0))
    )
    factor = _factor(layer, np.array([weight, bias]))
    weight, bias = weight * factor, bias * factor
    if factor != 1:
        parts.doubled["input_neurons"] = layer.prefix
    population = _population(layer, "input_neurons", factor)
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


def _factor(layer: StoredLayer, *weights: np.ndarray | None) -> int:
    """1, or 2 where weights are odd: Loihi's synapses hold even ones, so all is doubled."""
    values = np.concatenate([np.ravel(weight) for weight in weights if weight is not None])
    if not (values & 1).any():
        return 1
    low, high = WEIGHT_MIN // 2, WEIGHT_MAX // 2
    if values.min() < low or values.max() > high:
        layer.refuse(
            f"reaches from {values.min()} to {values.max()} and holds odd numbers: signed 8-bit "
            f"synapses hold even numbers, or {low} to {high} where weights and threshold are "
            "doubled",
            "weight",
        )
    return 2


def _population(layer: StoredLayer, name: str, factor: int, *, never: bool = False) -> Population:
    """The layer's neurons; an Affine block without dynamics has none: its currents add up.

    Args:
        factor: on the threshold.
        never: they do not fire, whatever the threshold.
    """
    if "neuron" not in layer.fields:
        return Population(name, None)
    threshold = layer.integer("neuron/vThMant", 1, _AFFINE_THRESHOLD)
    if NEVER < threshold < _AFFINE_THRESHOLD and not never:
        layer.refuse(f"is {threshold}, Loihi holds up to {NEVER}", "neuron/vThMant")
    fires = threshold < NEVER and not never
    if fires and threshold * factor > NEVER:
        layer.refuse(
            f"is {threshold}, which doubled, as the odd weights need, passes the {NEVER} that "
            "Loihi holds; where it is meant never to fire, --readout membrane says so",
            "neuron/vThMant",
        )
    if layer.has("neuron/refDelay"):  # NetX runs no refractory time, and takes 0 for 1
        layer.integer("neuron/refDelay", 0, 1)
    for graded in ("neuron/gradedSpike", "neuron/messageBits"):
        if layer.has(graded) and (
            layer.flag(graded) if graded.endswith("Spike") else layer.integer(graded, 0, 32)
        ):
            layer.refuse(
                "is set: spikes of a population are binary; graded ones would need neurons that "
                "send their membrane, which Lava's LIF does not",
                graded,
            )
    for scale in ("neuron/weight_exp", "neuron/wgtExp"):
        if layer.has(scale) and layer.whole(scale, ()):
            layer.refuse("is not 0: the scale of WgtScaleBatchNorm cannot be read", scale)
    return Population(
        name,
        threshold * factor if fires else None,
        layer.integer("neuron/iDecay", 0, DECAY_UNITY),
        layer.integer("neuron/vDecay", 0, DECAY_UNITY),
    )


def _delays(
    layer: StoredLayer, source: Sheet, channels: int, synapses: int
) -> tuple[np.ndarray, np.ndarray]:
    """Steps that the spikes of each channel are late, and those that each of its source is.

    SLAYER has them for channels, behind the neurons; stock NetX for synapses, in front of them.
    """
    own, before = np.zeros(channels, int), np.zeros(source.shape[0], int)
    stored = layer.reader.dataset(f"{layer.prefix}/delay")
    inputs = math.prod(source.shape)
    sizes = {inputs, synapses} if layer.kind == "dense" else set()
    if stored.size not in sizes - {channels, 1}:
        return layer.channels("delay", channels, 0, MAX_DELAY), before
    each = layer.whole("delay", stored.shape, 0, MAX_DELAY).reshape(-1, inputs)
    # all that a neuron sees is late, so it is late itself; but a bias would not wait
    if (each == each[:, :1]).all() and not (each.any() and "bias" in layer.fields):
        return np.broadcast_to(each[:, 0], channels), before
    by_channel = each.reshape(len(each), source.shape[0], -1)
    if (by_channel != by_channel[:1, :, :1]).any():
        layer.refuse(
            f"has shape {stored.shape}, a delay for each synapse: expected one for each of the "
            f"{channels} channels, as SLAYER has them, or for each channel of the layer before; "
            "others would need a projection that keeps one for each synapse, as Lava's DelayDense",
            "delay",
        )
    return own, by_channel[0, :, 0]


# --------------------------------------------------------------------------------------------
# Operators: what a layer does to the spikes of a sheet, with its weights


def _convolution(layer: StoredLayer, source: Sheet) -> tuple[Operator, np.ndarray]:
    channels, fan, kernel = _weight_sizes(layer)
    geometry = _windows(layer, source, kernel)
    groups = _size(layer, "groups", source.shape[0] // fan if layer.kind == "conv" else None)
    if layer.kind == "conv":
        fan *= groups
    else:  # transposed weights are (inputs, outputs of a group, ...)
        channels, fan = fan * groups, channels
    channels, fan = _size(layer, "outChannels", channels), _size(layer, "inChannels", fan)
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
    shape = layer.reader.dataset(f"{layer.prefix}/weight").shape or ()
    kernel = tuple(shape[:2] if len(shape) < 4 else shape[2:4])
    geometry = _windows(layer, source, kernel if len(kernel) == 2 else None)
    kernel = geometry.pop("kernel")
    if source.shape[0] * math.prod(kernel) > MAX_POOL:
        layer.refuse(f"has more than {MAX_POOL} taps over all channels")
    weight = layer.whole("weight", (1, 1, *kernel))[0, 0]
    try:
        return (pool if layer.kind == "pool" else unpool)(weight, source.shape, **geometry)
    except LavasegError as error:
        layer.refuse(f"cannot be read: {error}")


def _weight_sizes(layer: StoredLayer) -> tuple[int, int, Size]:
    """The axes of a convolution's weights: (first, second, (kernel height, kernel width))."""
    first, second, height, width = layer.extent("weight", 4)
    return first, second, (height, width)


def _size(layer: StoredLayer, name: str, of_weights: int | None) -> int:
    """A size as the file says it, else that of the weights."""
    if of_weights is None or layer.has(name):
        return layer.integer(name, 1, MAX_NEURONS)
    return max(of_weights, 1)


def _windows(layer: StoredLayer, source: Sheet, kernel: Size | None) -> dict[str, tuple[int, int]]:
    """Kernel, stride, padding and dilation of a layer that works on sheets.

    Args:
        kernel: of the weights, where the file does not say it.
    """
    if source.flat:
        layer.refuse(f"is a {layer.kind} layer after a flat one")
    return {
        "kernel": kernel if kernel and not layer.has("kernelSize") else layer.pair("kernelSize"),
        "stride": layer.pair("stride"),
        "dilation": layer.pair("dilation"),
        "padding": layer.pair("padding", 0),
    }


def _dense(layer: StoredLayer, source: Sheet) -> tuple[Operator, np.ndarray]:
    """All-to-all, or, where SLAYER ran it on sheets, a 1 x 1 convolution."""
    features, fan = _dense_sizes(layer)
    everywhere = layer.has("shape") and len(layer.extents()) == 3 and not source.flat
    expected = source.shape[0] if everywhere else math.prod(source.shape)
    if fan != expected:
        layer.refuse(f"is {fan}, the layer before has {expected}", "inFeatures")
    weight = layer.whole("weight", (features, fan))
    if everywhere:
        return Conv(features, (1, 1)), weight.reshape(features, fan, 1, 1)
    return Dense(features), weight.reshape(features, *source.shape)


def _dense_sizes(layer: StoredLayer) -> tuple[int, int]:
    """Outputs and inputs of a dense layer."""
    if layer.has("outFeatures") and layer.has("inFeatures"):
        stated = _size(layer, "outFeatures", None), _size(layer, "inFeatures", None)
        if 1 in stated:  # an axis of one may be left out of the weights
            return stated
    rows, columns = layer.extent("weight", 2)
    return _size(layer, "outFeatures", rows), _size(layer, "inFeatures", columns)


_OPERATORS: dict[str, Callable[[StoredLayer, Sheet], tuple[Operator, np.ndarray]]] = {
    "conv": _convolution,
    "convT": _convolution,
    "pool": _pool,
    "unpool": _pool,
    "dense": _dense,
    "dense_rec": _dense,
}
"""By the type of a layer; those without neurons, input and flatten, have none."""
