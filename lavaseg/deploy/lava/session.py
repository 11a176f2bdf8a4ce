"""Both Lava runtimes share this: recorders, and the `Activity` that is made of their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from lavaseg.deploy.lava.record import Recorder
from lavaseg.network import Network, Relay
from lavaseg.results.activity import Activity

Progress = Callable[[int, int], None]
"""Called with physical steps (done, in all)."""


def make_recorders(
    network: Network,
    samples: int,
    steps: int,
    record: Iterable[str],
    folder: Path | None = None,
    *,
    period: int | None = None,
) -> dict[str, Recorder]:
    """A recorder for each population and relay, over zeros in memory or over new files in `folder`.

    The clock goes with the read-out. `period` is that of the graph, `steps` (T) by default.
    """

    def zeros(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        if folder is None:
            return np.zeros(shape, dtype)
        path = folder / f"{name}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)

    recorders = {}
    for node in network.senders:
        name, shape = node.name, network.shape(node.name)[::-1]
        number = np.int32 if isinstance(node, Relay) else np.uint8
        is_readout = name == network.readout
        recorders[name] = Recorder(
            latency=network.latencies[name],
            steps=steps,
            period=steps if period is None else period,
            counts=zeros(f"counts-{name}", (samples, *shape), np.uint16),
            spikes=zeros(f"spikes-{name}", (samples, steps, *shape), number)
            if name in record
            else None,
            membrane=zeros("readout", (samples, *shape), np.int32) if is_readout else None,
            clock=zeros("clock", (1,), np.int64) if is_readout else None,
        )
    return recorders


def open_recorders(network: Network, record: Iterable[str], folder: Path) -> dict[str, Recorder]:
    """The recorders that `make_recorders` wrote in `folder`, read into memory."""

    def load(name: str) -> np.ndarray:
        return np.load(folder / f"{name}.npy")

    return {
        node.name: Recorder(
            latency=0,
            steps=0,
            period=0,
            counts=load(f"counts-{node.name}"),
            spikes=load(f"spikes-{node.name}") if node.name in record else None,
            membrane=load("readout") if node.name == network.readout else None,
        )
        for node in network.senders
    }


def make_activity(
    network: Network,
    spikes: np.ndarray,
    record: Iterable[str],
    recorders: Mapping[str, Recorder],
    seconds: float,
) -> Activity:
    """The activity that was recorded, in (channels, height, width)."""

    def turned(sheets: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.swapaxes(sheets, -1, -3))

    name = network.input.name
    counts = {name: np.count_nonzero(spikes, axis=1).astype(np.uint16)}
    recorded = {name: spikes} if name in record else {}
    for name, recorder in recorders.items():
        counts[name] = turned(recorder.counts)
        if recorder.spikes is not None:
            recorded[name] = turned(recorder.spikes)
    membrane = recorders[network.readout].membrane
    assert membrane is not None
    return Activity(turned(membrane).astype(np.int64), counts, recorded, seconds)
