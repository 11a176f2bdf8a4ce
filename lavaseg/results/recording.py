"""A recording of a network: spikes, membranes and operations of each layer, as plain NumPy.

`lavaseg.deploy.observation` makes recordings; they are the same for float, integer and artificial
networks, so that these can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Shape
from lavaseg.network.levels import IntegerNeurons
from lavaseg.results.levels import LevelView
from lavaseg.system.faults import reading
from lavaseg.system.files import replacing
from lavaseg.system.shown import by, html_table
from lavaseg.system.versions import versions
from lavaseg.system.words import counted

NEAR = 0.1
"""A membrane is near its threshold if it is no farther from it than this part of the threshold:
there rounding of weights may make another spike."""
FORMAT = 2
"""Version of the files that `Recording.save` writes."""

Kind = Literal["float", "integer", "artificial"]
"""A spiking network as trained, one in Loihi's integers, or an artificial one."""
UNITS: dict[Kind, str] = {
    "float": "trained units",
    "integer": "state units, 1/64 of a weight unit",
    "artificial": "none",
}
"""The unit of membranes, thresholds and read-out of each kind of network."""


@dataclass(frozen=True, eq=False)
class LayerRecording:
    """The recording of one layer over N samples. Every array begins with the axis of the samples.

    Args:
        name: the node's name; of an artificial network, the submodule's (`lavaseg models NAME`).
        kind: "input", "population", "readout" (a population that never fires), "relay" or
            "current" (a sum without neurons, such as a residual stream); of an artificial network,
            the class of the submodule.
        shape: (channels, height, width).
        rates: float64 (N,), spikes per neuron and step, up to `levels`; relays and graded input:
            messages; currents: values that are not 0; artificial: the share of activations that
            are not 0.
        macs: multiply-accumulates of one dense pass into it, zero padding included, as papers
            count them; weights only.
        spikes: uint8 (N, T, C, H, W); a graded input's messages, or, int32, a relay's. None for
            a layer without spikes.
        membranes: before reset, (N, T, C, H, W). Float networks: float32, trained units, exact
            multiples of 1/4096. Integer networks: int32, state units (1/64 of a weight unit).
            Spikes are exactly where membranes > threshold; with levels, as many as there are
            thresholds (k + 1/2) threshold below. None unless asked for, and where there
            are no neurons.
        values: float32; of a current (and of a relay that is not integer) its sums, (N, T, C, H,
            W), trained units; of an artificial layer its activations, (N, C, H, W).
        threshold: in the unit of the membranes; None where nothing fires.
        near: float64 (N,), share of membranes within 10 % of the threshold (`NEAR`), or of one of
            an integer neuron's, over neurons and steps; of its slots, within 10 % of the distance
            between levels. None where nothing fires.
        levels: of integer neurons; None: binary spikes, or none.
        operations: int64 (N,), synaptic operations into it: each spike times the synapses that it
            really has, borders considered, clocks included, relays that make spikes wait left out.
            None for artificial layers and for currents, whose synapses belong to their targets,
            unless one is relayed on hardware (pooling that does not merge); or where
            `Recording.remarks` says why.
        scale: membrane values in one trained unit: 1 in a float network, 64 x its weight scale in
            an integer one.
    """

    name: str
    kind: str
    shape: Shape
    rates: np.ndarray
    macs: int
    spikes: np.ndarray | None = None
    membranes: np.ndarray | None = None
    values: np.ndarray | None = None
    threshold: float | None = None
    near: np.ndarray | None = None
    levels: int | None = None
    operations: np.ndarray | None = None
    scale: float = 1.0

    def __repr__(self) -> str:
        kept = ", ".join(f"{what} {by(array.shape)}" for what, array in self.arrays.items())
        kind = f"{self.kind} {by(self.shape)}, rate {self.rate:.3g}"
        return f"LayerRecording({self.name!r}, {kind}{f', {kept}' if kept else ''})"

    @property
    def rate(self) -> float:
        """`rates` of all samples together."""
        return float(self.rates.mean())

    @property
    def near_threshold(self) -> float | None:
        """`near` of all samples together."""
        return None if self.near is None else float(self.near.mean())

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that were kept, of spikes, membranes and values."""
        kept = {"spikes": self.spikes, "membranes": self.membranes, "values": self.values}
        return {what: array for what, array in kept.items() if array is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: all but `arrays`, of which it gives dtypes and shapes."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "threshold": self.threshold,
            "levels": self.levels,
            "scale": self.scale,
            "rate": self.rate,
            "rates": self.rates.tolist(),
            "near_threshold": self.near_threshold,
            "nears": None if self.near is None else self.near.tolist(),
            "operations": None if self.operations is None else self.operations.tolist(),
            "macs": self.macs,
            "arrays": {
                what: {"dtype": str(array.dtype), "shape": list(array.shape)}
                for what, array in self.arrays.items()
            },
        }


@dataclass(frozen=True, eq=False)
class Recording:
    """Recordings of the layers of a network over N samples of T steps.

    Args:
        kind: "float", "integer" or "artificial".
        steps: T.
        seed, numbers: keys of the encoder's draws, one number a sample.
        layers: by name, in the order of computation.
        readout: the network's answer, (N, K, H, W): the read-out's membrane after the last
            step, float32 in trained units or int64 in state units; artificial: T x logits.
        remarks: sentences on figures that were not counted, and why.
        pictures: what the network saw of each sample, uint8 (N, C, H, W); events as a picture.
        classes: class names.
        view: which layers are one population of integer neurons.
    """

    kind: Kind
    steps: int
    seed: int
    numbers: tuple[int, ...]
    layers: Mapping[str, LayerRecording]
    readout: np.ndarray
    remarks: tuple[str, ...] = ()
    pictures: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.uint8))
    classes: tuple[str, ...] = ()
    view: LevelView = field(default_factory=LevelView)

    def __repr__(self) -> str:
        samples, layers = counted(self.samples, "sample"), counted(len(self.layers), "layer")
        return f"Recording({self.kind}, {samples}, T = {self.steps}, {layers})"

    def _repr_html_(self) -> str:
        rows = (
            (
                layer.name,
                layer.kind,
                by(layer.shape),
                f"{layer.rate:.4g}",
                "-" if layer.operations is None else f"{layer.operations.mean():,.0f}",
                ", ".join(layer.arrays),
            )
            for layer in self.populations.values()
        )
        columns = ["layer", "kind", "shape", ">rate", ">operations a sample", "kept"]
        return html_table(repr(self), columns, rows)

    def __getitem__(self, layer: str) -> LayerRecording:
        return self.layers[layer]

    @property
    def samples(self) -> int:
        return len(self.readout)

    @property
    def populations(self) -> dict[str, LayerRecording]:
        """`layers`, with integer neurons as one layer that sends what all its slots send.

        So they look as in the float network. Those of which not all nodes were recorded stay.
        """
        view, found = self.view.within(self.layers), {}
        for name in view.folded(self.layers):
            sheet = view.sheets.get(name)
            found[name] = self.layers[name] if sheet is None else self._folded(name, sheet)
        return found

    def _folded(self, name: str, sheet: IntegerNeurons) -> LayerRecording:
        """The layer of integer neurons, of the layers of its nodes."""
        slots = [self.layers[slot] for slot in sheet.slots]
        nodes = [self.layers[node] for node in sheet.members]
        (first, *_), kept = slots, [slot.spikes for slot in slots if slot.spikes is not None]
        operations = [node.operations for node in nodes if node.operations is not None]
        nears = [slot.near for slot in slots if slot.near is not None]
        whole = len(kept) == len(slots)
        return replace(
            first,
            name=name,
            rates=np.sum([slot.rates for slot in slots], 0),
            macs=sum(node.macs for node in nodes),
            spikes=np.stack(kept).sum(0, dtype=np.uint8) if whole else None,
            # that of the first slot lies in the middle between 0 and 1
            threshold=None if first.threshold is None else 2 * first.threshold,
            near=np.sum(nears, 0) if len(nears) == len(slots) else None,
            levels=len(slots),
            operations=np.sum(operations, 0) if len(operations) == len(nodes) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: everything but the arrays; `LayerRecording.to_dict` a layer.

        "layers" are those whose arrays a file has, "populations" those with integer neurons as one.
        """
        return {
            "format": FORMAT,
            "kind": self.kind,
            "samples": self.samples,
            "steps": self.steps,
            "seed": self.seed,
            "numbers": list(self.numbers),
            "unit": UNITS[self.kind],
            "near": NEAR,
            "remarks": list(self.remarks),
            "classes": list(self.classes),
            "layers": [layer.to_dict() for layer in self.layers.values()],
            "populations": [layer.to_dict() for layer in self.populations.values()],
            "levels": self.view.to_dict(),
            "versions": versions(),
        }

    def save(self, path: str | Path) -> None:
        """Write a compressed .npz, whole or not at all; `numpy.load` opens it without pickle.

        Its entries are LAYER/spikes, LAYER/membranes and LAYER/values, as far as they were kept,
        readout, pictures, and metadata: `to_dict` as JSON, which
        `json.loads(str(file["metadata"]))` reads.

        Raises:
            LavasegError: the file cannot be written.
        """
        arrays: dict[str, Any] = {
            f"{name}/{what}": array
            for name, layer in self.layers.items()
            for what, array in layer.arrays.items()
        }
        metadata = np.array(json.dumps(self.to_dict()))
        with replacing(path) as part, part.open("wb") as file:
            kept = {"readout": self.readout, "pictures": self.pictures, **arrays}
            np.savez_compressed(file, metadata=metadata, **kept)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """The recording that `save` wrote; shares and operations as numbers, all arrays.

        Raises:
            LavasegError: the file is missing, damaged or something else.
        """
        path = Path(path)
        what = "is no recording of `lavaseg record`"
        with reading(path, what), np.load(path, allow_pickle=False) as file:
            stored = json.loads(str(file["metadata"]))
            if stored["format"] != FORMAT:
                raise LavasegError(
                    f"{path} is a recording of format {stored['format']}, expected {FORMAT}: "
                    "record again"
                )
            found = cls(
                kind=stored["kind"],
                steps=int(stored["steps"]),
                seed=int(stored["seed"]),
                numbers=tuple(map(int, stored["numbers"])),
                layers={item["name"]: _stored_layer(item, file) for item in stored["layers"]},
                readout=file["readout"],
                remarks=tuple(map(str, stored["remarks"])),
                pictures=file["pictures"],
                classes=tuple(map(str, stored["classes"])),
                view=LevelView.from_dict(stored.get("levels", {})),
            )
            _check(found)
        return found


def _stored_layer(item: Mapping[str, Any], file: Mapping[str, np.ndarray]) -> LayerRecording:
    """A layer of a file, from its metadata and the file's arrays."""
    name, near, operations = item["name"], item["nears"], item["operations"]
    return LayerRecording(
        name=name,
        kind=str(item["kind"]),
        shape=tuple(map(int, item["shape"])),  # type: ignore[arg-type]
        rates=np.array(item["rates"], np.float64),
        macs=int(item["macs"]),
        threshold=item["threshold"],
        near=None if near is None else np.array(near, np.float64),
        levels=item.get("levels"),
        operations=None if operations is None else np.array(operations, np.int64),
        scale=float(item["scale"]),
        **{what: file[f"{name}/{what}"] for what in item["arrays"]},
    )


def _check(recording: Recording) -> None:
    """ValueError unless the arrays of a recording fit each other."""
    samples, steps = len(recording.numbers), recording.steps
    fits = recording.kind in UNITS and steps >= 1 and len(recording.readout) == samples
    fits &= recording.readout.ndim == 4 and recording.pictures.ndim == 4
    fits &= recording.pictures.dtype == np.uint8 and len(recording.pictures) in (0, samples)
    for layer in recording.layers.values():
        over_time = (samples, steps, *layer.shape)
        fits &= len(layer.shape) == 3 and layer.rates.shape == (samples,)
        for array in layer.arrays.values():
            fits &= array.shape in (over_time, (samples, *layer.shape))
            fits &= np.issubdtype(array.dtype, np.number)
    if not fits:
        raise ValueError("arrays that do not fit each other")


def joined(parts: Sequence[Recording]) -> Recording:
    """Recordings of one network, one after the other, as one; `remarks` of the first.

    Raises:
        LavasegError: there are none.
    """
    if not parts:
        raise LavasegError("there are no samples to record")
    first = parts[0]
    return replace(
        first,
        numbers=tuple(number for part in parts for number in part.numbers),
        layers={name: _one_layer([part.layers[name] for part in parts]) for name in first.layers},
        readout=np.concatenate([part.readout for part in parts]),
        pictures=np.concatenate([part.pictures for part in parts]),
    )


def _one_layer(parts: Sequence[LayerRecording]) -> LayerRecording:
    """One layer of all parts: every array along the axis of the samples."""
    changes: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(LayerRecording)
        if isinstance(getattr(parts[0], field.name), np.ndarray)
    }
    return replace(parts[0], **changes)
