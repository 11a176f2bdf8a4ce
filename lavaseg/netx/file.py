"""The `.net` file: NetX HDF5 that stock Lava loads when it can, and all that lavaseg needs.

A plain chain of convolutions and dense layers is written in NetX's published layout, `layer/0`,
`layer/1` and so on. Any other network keeps its numbers in the group `lavaseg`, and holds one
layer that stock NetX refuses. Either way `lavaseg/description` says in JSON what the numbers
mean, and the first 512 bytes, which HDF5 leaves to its users, hold the format's version and a
checksum of the rest. docs/netx-format.md lists every field.

Files come from strangers. The checksum is compared before the HDF5 library sees a byte, and then
every number is checked against the description: its place, type, shape, range and storage. Only
plain arrays inside the file are read, never more bytes than the file has.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import math
import re
import typing
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

import h5py
import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from lavaseg.encoders import Encoder, encoder_from_dict
from lavaseg.errors import LavasegError
from lavaseg.kernels.neuron import NEVER
from lavaseg.network import Conv, Dense, Network, Node, Population, Projection
from lavaseg.network.integers import (
    BIAS_EXPONENT_MAX,
    STOCK_BIAS_EXPONENT,
    Bias,
    IntegerNetwork,
    check_bias,
    check_weights,
)
from lavaseg.netx.hdf5 import SIGNATURE, FormatError, Reader, read_image
from lavaseg.system.files import write_atomically

VERSION = 1
"""Version of the layout; a reader refuses files of a higher one."""

HEADER_SIZE = 512
"""Bytes before the HDF5 part: HDF5's user block, which every HDF5 reader skips."""
MAX_DESCRIPTION = 2**24
MAX_NODES = 512
MAX_PROJECTIONS = 1024
MAX_NEURONS = 2**27
"""Neurons of one population; more than a hundred Loihi 2 chips hold."""
MAX_GEOMETRY = 65535
"""The largest kernel, stride, padding, dilation or factor of an operator."""

_HEADER = re.compile(rb"lavaseg network, NetX HDF5, version (\d{1,6})\n")
_WEIGHT, _BIAS, _NUMBER, _TYPE = (np.dtype(t) for t in ("<i2", "<i2", "<i8", "S10"))
_FIELDS = ("layout", "network", "encoder", "classes", "scales", "bias_exponents")
_STOCK_REFUSES = "concat"


# --------------------------------------------------------------------------------------------
# Where each number lives: one table for writer and reader


@dataclass(frozen=True)
class _Layout:
    """The fixed fields and the paths of the arrays that a description implies.

    Args:
        name: "sequence" (NetX's published layout) or "graph".
        fields: path to value, for everything in `layer` that the description determines.
        weights: path to projection, for each projection.
        biases: path to population or current, for each one that has a bias.
        clocks: path to population, for each one that has a clock.
    """

    name: str
    fields: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, Projection] = field(default_factory=dict)
    biases: dict[str, str] = field(default_factory=dict)
    clocks: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> set[str]:
        """Every dataset of the file."""
        return {"lavaseg/description", *self.fields, *self.weights, *self.biases, *self.clocks}


def _type(name: str) -> np.ndarray:
    return np.array([name.encode("ascii")], _TYPE)


def _number(value: int | tuple[int, ...]) -> np.ndarray:
    return np.array(value, _NUMBER)


def _graph_layout(network: Network, biased: list[str]) -> _Layout:
    """Arrays by name in the group `lavaseg`, and a layer that stock NetX refuses."""
    return _Layout(
        "graph",
        {"layer/0/type": _type(_STOCK_REFUSES)},
        {f"lavaseg/weights/{p.name}": p for p in network.projections},
        {f"lavaseg/biases/{name}": name for name in biased},
        {f"lavaseg/clocks/{p.name}": p.name for p in network.populations if p.clock},
    )


def _sequence_layout(network: Network, biased: list[str]) -> _Layout:
    """The published NetX layout; the network must be a chain of convolutions and dense layers."""
    layout = _Layout("sequence")
    layout.fields["layer/0/type"] = _type("input")
    layout.fields["layer/0/shape"] = _number(network.input.shape)
    index, flat = 1, False
    for node in network.ordered:
        (projection,) = network.incoming(node.name)
        source = network.shape(projection.source)
        if isinstance(projection.operator, Dense) and not flat:
            layout.fields[f"layer/{index}/type"] = _type("flatten")
            layout.fields[f"layer/{index}/shape"] = _number((math.prod(source),))
            index, flat = index + 1, True
        prefix = f"layer/{index}/"
        fields = _operator_fields(projection, source, network.shape(node.name))
        fields.update(_neuron_fields(node))
        layout.fields.update({prefix + name: value for name, value in fields.items()})
        layout.weights[prefix + "weight"] = projection
        if node.name in biased:
            layout.biases[prefix + "bias"] = node.name
        index += 1
    return layout


def _operator_fields(
    projection: Projection, source: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """As lava.lib.dl.slayer.block.base writes them (`export_hdf5` of conv and dense blocks)."""
    operator = projection.operator
    if isinstance(operator, Conv):
        return {
            "type": _type("conv"),
            "shape": _number(shape),
            "inChannels": _number(source[0]),
            "outChannels": _number(operator.channels),
            "kernelSize": _number(operator.kernel),
            "stride": _number(operator.stride),
            "padding": _number(operator.padding),
            "dilation": _number(operator.dilation),
            "groups": _number(operator.groups),
        }
    if not isinstance(operator, Dense):
        raise LavasegError(f"projection {projection.name!r}: no {operator.kind} in a sequence")
    return {
        "type": _type("dense"),
        "shape": _number((operator.features,)),
        "inFeatures": _number(math.prod(source)),
        "outFeatures": _number(operator.features),
    }


def _neuron_fields(node: Node) -> dict[str, np.ndarray]:
    """As `device_params` of lava.lib.dl.slayer.neuron.cuba.Neuron."""
    if not isinstance(node, Population):
        raise LavasegError(f"current {node.name!r} cannot be part of a sequence")
    return {
        "neuron/type": _type("CUBA"),
        "neuron/iDecay": _number(node.current_decay),
        "neuron/vDecay": _number(node.voltage_decay),
        "neuron/vThMant": _number(NEVER if node.threshold is None else int(node.threshold)),
        "neuron/refDelay": _number(1),
        "neuron/gradedSpike": np.array(False),
    }


def _stored_weight_shape(network: Network, projection: Projection) -> tuple[int, ...]:
    """Shape in the file: as in memory, but dense weights are (features, inputs), as NetX's."""
    shape = network.synapse_shape(projection)
    if isinstance(projection.operator, Dense):
        return shape[0], math.prod(shape[1:])
    return shape


# --------------------------------------------------------------------------------------------
# What stock NetX can load


def stock_loadable(net: IntegerNetwork) -> tuple[bool, str]:
    """Whether stock `lava.lib.dl.netx.hdf5.Network` runs the file of `net` spike for spike.

    Returns:
        (True, "") or (False, the first layer that it cannot load, and why).
    """
    for name, reason in _obstacles(net):
        if reason:
            return False, f"population {name!r} {reason}"
    return True, ""


def _obstacles(net: IntegerNetwork) -> Iterator[tuple[str, str]]:
    """Each node with why stock NetX cannot load it, '' if it can."""
    before, flat = net.network.input.name, False
    for node in net.network.ordered:
        incoming = net.network.incoming(node.name)
        yield node.name, _why_not(net, node, incoming, before, flat)
        before, flat = node.name, isinstance(incoming[0].operator, Dense)


def _why_not(
    net: IntegerNetwork,
    node: Node,
    incoming: tuple[Projection, ...],
    before: str,
    flat: bool,
) -> str:
    projection = incoming[0]
    kind = projection.operator.kind
    if not isinstance(node, Population):
        return "is a current without neurons"
    if len(incoming) > 1:
        return f"adds up {len(incoming)} projections"
    if projection.source != before:
        return f"takes its spikes from {projection.source!r}, not from the layer before it"
    if projection.delay:
        return f"gets its input {projection.delay} steps late"
    if kind not in ("conv", "dense"):
        return f"has a {kind} projection"
    if kind == "conv" and flat:
        return "is a convolution after a dense layer"
    if node.reset != "hard":
        return f"has a {node.reset} reset"
    if node.norm != "none":
        return "still has a batch norm"
    if node.clock:
        return "has a clock, a current of its own for each step"
    if node.name in net.biases and net.biases[node.name].exponent != STOCK_BIAS_EXPONENT:
        exponent = net.biases[node.name].exponent
        return f"has a bias exponent of {exponent}, stock NetX takes {STOCK_BIAS_EXPONENT}"
    if kind == "dense":
        return _why_not_dense(net.weights[projection.name])
    return ""


def _why_not_dense(weight: np.ndarray) -> str:
    """Two faults of lava.lib.dl.netx.utils.optimize_weight_bits, found by trying 20,000 arrays.

    It divides by the largest weight; and purely negative weights whose smallest is a power of
    two are scaled to -256, which lava.proc.dense then clips to -255 and truncates.
    """
    lowest = -int(weight.min())
    if weight.max() > 0 or lowest & (lowest - 1):
        return ""
    if lowest == 0:
        return "has only zero weights, on which stock NetX fails"
    return f"has no positive weight and a smallest one of {-lowest}, which stock NetX changes"


def describe(net: IntegerNetwork) -> list[dict[str, Any]]:
    """One row for the input and for each population or current, in topological order, for tables.

    Keys: layer, type, operator (text, '' for the input), shape (C, H, W), parameters (weights and
    biases), latency (steps), threshold (mantissa; None: never fires), current_decay,
    voltage_decay (1/4096), weights and biases ((smallest, largest) or None; biases in state
    units), stock_loadable, and stock_obstacle (why not, or '').
    """
    network = net.network
    rows = [_row(network.input.name, "input", network.input.shape, 0)]
    for name, reason in _obstacles(net):
        node = network[name]
        incoming = network.incoming(name)
        weights = [net.weights[p.name] for p in incoming if p.name in net.weights]
        bias = net.biases.get(name)
        row = _row(name, type(node).__name__.lower(), network.shape(name), network.latencies[name])
        chain = network.is_sequence
        row["operator"] = " + ".join(
            [_operator_text(p) + ("" if chain else f" from {p.source}") for p in incoming]
            + ["clock"] * (name in net.clocks)
        )
        row["parameters"] = sum(w.size for w in weights) + (bias.mantissa.size if bias else 0)
        row["parameters"] += net.clocks[name].size if name in net.clocks else 0
        if isinstance(node, Population):
            for key in ("threshold", "current_decay", "voltage_decay"):
                row[key] = getattr(node, key)
        row["weights"] = _range(weights)
        row["biases"] = _range([bias.state_units]) if bias else None
        row["stock_loadable"], row["stock_obstacle"] = not reason, reason
        rows.append(row)
    return rows


def _row(name: str, kind: str, shape: tuple[int, ...], latency: int) -> dict[str, Any]:
    return {
        "layer": name,
        "type": kind,
        "operator": "",
        "shape": shape,
        "parameters": 0,
        "latency": latency,
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


def _operator_text(projection: Projection) -> str:
    """Such as 'conv 3x3 stride 2'; left out is what equals the default or keeps the size."""
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
    if projection.delay:
        words.append(f"delay {projection.delay}")
    return " ".join(words)


def _keeps_size(conv: Conv) -> bool:
    """Whether the padding makes up for what the kernel takes away."""
    return all(
        2 * p == d * (k - 1)
        for k, p, d in zip(conv.kernel, conv.padding, conv.dilation, strict=True)
    )


# --------------------------------------------------------------------------------------------
# Writing


def write(net: IntegerNetwork, path: str | Path) -> None:
    """Write `net` as a `.net` file, atomically: an older file stays until the new one is whole.

    The same network always gives the same bytes.

    Raises:
        LavasegError: the folder cannot be written, or weights belong to no projection.
    """
    body = _hdf5(net)[HEADER_SIZE:]
    write_atomically(path, _header(body) + body)


def _header(body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()
    text = f"lavaseg network, NetX HDF5, version {VERSION}\nsha256 {digest}\n"
    return text.encode("ascii").ljust(HEADER_SIZE, b"\0")


def _hdf5(net: IntegerNetwork) -> bytes:
    network = net.network
    choose = _sequence_layout if stock_loadable(net)[0] else _graph_layout
    layout = choose(network, list(net.biases))
    stray = set(net.weights) - {p.name for p in layout.weights.values()}
    if stray:
        raise LavasegError(f"there is no projection for the weights {', '.join(sorted(stray))}")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=HEADER_SIZE) as file:
        for name, value in layout.fields.items():
            file.create_dataset(name, data=value)
        for name, projection in layout.weights.items():
            weight = net.weights[projection.name].astype(_WEIGHT)
            file.create_dataset(
                name, data=weight.reshape(_stored_weight_shape(network, projection))
            )
        for name, population in layout.biases.items():
            file.create_dataset(name, data=net.biases[population].mantissa.astype(_BIAS))
        for name, population in layout.clocks.items():
            file.create_dataset(name, data=net.clocks[population].astype(_WEIGHT))
        text = _description(net, layout.name)
        file.create_dataset("lavaseg/description", data=np.frombuffer(text, np.uint8))
    return buffer.getvalue()


def _description(net: IntegerNetwork, layout: str) -> bytes:
    data = {
        "layout": layout,
        "network": net.network.to_dict(),
        "encoder": net.encoder.to_dict(),
        "classes": list(net.classes),
        "scales": dict(net.scales),
        "bias_exponents": {name: bias.exponent for name, bias in net.biases.items()},
    }
    try:
        text = json.dumps(data, allow_nan=False, default=_plain, indent=1)
    except (TypeError, ValueError) as error:
        raise LavasegError(f"the network's description cannot be written: {error}") from None
    return text.encode("utf-8")


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not plain data")


# --------------------------------------------------------------------------------------------
# Reading


def read(path: str | Path) -> IntegerNetwork:
    """The network of a `.net` file, equal to the one that was written.

    Raises:
        LavasegError: the file is missing, damaged, of another program or of a newer version, or
            a field is missing, unknown, of the wrong type or shape, or out of range.
    """
    path = Path(path)
    image = _checked_image(path)
    try:
        with h5py.File(h5py.h5f.open_file_image(image)) as file:
            return _Reader(file, str(path), len(image)).network()
    except FormatError:
        raise
    except LavasegError as error:  # what a description or an IntegerNetwork says of itself
        raise FormatError(f"{path}: {error}") from None
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        problem = " ".join(str(error).split())
        raise FormatError(f"{path}: its HDF5 part cannot be read ({problem})") from None


def _checked_image(path: Path) -> bytes:
    """The bytes of the file, once its header and checksum are right."""
    image = read_image(path)
    if image.startswith(SIGNATURE):
        raise FormatError(
            f"{path} is an HDF5 file of another program (a SLAYER export, perhaps), expected "
            "one that lavaseg wrote; `lavaseg import` reads what SLAYER exports"
        )
    header = _HEADER.match(image)
    if header is None:
        raise FormatError(f"{path} is not a lavaseg network (its first line does not say so)")
    version = int(header[1])
    if version > VERSION:
        raise FormatError(
            f"{path} has format version {version}, this lavaseg reads up to {VERSION}: update it"
        )
    if image[:HEADER_SIZE] != _header(image[HEADER_SIZE:]):
        raise FormatError(f"{path} is truncated or damaged (its checksum differs)")
    return image


class _Reader(Reader):
    """Reads one open file of this layout."""

    def network(self) -> IntegerNetwork:
        data = self._description()
        network = _network(data["network"])
        exponents = self._exponents(data["bias_exponents"], network)
        layout = self._layout(data["layout"], network, list(exponents))
        self._check_members(layout)
        for name, expected in layout.fields.items():
            self._check_field(name, expected)
        weights = {}
        for name, projection in layout.weights.items():
            stored = self._array(name, _WEIGHT, _stored_weight_shape(network, projection))
            check_weights(projection.name, stored)
            shape = network.synapse_shape(projection)
            weights[projection.name] = stored.astype(np.int16).reshape(shape)
        biases = {}
        for name, node in layout.biases.items():
            mantissa = self._array(name, _BIAS, (network.shape(node)[0],)).astype(np.int32)
            biases[node] = Bias(mantissa, exponents[node])
            check_bias(node, biases[node], len(mantissa))
        encoder = _encoder(data["encoder"])
        clocks = {}
        for name, population in layout.clocks.items():
            shape = encoder.steps, network.shape(population)[0]
            clocks[population] = self._array(name, _WEIGHT, shape).astype(np.int16)
        net = IntegerNetwork(
            network,
            weights,
            encoder,
            self._classes(data["classes"]),
            biases,
            self._scales(data["scales"], network),
            clocks,
        )
        if (layout.name == "sequence") != stock_loadable(net)[0]:
            self._refuse("layout", f"is {layout.name!r}, which does not suit this network")
        return net

    # -- the HDF5 part ---------------------------------------------------------------------

    def _array(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """The numbers at `name`, once the file is known to hold them."""
        dataset = self._dataset(name)
        if dataset.dtype != dtype:
            self._refuse(name, f"has type {dataset.dtype}, expected {dtype}")
        if dataset.shape != shape:
            self._refuse(name, f"has shape {dataset.shape}, expected {shape}")
        self._spend(dataset, name)
        return np.asarray(dataset[()])

    def _check_members(self, layout: _Layout) -> None:
        """Refuse what the format does not know, be it a layer, a neuron's field or a group."""
        groups = {""} | {
            "/".join(parts[:depth])
            for parts in (path.split("/") for path in layout.paths)
            for depth in range(1, len(parts))
        }
        for group in sorted(groups):
            item = self._item(group)
            if not isinstance(item, h5py.Group):
                self._refuse(group, "is not a group")
            for name in item.keys():  # noqa: SIM118
                path = f"{group}/{name}".lstrip("/")
                if path not in groups and path not in layout.paths:
                    self._refuse(path, "is unknown: it does not belong to the network described")

    def _check_field(self, name: str, expected: np.ndarray) -> None:
        found = self._array(name, expected.dtype, expected.shape)
        if not np.array_equal(found, expected):
            self._refuse(name, f"is {_text(found)}, the description expects {_text(expected)}")

    # -- the description -------------------------------------------------------------------

    def _description(self) -> dict[str, Any]:
        name = "lavaseg/description"
        dataset = self._dataset(name)
        if len(dataset.shape or ()) != 1 or dataset.shape[0] > MAX_DESCRIPTION:
            self._refuse(name, f"has shape {dataset.shape}, expected up to {MAX_DESCRIPTION} bytes")
        text = self._array(name, np.dtype(np.uint8), dataset.shape).tobytes()
        try:
            data = json.loads(
                text.decode("utf-8"), parse_float=_finite, parse_constant=_not_a_number
            )
        except (ValueError, RecursionError) as error:
            self._refuse(name, f"is not valid JSON ({error})")
        if not isinstance(data, dict):
            self._refuse(name, "must be a JSON object")
        for key in _FIELDS:
            if key not in data:
                self._refuse(name, f"has no field {key!r}")
        for key in data:
            if key not in _FIELDS:
                self._refuse(name, f"has an unknown field {key!r}")
        return data

    def _layout(self, name: Any, network: Network, biased: list[str]) -> _Layout:
        makers: dict[str, Callable[[Network, list[str]], _Layout]] = {
            "sequence": _sequence_layout,
            "graph": _graph_layout,
        }
        if not isinstance(name, str) or name not in makers:
            self._refuse("layout", f"is {name!r}, expected one of {', '.join(makers)}")
        if name == "sequence" and not network.is_sequence:
            self._refuse("layout", "is 'sequence', but the network has branches or delays")
        return makers[name](network, biased)

    def _exponents(self, data: Any, network: Network) -> dict[str, int]:
        for name, exponent in _named(data, "bias_exponents", network).items():
            if type(exponent) is not int or not 0 <= exponent <= BIAS_EXPONENT_MAX:
                self._refuse(
                    f"bias_exponents.{name}",
                    f"is {exponent!r}, expected an integer from 0 to {BIAS_EXPONENT_MAX}",
                )
        return dict(data)

    def _scales(self, data: Any, network: Network) -> dict[str, float]:
        for name, scale in _named(data, "scales", network).items():
            if type(scale) not in (int, float) or not 0 < scale <= 1e30:
                self._refuse(f"scales.{name}", f"is {scale!r}, expected a positive number")
        return dict(data)

    def _classes(self, data: Any) -> tuple[str, ...]:
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            self._refuse("classes", "must be a list of names")
        return tuple(data)


def _text(value: np.ndarray) -> str:
    if value.dtype.kind == "S":
        return repr(value.ravel()[0].decode("ascii", "replace"))
    return str(value.tolist())


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _named(data: Any, where: str, network: Network) -> dict[str, Any]:
    """`data`, once each of its keys is a population or current of the network."""
    if not isinstance(data, dict):
        raise LavasegError(f"{where} must be a JSON object")
    for name in data:
        if name == network.input.name or name not in network.shapes:
            raise LavasegError(f"{where} names {name!r}, which is no population of the network")
    return data


def _network(data: Any) -> Network:
    """A checked network from plain data that may be anything."""
    if not isinstance(data, dict):
        raise LavasegError("network must be a JSON object")
    for key, limit in (("nodes", MAX_NODES), ("projections", MAX_PROJECTIONS)):
        if not isinstance(data.get(key), list) or len(data[key]) > limit:
            raise LavasegError(f"network.{key} must be a list of at most {limit} items")
    network = Network.from_dict(data)
    _check_types(network.input, f"input {network.input.name!r}")
    for node in network.nodes:
        _check_types(node, f"population {node.name!r}")
    for projection in network.projections:
        where = f"projection {projection.name!r}"
        _check_types(projection, where)
        _check_types(projection.operator, where)
        _check_geometry(projection, where)
    for name, shape in network.shapes.items():
        if math.prod(shape) > MAX_NEURONS:
            raise LavasegError(
                f"population {name!r} of shape {shape} has more than {MAX_NEURONS} neurons"
            )
    return network


def _check_geometry(projection: Projection, where: str) -> None:
    for item in dataclasses.fields(projection.operator):
        value = getattr(projection.operator, item.name)
        if isinstance(value, tuple) and max(value) > MAX_GEOMETRY:
            raise LavasegError(f"{where}: {item.name} {value} exceeds {MAX_GEOMETRY}")


def _check_types(item: Any, where: str) -> None:
    """Refuse a field whose JSON value has another type than the dataclass says (8.0 for 8)."""
    checks = _field_checks(cast(Hashable, type(item)))
    for part in dataclasses.fields(item):
        if part.name not in checks:
            continue
        value = getattr(item, part.name)
        try:
            checks[part.name].validate_python(value)
        except ValidationError:
            raise LavasegError(f"{where}: {part.name} is {value!r}, expected {part.type}") from None


@functools.cache
def _field_checks(cls: Any) -> dict[str, TypeAdapter[Any]]:
    """For each field of a dataclass, a check that its value has exactly the declared type.

    A projection's operator is a dataclass, checked as one.
    """
    hints = typing.get_type_hints(cls)
    return {
        part.name: TypeAdapter(hints[part.name], config=ConfigDict(strict=True))
        for part in dataclasses.fields(cls)
        if part.name != "operator"
    }


def _encoder(data: Any) -> Encoder:
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise LavasegError("encoder must be a JSON object with a field 'kind'")
    try:
        encoder = encoder_from_dict(data)
    except (TypeError, ValueError) as error:
        raise LavasegError(f"encoder: {error}") from None
    _check_types(encoder, f"encoder {encoder.kind!r}")
    return encoder
