"""The layers of a file that SLAYER exported, and their fields, checked one by one."""

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
_SURROGATE = {"theta", "tauRho", "scaleRho"}  # for training alone; lava-dl before 0.3 wrote them
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


class StockReader(Reader):
    """Reads one open file that SLAYER exported."""

    def layers(self) -> list[StoredLayer]:
        """All layers, in their order; each one has the fields of its type."""
        if "lavaseg" in self.file:
            self.refuse("lavaseg", "is a group of lavaseg's own files, not of SLAYER's")
        group = self.group("layer")
        count = len(group)
        if not 0 < count <= MAX_NODES:
            self.refuse("layer", f"holds {count} layers, expected 1 to {MAX_NODES}")
        for name in group:
            if name not in {str(i) for i in range(count)}:
                self.refuse(f"layer/{name}", f"is unknown: expected layers 0 to {count - 1}")
        return [self._layer(f"layer/{i}") for i in range(count)]

    def _layer(self, prefix: str) -> StoredLayer:
        fields = frozenset(self.group(prefix))
        if "type" not in fields:
            why = "not a SLAYER layer" if fields else "SLAYER's KWTA block exports nothing"
            self.refuse(prefix, f"has no type ({why})")
        kind = self.text(f"{prefix}/type")
        if kind in _REFUSED:
            self.refuse(f"{prefix}/type", f"is {kind!r}: it is {_REFUSED[kind]}")
        if kind not in _FIELDS:
            self.refuse(f"{prefix}/type", f"is {kind!r}, expected one of {', '.join(_FIELDS)}")
        if "neuron" in fields:
            neuron = self.text(f"{prefix}/neuron/type")
            if neuron not in ("CUBA", "LOIHI"):  # NetX takes both for the same
                self.refuse(
                    f"{prefix}/neuron/type", f"is {neuron!r}, only CUBA neurons can be read"
                )
            self._check_members(f"{prefix}/neuron", *_NEURON)
        self._check_members(prefix, *_FIELDS[kind])
        return StoredLayer(self, prefix, kind, fields)

    def _check_members(self, prefix: str, needed: set[str], allowed: set[str]) -> None:
        members = set(self.group(prefix)) - {"type"}
        for name in sorted(needed - members):
            self.refuse(f"{prefix}/{name}", "is missing")
        for name in sorted(members - needed - allowed):
            self.refuse(f"{prefix}/{name}", "is unknown: such a layer has no such field")

    def text(self, name: str) -> str:
        """One short text, such as a type."""
        dataset = self.dataset(name)
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape not in ((), (1,)):
            self.refuse(name, "is not a text")
        if dataset.id.get_storage_size() not in (dataset.dtype.itemsize, _HEAP_REFERENCE):
            self.refuse(name, "has no data")
        value: Any = dataset[()] if dataset.shape == () else dataset[0]
        return bytes(value).decode("ascii", "replace")

    def values(self, name: str, kinds: str) -> np.ndarray:
        """The numbers at `name`; `kinds` are the letters of the NumPy types that are taken."""
        dataset = self.dataset(name)
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
        values = self.reader.values(f"{self.prefix}/{name}", "fiu")
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
        single = self.reader.dataset(f"{self.prefix}/{name}").size == 1
        return np.broadcast_to(self.whole(name, (1 if single else channels,), low, high), channels)

    def integer(self, name: str, low: int, high: int, kinds: str = "iu") -> int:
        """One whole number."""
        values = self.reader.values(f"{self.prefix}/{name}", kinds)
        if values.size != 1:
            why = "; decays for each channel cannot be read" if name.endswith("Decay") else ""
            self.refuse(f"has shape {values.shape}, expected one number{why}", name)
        value = int(values.reshape(()))
        if not low <= value <= high:
            self.refuse(f"is {value}, expected {low} to {high}", name)
        return value

    def pair(self, name: str, least: int = 1) -> Size:
        """A field (height, width); one number stands for both."""
        values = self.reader.values(f"{self.prefix}/{name}", "iu")
        if values.shape not in ((), (1,), (2,)):
            self.refuse(f"has shape {values.shape}, expected (height, width)", name)
        height, width = np.broadcast_to(values, (2,)).tolist()
        if not least <= min(height, width) <= max(height, width) <= MAX_GEOMETRY:
            self.refuse(f"is {height}, {width}, expected {least} to {MAX_GEOMETRY}", name)
        return height, width

    def extents(self) -> tuple[int, ...]:
        """The stored shape: (channels, height, width) or (features,)."""
        values = self.reader.values(f"{self.prefix}/shape", "iu")
        if values.shape not in ((1,), (3,)) or values.min() < 1 or values.max() > MAX_NEURONS:
            self.refuse(f"is {values.tolist()}, expected (channels, height, width)", "shape")
        return tuple(values.tolist())

    def has(self, name: str) -> bool:
        """Whether the layer has a field; those of neurons are called "neuron/NAME"."""
        group, _, last = f"{self.prefix}/{name}".rpartition("/")
        return last in self.reader.group(group)

    def flag(self, name: str) -> bool:
        """Whether a field is there and set: a boolean, or 0 or 1."""
        return self.has(name) and bool(self.integer(name, 0, 1, "iub"))

    def check_size(self, shape: Shape) -> None:
        """Refuse more neurons than a population of a file may have."""
        if math.prod(shape) > MAX_NEURONS:
            self.refuse(f"has more than {MAX_NEURONS} neurons", "shape")
