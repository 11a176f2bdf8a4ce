"""Spikes and read-outs as the content of a file: binary spikes take a bit each."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lavaseg.deploy.cloud.archive import arrays_to_bytes
from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity
from lavaseg.system.faults import reading

MOST_RECORDED = 1 << 28
"""Spikes (neurons times steps times samples) that are kept unless they are asked for by name."""


def spikes_to_bytes(spikes: np.ndarray) -> bytes:
    """Encoded samples, uint8 (N, T, C, H, W)."""
    return arrays_to_bytes(_packed("input", spikes))


def spikes_from_bytes(content: bytes, source: str) -> np.ndarray:
    """What `spikes_to_bytes` was given; `source` names the file in errors."""
    with reading(source), np.load(io.BytesIO(content), allow_pickle=False) as file:
        return _unpacked(file, "input")


def activity_to_bytes(activity: Activity) -> bytes:
    """Read-out and spikes, and counts of the populations whose spikes were not recorded."""
    arrays: dict[str, np.ndarray] = {"readout": activity.readout}
    for name, spikes in activity.spikes.items():
        arrays |= _packed(name, spikes)
    for name, counts in activity.counts.items():
        if name not in activity.spikes:
            arrays[f"counts {name}"] = counts
    return arrays_to_bytes(arrays)


def activity_from_bytes(content: bytes, source: str) -> Activity:
    """What `activity_to_bytes` was given, but for its wall time."""
    with reading(source), np.load(io.BytesIO(content), allow_pickle=False) as file:
        names = [key.partition(" ")[2] for key in file.files if key.startswith("shape ")]
        names += [key.partition(" ")[2] for key in file.files if key.startswith("values ")]
        spikes = {name: _unpacked(file, name) for name in names}
        counts = {name: _counted(sheets) for name, sheets in spikes.items()}
        for key in file.files:
            if key.startswith("counts "):
                counts[key.partition(" ")[2]] = file[key]
        return Activity(file["readout"], counts, spikes)


def _counted(spikes: np.ndarray) -> np.ndarray:
    return np.count_nonzero(spikes, axis=1).astype(np.uint16)


def _packed(name: str, spikes: np.ndarray) -> dict[str, np.ndarray]:
    binary = spikes.dtype == np.uint8 and (not spikes.size or spikes.max() <= 1)
    if not binary:
        return {f"values {name}": spikes}
    return {f"shape {name}": np.array(spikes.shape), f"bits {name}": np.packbits(spikes)}


def _unpacked(file: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if f"values {name}" in file:
        return file[f"values {name}"]
    shape = tuple(int(extent) for extent in file[f"shape {name}"])
    bits = file[f"bits {name}"]
    if min(shape, default=0) < 0 or len(bits) != -(-int(np.prod(shape, dtype=object)) // 8):
        raise LavasegError(f"spikes of {name!r} are not as many as their shape {shape} says")
    return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape)


def recorded(net: IntegerNetwork, samples: int, wanted: Sequence[str]) -> tuple[str, ...]:
    """Populations whose spikes a bundle holds: those wanted; by default all, if not too many.

    Raises:
        LavasegError: there is no population of such a name.
    """
    network = net.network
    names = tuple(node.name for node in network.senders)
    if "all" in wanted:
        return names
    for name in wanted:
        if name not in names:
            raise LavasegError(f"--record {name!r}: expected all or one of {', '.join(names)}")
    if wanted:
        return tuple(name for name in names if name in wanted)
    total = samples * net.steps * sum(network.neurons(name) for name in names)
    return names if total <= MOST_RECORDED else ()


def shapes(net: IntegerNetwork) -> dict[str, Any]:
    """What a manifest says of a network: populations in topological order, read-out, steps."""
    network = net.network
    senders = {node.name for node in network.senders}
    order = [node.name for node in network.ordered if node.name in senders]
    return {"populations": order, "readout": network.readout, "steps": net.steps}
