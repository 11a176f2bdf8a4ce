"""Checks of what a simulation or a Lava run is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.integers import IntegerNetwork


def check_spikes(net: IntegerNetwork, spikes: np.ndarray) -> None:
    """Raise LavasegError unless `spikes` are what the network's input takes."""
    expected = (net.steps, *net.network.input.shape)
    if spikes.ndim != 5 or spikes.shape[1:] != expected or not len(spikes):
        raise LavasegError(
            f"input spikes have shape {spikes.shape}, this network takes (samples, "
            + ", ".join(str(n) for n in expected)
            + "): samples, steps, channels, height, width"
        )
    if not np.issubdtype(spikes.dtype, np.unsignedinteger):
        raise LavasegError(f"input spikes must be unsigned integers, got {spikes.dtype}")
    if spikes.max() > net.network.input.max_message:
        raise LavasegError(
            f"input spikes reach {spikes.max()}, this network's input carries 0 to "
            f"{net.network.input.max_message}"
        )


def recorded_names(net: IntegerNetwork, record: Sequence[str] | str) -> list[str]:
    """Populations to record, the input included for "all"; LavasegError for an unknown name."""
    known = [net.network.input.name, *(p.name for p in net.network.populations)]
    if record == "all":
        return known
    names = [record] if isinstance(record, str) else list(record)
    for name in names:
        if name not in known:
            raise LavasegError(f"no population {name!r} to record; there are {', '.join(known)}")
    return names
