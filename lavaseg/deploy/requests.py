"""The check of requests for a simulation or a Lava run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork


def check_request(
    net: IntegerNetwork, spikes: np.ndarray, record: Iterable[str] | str
) -> tuple[str, ...]:
    """The names that `record` asks for, in the order of the network; the input comes first.

    Raises:
        LavasegError: spikes of another shape or range, or an unknown population.
    """
    network = net.network
    expected = (net.steps, *network.input.shape)
    if spikes.ndim != 5 or spikes.dtype != np.uint8 or spikes.shape[1:] != expected:
        raise LavasegError(
            f"spikes must be uint8 (samples, {', '.join(map(str, expected))}), got "
            f"{spikes.dtype} {spikes.shape}"
        )
    if len(spikes) == 0:
        raise LavasegError("spikes hold no sample; expected at least one")
    if spikes.max() > network.input.max_message:
        raise LavasegError(
            f"spikes carry up to {spikes.max()}, the input {network.input.name!r} takes 0 to "
            f"{network.input.max_message}"
        )
    names = [network.input.name, *(node.name for node in network.ordered)]
    wanted = names if record == "all" else [record] if isinstance(record, str) else list(record)
    for name in wanted:
        if name not in names:
            raise LavasegError(
                f"cannot record {name!r}: expected 'all' or one of {', '.join(names)}"
            )
    return tuple(name for name in names if name in wanted)
