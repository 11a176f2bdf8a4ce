"""Lava's runtimes by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lavaseg.deploy.requests import check_request
from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import check_ranges
from lavaseg.results.activity import Activity

RUNTIMES = ("lava", "lava-inprocess")


def run(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    backend: str = "lava",
    record: Sequence[str] | str = (),
    timeout: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Activity:
    """Run encoded samples on a graph of Lava's stock processes, streamed back to back.

    Args:
        spikes: uint8 (N, T, C, H, W), as `net.encoder.encode` gives them.
        backend: "lava", Lava's own runtime (one operating-system process for each Lava
            process), or "lava-inprocess", the same compiled graph in this process.
        record: populations whose spikes are kept, or "all".
        timeout: seconds before "lava" is stopped; by default chosen from the work. The
            in-process runtime has none.
        progress: called with (steps done, steps in all).

    Raises:
        LavasegError: spikes that do not fit, a range that Loihi does not have, or a run that
            failed or took too long.
    """
    if backend not in RUNTIMES:
        raise LavasegError(f"no backend {backend!r}; there are {', '.join(RUNTIMES)}")
    check_request(net, spikes, record)
    check_ranges(net)
    from lavaseg.deploy.lava import run_inprocess, run_multiprocess  # imports Lava

    if backend == "lava":
        return run_multiprocess(net, spikes, record=record, timeout=timeout, progress=progress)
    return run_inprocess(net, spikes, record=record, progress=progress)
