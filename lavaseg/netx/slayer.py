"""Networks that SLAYER's own blocks exported: NetX HDF5 of lava-dl 0.6, CUBA neurons.

What each block writes is in `export_hdf5` of lava.lib.dl.slayer.block.base. Pairs (kernel,
stride, padding, dilation) are (height, width), as SLAYER writes them and NetX reads them; a
single number, which NetX accepts too, stands for both. Of what SLAYER does, a file leaves two
things out. `delay_shift` is no part of the network: it is the step that a layer takes on
hardware, which logical time does not count. And SLAYER fires at v >= threshold + threshold_eps,
Loihi at v > threshold: with `threshold_eps = 1 / s_scale` they agree, by default they may not.

SLAYER's channel delays become one delayed projection for each different delay. The spikes of a
last layer that fires are counted by a read-out of its own, whose logits are firing rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np

from lavaseg.encoders import Encoder, Poisson
from lavaseg.errors import LavasegError
from lavaseg.kernels.neuron import NEVER
from lavaseg.network import (
    DECAY_UNITY,
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    Operator,
    Population,
    Projection,
    Shape,
    Size,
)
from lavaseg.network.integers import BIAS_MANTISSA_MAX, Bias, IntegerNetwork
from lavaseg.network.ranges import check_ranges
from lavaseg.netx.file import MAX_GEOMETRY, MAX_NEURONS, MAX_NODES
from lavaseg.netx.hdf5 import SIGNATURE, FormatError, Reader, read_image
from lavaseg.netx.slayer_pool import pool, unpool

MAX_WEIGHT_BYTES = 2**31
"""Weights of the network read; every delay of a layer takes a copy of the next one's."""
MAX_POOL = 2**22
"""Kernel places of a pool, over all channels; bounds the time that a hostile file can take."""

_HEAP_REFERENCE = 16
"""Bytes in the file that point to a text of any length."""
_AFFINE_THRESHOLD = 2**18 - 1
"""What SLAYER's Affine block writes: it never fires."""

_SPATIAL = {"shape", "kernelSize", "stride", "padding", "dilation", "weight", "neuron"}
_CONV = _SPATIAL | {"inChannels", "outChannels", "groups"}
_DENSE = {"shape", "inFeatures", "outFeatures", "weight"}
_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "input": ({"shape"}, {"weight", "bias", "neuron"}),
    "flatten": ({"shape"}, set()),
    "conv": (_CONV, {"bias", "delay"}),
    "convT": (_CONV, {"bias", "delay"}),
    "pool": (_SPATIAL, {"delay"}),
    "unpool": (_SPATIAL, {"delay"}),
    "dense": (_DENSE, {"bias", "delay", "neuron"}),
    "dense_rec": (_DENSE | {"weight_rec", "neuron"}, {"bias", "delay"}),
}
"""Fields that a layer of each type must and may have, besides its type."""
_SURROGATE = {"theta", "tauRho", "scaleRho"}  # of training alone; lava-dl before 0.3 wrote them
_NEURON = (
    {"iDecay", "vDecay", "vThMant", "refDelay"},
    {"gradedSpike", "weight_exp", "wgtExp"} | _SURROGATE,
)
_REFUSED = {
    "dense_comp": "a complex dense layer: only CUBA neurons can be read",
    "average": "an average of spikes, which NetX cannot run either: average outside of the net",
    "concat": "a concatenation, which SLAYER's blocks do not describe",
    "kwta": "a k-winners-take-all layer, whose competition within a step Loihi's LIF has not",
}


def read_stock(
    path: str | Path,
    *,
    steps: int,
    encoder: Encoder | None = None,
    classes: Sequence[str] | None = None,
    input_shape: Shape | None = None,
) -> IntegerNetwork:
    """The network of a file that SLAYER's CUBA blocks exported.

    Args:
        steps: logical time steps T of one sample, which the file does not say.
        encoder: turns pictures into spikes; `Poisson(steps)` by default. With a direct code the
            input carries its messages (SLAYER's input block, if it has a neuron, clips them at
            254 / scale, 3 by default; the network read here does not).
        classes: names of the output's channels; "class0", "class1" and so on by default.
        input_shape: (channels, height, width), needed where the file has no input layer and
            begins with another than a dense one.

    Returns:
        The network in logical time. Its read-out is the membrane of a last Affine layer, else a
        population "readout" that counts the last layer's spikes, 2 weight units each.

    Raises:
        LavasegError: a file that is damaged, contradicts itself or holds what cannot be read (a
            neuron other than CUBA, decays for each channel, ...), or numbers that Loihi cannot
            hold; the message names the file and the field.
    """
    encoder = Poisson(steps) if encoder is None else encoder
    if encoder.steps != steps:
        raise LavasegError(f"the encoder has {encoder.steps} steps, the network was given {steps}")
    path = Path(path)
    image = read_image(path)
    if not image.startswith(SIGNATURE):
        kind = "a network of lavaseg" if image.startswith(b"lavaseg network") else "no HDF5 file"
        raise FormatError(f"{path} is {kind}, expected one that SLAYER exported")
    try:
        with h5py.File(h5py.h5f.open_file_image(image)) as file:
            reader = _StockReader(file, str(path), len(image))
            return reader.network(encoder, classes, input_shape)
    except FormatError:
        raise
    except LavasegError as error:  # what a description or an IntegerNetwork says of itself
        raise type(error)(f"{path}: {error}") from None
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        problem = " ".join(str(error).split())
        raise FormatError(f"{path}: it cannot be read ({problem})") from None


# --------------------------------------------------------------------------------------------
# The network as far as it is read


@dataclass(frozen=True)
class _Sheet:
    """Spikes that a layer sees.

    Args:
        delays: steps that the spikes of each channel are late, (channels,).
        flat: a sheet without height and width.
    """

    name: str
    shape: Shape
    delays: np.ndarray
    flat: bool = False


@dataclass
class _Parts:
    """What is read so far; `sheet` is what the next layer sees."""

    input: Input
    sheet: _Sheet
    nodes: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    biases: dict[str, Bias] = field(default_factory=dict)

    def add(self, population: Population, bias: np.ndarray | None = None) -> None:
        self.nodes.append(replace(population, bias=bias is not None))
        if bias is not None:
            self.biases[population.name] = Bias(bias)

    def connect(self, source: _Sheet, target: str, operator: Operator, weight: np.ndarray) -> None:
        """Project a sheet's spikes: once for each different delay of its channels."""
        delays = np.unique(source.delays).tolist()
        used = sum(w.nbytes for w in self.weights.values())
        if used + 2 * weight.size * len(delays) > MAX_WEIGHT_BYTES:
            raise LavasegError(
                f"projection to {target!r}: {len(delays)} different delays take as many copies "
                f"of its weights, more than {MAX_WEIGHT_BYTES} bytes"
            )
        for delay in delays:
            name = f"{source.name}_to_{target}" + (f"_after{delay}" if len(delays) > 1 else "")
            self.projections.append(Projection(source.name, target, operator, delay, name))
            seen = (source.delays == delay).astype(weight.dtype)
            kept = operator.geometry(source.shape).scale_inputs(weight, seen)
            # a wider type where 16 bits do not hold them, so that their range is refused by name
            fits = kept.min() >= -(2**15) and kept.max() < 2**15
            self.weights[name] = kept.astype(np.int16) if fits else kept

    def count_spikes(self) -> None:
        """Add a read-out that adds up what the last layer sends, 2 weight units each."""
        self.connect(self.sheet, "readout", *_each_channel(self.sheet.shape[0], 2))
        self.add(Population("readout", None))


def _each_channel(channels: int, value: int) -> tuple[Conv, np.ndarray]:
    """From each neuron to the one at its place, with one weight."""
    return Conv(channels, (1, 1), groups=channels), np.full((channels, 1, 1, 1), value)


def _sheet_shape(extents: tuple[int, ...]) -> Shape:
    """(channels, height, width) of a stored shape, which is (features,) where it is flat."""
    channels, height, width = extents if len(extents) == 3 else (extents[0], 1, 1)
    return channels, height, width


# --------------------------------------------------------------------------------------------
# The file


class _StockReader(Reader):
    """Reads one open file that SLAYER exported."""

    def network(
        self, encoder: Encoder, classes: Sequence[str] | None, input_shape: Shape | None
    ) -> IntegerNetwork:
        if "lavaseg" in self.file:
            self._refuse("lavaseg", "is a group of lavaseg's own files, not of SLAYER's")
        layers = self._layers()
        parts = self._input(layers[0], encoder.message_bits, input_shape)
        for i, layer in enumerate(layers):
            if layer.kind == "input":
                if i:
                    layer.refuse("is an input layer, expected only as the first one")
            elif layer.kind == "flatten":
                _flatten(parts, layer)
            else:
                _add_layer(parts, layer, f"{layer.kind.lower()}{i}", last=layer is layers[-1])
        if not parts.nodes:
            self._refuse("layer", "holds no layer with neurons")
        counted = parts.nodes[-1].threshold is not None
        if counted:
            parts.count_spikes()
        names = [f"class{i}" for i in range(parts.sheet.shape[0])] if classes is None else classes
        net = IntegerNetwork(
            Network(
                parts.input, tuple(parts.nodes), tuple(parts.projections), parts.nodes[-1].name
            ),
            parts.weights,
            encoder,
            tuple(names),
            parts.biases,
            {"readout": 2.0} if counted else {},
        )
        check_ranges(net)
        return net

    def _layers(self) -> list[_Layer]:
        group = self.group("layer")
        count = len(group)
        if not 0 < count <= MAX_NODES:
            self._refuse("layer", f"holds {count} layers, expected 1 to {MAX_NODES}")
        for name in group:
            if name not in {str(i) for i in range(count)}:
                self._refuse(f"layer/{name}", f"is unknown: expected layers 0 to {count - 1}")
        return [self._layer(f"layer/{i}") for i in range(count)]

    def _layer(self, prefix: str) -> _Layer:
        fields = frozenset(self.group(prefix))
        if "type" not in fields:
            why = "not a SLAYER layer" if fields else "SLAYER's KWTA block exports nothing"
            self._refuse(prefix, f"has no type ({why})")
        kind = self.text(f"{prefix}/type")
        if kind in _REFUSED:
            self._refuse(f"{prefix}/type", f"is {kind!r}: it is {_REFUSED[kind]}")
        if kind not in _FIELDS:
            self._refuse(f"{prefix}/type", f"is {kind!r}, expected one of {', '.join(_FIELDS)}")
        if "neuron" in fields:
            neuron = self.text(f"{prefix}/neuron/type")
            if neuron not in ("CUBA", "LOIHI"):  # NetX takes both for the same
                self._refuse(
                    f"{prefix}/neuron/type", f"is {neuron!r}, only CUBA neurons can be read"
                )
            self._check_members(f"{prefix}/neuron", *_NEURON)
        self._check_members(prefix, *_FIELDS[kind])
        return _Layer(self, prefix, kind, fields)

    def _check_members(self, prefix: str, needed: set[str], allowed: set[str]) -> None:
        members = set(self.group(prefix)) - {"type"}
        for name in sorted(needed - members):
            self._refuse(f"{prefix}/{name}", "is missing")
        for name in sorted(members - needed - allowed):
            self._refuse(f"{prefix}/{name}", "is unknown: such a layer has no such field")

    def _input(self, layer: _Layer, bits: int, given: Shape | None) -> _Parts:
        """The host's sheet, and the neurons of an input block behind it."""
        flat = False
        if layer.kind == "input":
            extents = layer.extents()
            shape, flat = _sheet_shape(extents), len(extents) == 1
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
        parts = _Parts(source, _Sheet("input", source.shape, np.zeros(shape[0], int), flat))
        if layer.kind == "input" and "neuron" in layer.fields:
            _add_input_neurons(parts, layer)
        elif layer.kind == "input" and layer.fields & {"weight", "bias"}:
            layer.refuse("has a weight or bias, but no neuron")
        return parts

    # -- fields ----------------------------------------------------------------------------

    def group(self, name: str) -> h5py.Group:
        item = self._item(name)
        if not isinstance(item, h5py.Group):
            self._refuse(name, "is not a group")
        return item

    def text(self, name: str) -> str:
        dataset = self._dataset(name)
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape not in ((), (1,)):
            self._refuse(name, "is not a text")
        if dataset.id.get_storage_size() not in (dataset.dtype.itemsize, _HEAP_REFERENCE):
            self._refuse(name, "has no data")
        value: Any = dataset[()] if dataset.shape == () else dataset[0]
        return bytes(value).decode("ascii", "replace")

    def numbers(self, name: str, kinds: str) -> np.ndarray:
        dataset = self._dataset(name)
        if dataset.dtype.kind not in kinds or dataset.shape is None:
            self._refuse(name, f"has type {dataset.dtype}, expected numbers")
        self._spend(dataset, name)
        return np.asarray(dataset[()])


@dataclass(frozen=True)
class _Layer:
    """One layer of the file and its checked fields."""

    reader: _StockReader
    prefix: str
    kind: str
    fields: frozenset[str]

    def refuse(self, what: str, name: str = "") -> NoReturn:
        self.reader._refuse(f"{self.prefix}/{name}".rstrip("/"), what)

    def whole(
        self, name: str, shape: tuple[int, ...], low: int = -(2**31), high: int = 2**31 - 1
    ) -> np.ndarray:
        """Whole numbers, int64; SLAYER stores weights as floats, and may add axes of one."""
        values = self.reader.numbers(f"{self.prefix}/{name}", "fiu")
        if [n for n in values.shape if n != 1] != [n for n in shape if n != 1]:
            self.refuse(f"has shape {values.shape}, expected {shape}", name)
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            self.refuse("holds numbers that are not whole (exported without quantisation?)", name)
        if values.min() < low or values.max() > high:
            found = f"{values.min():g} to {values.max():g}"
            self.refuse(f"reaches from {found}, expected {low} to {high}", name)
        return values.astype(np.int64).reshape(shape)

    def channels(self, name: str, channels: int, low: int, high: int) -> np.ndarray:
        """A whole number for each channel; a single one stands for all."""
        single = self.reader._dataset(f"{self.prefix}/{name}").size == 1
        return np.broadcast_to(self.whole(name, (1 if single else channels,), low, high), channels)

    def integer(self, name: str, low: int, high: int) -> int:
        values = self.reader.numbers(f"{self.prefix}/{name}", "iub")
        if values.size != 1:
            why = "; decays for each channel cannot be read" if name.endswith("Decay") else ""
            self.refuse(f"has shape {values.shape}, expected one number{why}", name)
        value = int(values.reshape(()))
        if not low <= value <= high:
            self.refuse(f"is {value}, expected {low} to {high}", name)
        return value

    def pair(self, name: str, least: int = 1) -> Size:
        """(height, width)"""
        values = self.reader.numbers(f"{self.prefix}/{name}", "iu")
        if values.shape not in ((), (1,), (2,)):
            self.refuse(f"has shape {values.shape}, expected (height, width)", name)
        height, width = np.broadcast_to(values, (2,)).tolist()
        if not least <= min(height, width) <= max(height, width) <= MAX_GEOMETRY:
            self.refuse(f"is {height}, {width}, expected {least} to {MAX_GEOMETRY}", name)
        return height, width

    def extents(self) -> tuple[int, ...]:
        """The stored shape: (channels, height, width) or (features,)."""
        values = self.reader.numbers(f"{self.prefix}/shape", "iu")
        if values.shape not in ((1,), (3,)) or values.min() < 1 or values.max() > MAX_NEURONS:
            self.refuse(f"is {values.tolist()}, expected (channels, height, width)", "shape")
        return tuple(values.tolist())

    def check_size(self, shape: Shape) -> None:
        if math.prod(shape) > MAX_NEURONS:
            self.refuse(f"has more than {MAX_NEURONS} neurons", "shape")

    def population(self, name: str) -> Population:
        """Its neurons; an Affine block without dynamics has none: its currents are added up."""
        if "neuron" not in self.fields:
            return Population(name, None)
        threshold = self.integer("neuron/vThMant", 1, _AFFINE_THRESHOLD)
        if NEVER < threshold < _AFFINE_THRESHOLD:
            self.refuse(f"is {threshold}, Loihi holds up to {NEVER}", "neuron/vThMant")
        self.integer("neuron/refDelay", 1, 1)
        members = set(self.reader.group(f"{self.prefix}/neuron"))
        if "gradedSpike" in members and self.integer("neuron/gradedSpike", 0, 1):
            self.refuse("is set: spikes of a population are binary", "neuron/gradedSpike")
        for scale in {"weight_exp", "wgtExp"} & members:
            if self.whole(f"neuron/{scale}", ()):
                self.refuse(
                    "is not 0: the scale of WgtScaleBatchNorm cannot be read", f"neuron/{scale}"
                )
        return Population(
            name,
            None if threshold >= NEVER else threshold,
            self.integer("neuron/iDecay", 0, DECAY_UNITY),
            self.integer("neuron/vDecay", 0, DECAY_UNITY),
        )

    # -- operators -------------------------------------------------------------------------

    def operator(self, source: _Sheet) -> tuple[Operator, np.ndarray]:
        """What the layer does to the spikes of `source`, with its weights."""
        if self.kind.startswith("dense"):
            return self._dense(source)
        if source.flat:
            self.refuse(f"is a {self.kind} layer after a flat one")
        kernel, stride, dilation = (
            self.pair(name) for name in ("kernelSize", "stride", "dilation")
        )
        padding = self.pair("padding", 0)
        if self.kind in ("pool", "unpool"):
            if source.shape[0] * math.prod(kernel) > MAX_POOL:
                self.refuse(f"has more than {MAX_POOL} taps over all channels")
            weight = self.whole("weight", (1, 1, *kernel))[0, 0]
            stacked = pool if self.kind == "pool" else unpool
            try:
                return stacked(weight, source.shape, stride, padding, dilation)
            except LavasegError as error:
                self.refuse(f"cannot be read: {error}")
        fan, channels, groups = (
            self.integer(name, 1, MAX_NEURONS) for name in ("inChannels", "outChannels", "groups")
        )
        if fan != source.shape[0]:
            self.refuse(f"is {fan}, the layer before has {source.shape[0]}", "inChannels")
        if fan % groups or channels % groups:
            self.refuse(f"is {groups}, which does not divide the channels", "groups")
        operator: Conv | ConvTranspose = (
            Conv(channels, kernel, stride, padding, dilation, groups)
            if self.kind == "conv"
            else ConvTranspose(channels, kernel, stride, padding, (0, 0), dilation, groups)
        )
        shape = operator.weight_shape(source.shape)
        assert shape is not None
        return operator, self.whole("weight", shape)

    def _dense(self, source: _Sheet) -> tuple[Operator, np.ndarray]:
        """All-to-all, or, where SLAYER ran it on sheets, a 1 x 1 convolution."""
        features, fan = (
            self.integer(name, 1, MAX_NEURONS) for name in ("outFeatures", "inFeatures")
        )
        everywhere = len(self.extents()) == 3 and not source.flat
        expected = source.shape[0] if everywhere else math.prod(source.shape)
        if fan != expected:
            self.refuse(f"is {fan}, the layer before has {expected}", "inFeatures")
        weight = self.whole("weight", (features, fan))
        if everywhere:
            return Conv(features, (1, 1)), weight.reshape(features, fan, 1, 1)
        return Dense(features), weight.reshape(features, *source.shape)


# --------------------------------------------------------------------------------------------
# From layers to populations and projections


def _add_input_neurons(parts: _Parts, layer: _Layer) -> None:
    """SLAYER's input block: neurons that get weight * input + bias."""
    source, channels = parts.sheet, parts.sheet.shape[0]
    population = layer.population("input_neurons")
    weight, bias = (
        layer.whole(name, (), -256, 254).item() if name in layer.fields else default
        for name, default in (("weight", 64), ("bias", 0))
    )
    parts.connect(source, population.name, *_each_channel(channels, weight))
    unfiltered = population.current_decay == DECAY_UNITY
    if bias and not unfiltered:
        # SLAYER adds it before the current filter: neurons that always fire bring it there
        parts.connect(source, "input_bias", *_each_channel(channels, 0))
        parts.add(Population("input_bias"), np.full(channels, 2))
        constant = replace(source, name="input_bias")
        parts.connect(constant, population.name, *_each_channel(channels, bias))
    parts.add(population, np.full(channels, bias) if bias and unfiltered else None)
    parts.sheet = replace(source, name=population.name)


def _flatten(parts: _Parts, layer: _Layer) -> None:
    size = math.prod(layer.extents())
    if size != math.prod(parts.sheet.shape):
        layer.refuse(f"has {size} neurons, before it {parts.sheet.shape}", "shape")
    parts.sheet = replace(parts.sheet, flat=True)


def _add_layer(parts: _Parts, layer: _Layer, name: str, *, last: bool) -> None:
    extents = layer.extents()
    operator, weight = layer.operator(parts.sheet)
    shape = operator.output_shape(parts.sheet.shape)
    if _sheet_shape(extents) != shape:
        layer.refuse(f"is {extents}, its other fields give {shape}", "shape")
    layer.check_size(shape)
    population = layer.population(name)
    if population.threshold is None and not last:
        layer.refuse("never fires (an Affine block), expected only as the last layer")
    most, bias, delays = BIAS_MANTISSA_MAX, None, np.zeros(shape[0], int)
    if "bias" in layer.fields:
        bias = layer.channels("bias", shape[0], -most, most).astype(np.int32)
    if "delay" in layer.fields:
        delays = layer.channels("delay", shape[0], 0, 62)
    if population.threshold is None and delays.any():
        layer.refuse("delays a read-out, which sends no spikes", "delay")
    parts.connect(parts.sheet, name, operator, weight)
    if layer.kind == "dense_rec":  # its channel delays come behind the loop
        if not isinstance(operator, Dense):
            layer.refuse("is a recurrent layer on sheets, expected after a flat one")
        loop = layer.whole("weight_rec", (shape[0], shape[0]))
        back = _Sheet(name, shape, np.ones(shape[0], int))
        parts.connect(back, name, Dense(shape[0]), loop.reshape(shape[0], *shape))
    parts.add(population, bias)
    flat = len(extents) == 1 or isinstance(operator, Dense)
    parts.sheet = _Sheet(name, shape, delays, flat)
