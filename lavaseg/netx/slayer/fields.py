"""The layers of a NetX file that SLAYER, or another writer, exported: their fields, one by one.

A field without data (HDF5's null dataspace, or a length of zero) is one that is not there. Sizes
that a file leaves out are those of its weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

import h5py
import numpy as np

from lavaseg.network import Shape, Size
from lavaseg.netx.hdf5 import Reader
from lavaseg.netx.limits import MAX_GEOMETRY, MAX_NEURONS, MAX_NODES

_HEAP_REFERENCE = 16
"""Bytes in the file that point to a text of any length."""

_WINDOW = {"stride", "padding", "dilation", "weight", "neuron"}
_SIZES = {"shape", "kernelSize"}
_CONV = _SIZES | {"inChannels", "outChannels", "groups", "bias", "delay"}
_DENSE = {"shape", "inFeatures", "outFeatures", "bias", "delay"}
_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "input": ({"shape"}, {"weight", "bias", "neuron"}),
    "flatten": (set(), {"shape"}),
    "conv": (_WINDOW, _CONV),
    "convT": (_WINDOW | {"groups"}, _CONV),
    "pool": (_WINDOW, _SIZES | {"delay"}),
    "unpool": (_WINDOW, _SIZES | {"delay"}),
    "dense": ({"weight"}, _DENSE | {"neuron"}),
    "dense_rec": ({"weight", "weight_rec", "neuron"}, _DENSE),
    "average": ({"shape"}, set()),
}
"""Fields that a layer of each type must and may have, besides its type."""
_SURROGATE = {"theta", "tauRho", "scaleRho"}  # for training alone; lava-dl before 0.3 wrote them
_NEURON = (
    {"iDecay", "vDecay", "vThMant"},
    {"refDelay", "gradedSpike", "messageBits", "weight_exp", "wgtExp"} | _SURROGATE,
)
_SIGMA_DELTA = (
    "; a sigma-delta neuron sends graded changes of its value and adds up those it gets, which no "
    "population here does: Lava's SigmaDelta would be needed"
)
_NEURONS = {"SDNN": _SIGMA_DELTA}
"""What it would take to read other neurons."""
_ONE = (
    "; one for each channel or neuron cannot be read, since Lava's LIF holds one for all its "
    "neurons (SLAYER: shared_param=True)"
)
_REFUSED = {
    "dense_comp": "a complex dense layer: only CUBA neurons can be read",
    "concat": "a concatenation, which SLAYER's blocks do not describe",
    "kwta": "a k-winners-take-all layer, whose competition within a step Loihi's LIF has not",
}


class StockReader(Reader):
    """Reads one open file that SLAYER exported."""

    def layers(self) -> list[StoredLayer]:
        """All layers, in their order; each one has the fields of its type."""
        if "lavaseg" in self.file:
            self.refuse("lavaseg", "is a group of lavaseg's own files, not of SLAYER's")
        if "layer" not in self.file:
            self._no_layers()
        group = self.group("layer")
        count = len(group)
        if not 0 < count <= MAX_NODES:
            self.refuse("layer", f"holds {count} layers, expected 1 to {MAX_NODES}")
        for name in group:
            if name not in {str(i) for i in range(count)}:
                self.refuse(
                    f"layer/{name}",
                    f"is unknown: NetX numbers its layers, expected 0 to {count - 1}",
                )
        return [self._layer(f"layer/{i}") for i in range(count)]

    def _no_layers(self) -> NoReturn:
        """Say what the file holds instead of layers."""
        held = sorted(self.file)
        if "node" in held or "nodes" in held:
            what = "looks like NIR, the exchange format of several simulators, not NetX"
        elif held:
            what = f"holds {', '.join(held[:3])}{', ...' if len(held) > 3 else ''} instead"
        else:
            what = "is empty"
        self.refuse("layer", f"is missing: NetX has layers as layer/0, layer/1, ...; this {what}")

    def _layer(self, prefix: str) -> StoredLayer:
        fields = self._members(prefix)
        if "type" not in fields:
            known = ", ".join(_FIELDS)
            why = f"expected one of {known}" if fields else "SLAYER's KWTA block exports nothing"
            self.refuse(prefix, f"has no type ({why})")
        kind = self.text(f"{prefix}/type")
        if kind in _REFUSED:
            self.refuse(f"{prefix}/type", f"is {kind!r}: it is {_REFUSED[kind]}")
        if kind not in _FIELDS:
            self.refuse(f"{prefix}/type", f"is {kind!r}, expected one of {', '.join(_FIELDS)}")
        if "neuron" in fields:
            neuron = self.text(f"{prefix}/neuron/type")  # or it is missing or empty
            if neuron not in ("CUBA", "LOIHI"):  # NetX takes both for the same
                why = _NEURONS.get(neuron, "")
                self.refuse(
                    f"{prefix}/neuron/type", f"is {neuron!r}, only CUBA neurons can be read{why}"
                )
            self._check_members(f"{prefix}/neuron", *_NEURON)
        self._check_members(prefix, *_FIELDS[kind])
        return StoredLayer(self, prefix, kind, fields)

    def _members(self, prefix: str) -> frozenset[str]:
        """Names of what a group holds, without the fields that have no data."""
        group = self.group(prefix)
        return frozenset(name for name in group if holds_data(group, name))

    def _check_members(self, prefix: str, needed: set[str], allowed: set[str]) -> None:
        members = self._members(prefix) - {"type"}
        stored = set(self.group(prefix))
        for name in sorted(needed - members):
            what = "is empty: it has a type and no data" if name in stored else "is missing"
            self.refuse(f"{prefix}/{name}", what)
        for name in sorted(stored - needed - allowed - {"type"}):
            self.refuse(f"{prefix}/{name}", "is unknown: such a layer has no such field")

    def text(self, name: str) -> str:
        """One short text, such as a type."""
        dataset = self.dataset(name)
        if not dataset.size:
            self.refuse(name, "is empty: it has a type and no data")
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape not in ((), (1,)):
            self.refuse(name, "is not a text")
        if dataset.id.get_storage_size() not in (dataset.dtype.itemsize, _HEAP_REFERENCE):
            self.refuse(name, "has no data")
        value: Any = dataset[()] if dataset.shape == () else dataset[0]
        return bytes(value).decode("ascii", "replace").strip()

    def values(self, name: str, kinds: str) -> np.ndarray:
        """The numbers at `name`; `kinds` are the letters of the NumPy types that are taken."""
        dataset = self.dataset(name)
        if not dataset.size:
            self.refuse(name, "is empty: it has a type and no data")
        if dataset.dtype.kind not in kinds or dataset.shape is None:
            self.refuse(name, f"has type {dataset.dtype}, expected numbers")
        return self.numbers(name, dataset)


@dataclass(frozen=True)
class StoredLayer:
    """One layer of the file and its checked fields."""

    reader: StockReader
    prefix: str
    kind: str
    fields: frozenset[str]

    def refuse(self, what: str, name: str = "") -> NoReturn:
        """Raise a FormatError about the layer, or about its field `name`."""
        self.reader.refuse(f"{self.prefix}/{name}".rstrip("/"), what)

    def whole(
        self, name: str, shape: tuple[int, ...], low: int = -(2**31), high: int = 2**31 - 1
    ) -> np.ndarray:
        """Whole numbers, int64; SLAYER stores weights as floats, and may add axes of one."""
        values = self._numbers(name)
        if [n for n in values.shape if n != 1] != [n for n in shape if n != 1]:
            self.refuse(f"has shape {values.shape}, expected {shape}", name)
        if values.min() < low or values.max() > high:
            found = f"{values.min():g} to {values.max():g}"
            self.refuse(f"reaches from {found}, expected {low} to {high}", name)
        return values.astype(np.int64).reshape(shape)

    def extent(self, name: str, rank: int) -> tuple[int, ...]:
        """The shape of a field, as `rank` sizes; axes of one that SLAYER adds are left out."""
        found = self.reader.dataset(f"{self.prefix}/{name}").shape or ()
        sizes = list(found)
        while len(sizes) > rank and sizes[-1] == 1:
            sizes.pop()
        if len(sizes) != rank:
            self.refuse(f"has shape {found}, expected {rank} axes", name)
        return tuple(sizes)

    def _numbers(self, name: str) -> np.ndarray:
        """Whole numbers of any type; writers store them as floats, too."""
        values = self.reader.values(f"{self.prefix}/{name}", "fiu")
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            self.refuse("holds numbers that are not whole (exported without quantisation?)", name)
        return values

    def channels(self, name: str, channels: int, low: int, high: int) -> np.ndarray:
        """A whole number for each channel; a single one stands for all."""
        single = self.reader.dataset(f"{self.prefix}/{name}").size == 1
        return np.broadcast_to(self.whole(name, (1 if single else channels,), low, high), channels)

    def integer(self, name: str, low: int, high: int) -> int:
        """One whole number."""
        values = self._numbers(name)
        if values.size != 1:
            each = name.endswith(("Decay", "vThMant"))
            why = _ONE if each else ""
            self.refuse(f"has shape {values.shape}, expected one number{why}", name)
        value = int(values.reshape(()))
        if not low <= value <= high:
            self.refuse(f"is {value}, expected {low} to {high}", name)
        return value

    def pair(self, name: str, least: int = 1) -> Size:
        """A field (height, width); one number stands for both."""
        values = self._numbers(name)
        if values.shape not in ((), (1,), (2,)):
            self.refuse(f"has shape {values.shape}, expected (height, width)", name)
        height, width = np.broadcast_to(values, (2,)).astype(np.int64).tolist()
        if not least <= min(height, width) <= max(height, width) <= MAX_GEOMETRY:
            self.refuse(f"is {height}, {width}, expected {least} to {MAX_GEOMETRY}", name)
        return height, width

    def extents(self) -> tuple[int, ...]:
        """The stored shape: (channels, height, width) or (features,)."""
        values = self._numbers("shape").reshape(-1)
        if values.shape not in ((1,), (3,)) or values.min() < 1 or values.max() > MAX_NEURONS:
            self.refuse(f"is {values.tolist()[:8]}, expected (channels, height, width)", "shape")
        return tuple(values.astype(np.int64).tolist())

    def has(self, name: str) -> bool:
        """Whether the layer has a field with data; those of neurons are called "neuron/NAME"."""
        group, _, last = f"{self.prefix}/{name}".rpartition("/")
        return holds_data(self.reader.group(group), last)

    def flag(self, name: str) -> bool:
        """Whether a field is there and set: a boolean, or 0 or 1."""
        if not self.has(name):
            return False
        values = self.reader.values(f"{self.prefix}/{name}", "iub")
        if values.size != 1 or values.reshape(()) not in (0, 1):
            self.refuse(f"is {values.ravel()[:8].tolist()}, expected true or false", name)
        return bool(values.reshape(()))

    def check_size(self, shape: Shape) -> None:
        """Refuse more neurons than a population of a file may have."""
        if math.prod(shape) > MAX_NEURONS:
            self.refuse(f"has more than {MAX_NEURONS} neurons", "shape")


def holds_data(group: h5py.Group, name: str) -> bool:
    """Whether a group has a member that is more than a name and a type.

    Links are not followed; who reads one refuses it.
    """
    if name not in group.keys():  # noqa: SIM118
        return False
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return True
    item = group[name]
    return not isinstance(item, h5py.Dataset) or bool(item.size)
