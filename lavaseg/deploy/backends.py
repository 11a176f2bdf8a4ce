"""The backends: everything that runs an integer network, by name. Each one is loaded on first use.

`BACKENDS` serves `run`, `verify` and the command line alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lavaseg.errors import LavasegError
from lavaseg.system.extras import optional

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.deploy.loihi2 import System
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.results.activity import Activity

Progress = Callable[[int, int], None]
"""Called with (units of work done, units in all)."""
Record = Sequence[str] | str
"""Names of populations whose spikes are kept, or "all"."""


@dataclass(frozen=True)
class Backend:
    """One way to run an integer network.

    Args:
        title: its description, on one line.
        run: (network, spikes uint8 (N, T, C, H, W), record, timeout, progress, system=None) ->
            Activity. The timeout, in seconds or None, is for backends that can give a run up; the
            system, for those that need a board.
        on_lava: it runs Lava's processes.
        on_chip: it needs a board, so it runs only where it is asked for by name.
        check: (network, spikes, record); raises a LavasegError that says what the machine lacks.
    """

    title: str
    run: Callable[..., Activity]
    on_lava: bool = False
    on_chip: bool = False
    check: Callable[[IntegerNetwork, np.ndarray, Record], None] | None = None


def _on_first_use(module: str, name: str, *takes: str) -> Callable[..., Activity]:
    """`Backend.run` of a function of this package, whose module is imported when it runs.

    Args:
        takes: which of "timeout", "progress" and "system" the function knows; the others are
            dropped.
    """

    def run(
        net: IntegerNetwork,
        spikes: np.ndarray,
        record: Record,
        timeout: float | None,
        progress: Progress | None,
        system: System | None = None,
    ) -> Activity:
        with optional():
            function = getattr(importlib.import_module(f"lavaseg.deploy.{module}"), name)
        options = {"timeout": timeout, "progress": progress, "system": system}
        found: Activity = function(
            net, spikes, record=record, **{option: options[option] for option in takes}
        )
        return found

    return run


def _check_for_lava(net: IntegerNetwork, spikes: np.ndarray, record: Record) -> None:
    with optional():
        from lavaseg.deploy.lava import check_machine
    check_machine(net, spikes, record)


BACKENDS: Mapping[str, Backend] = {
    "simulator": Backend(
        "the bit-exact simulator", _on_first_use("simulator", "simulate", "progress")
    ),
    "torch": Backend(
        "SLAYER's synapses and the fused neuron, as in training",
        _on_first_use("torch_backend", "run_slayer"),
    ),
    "lava-inprocess": Backend(
        "Lava's compiled processes, run in this one (faster)",
        _on_first_use("lava", "run_inprocess", "progress"),
        on_lava=True,
    ),
    "lava": Backend(
        "Lava's own multi-process runtime",
        _on_first_use("lava", "run_multiprocess", "timeout", "progress"),
        on_lava=True,
        check=_check_for_lava,
    ),
    "loihi2": Backend(
        "a board with Loihi 2, through Intel's extension of Lava",
        _on_first_use("loihi2", "run_loihi2", "timeout", "progress", "system"),
        on_lava=True,
        on_chip=True,
    ),
}
"""Every backend gives the same `Activity` for the same spikes."""

REFERENCE = "simulator"
"""The backend that the others are compared with."""
COMPARABLE = tuple(name for name in BACKENDS if name != REFERENCE)
"""The backends that `verify` can compare with the reference."""
COMPARED = tuple(name for name in COMPARABLE if not BACKENDS[name].on_chip)
"""Those that it compares unless it is told which."""
RUNTIMES = tuple(name for name, backend in BACKENDS.items() if backend.on_lava)
"""The backends that `run` can choose from."""


def check_backend(name: str, names: Sequence[str] = tuple(BACKENDS)) -> None:
    """Raise LavasegError unless `name` is one of `names`."""
    if name not in names:
        raise LavasegError(f"no backend {name!r}; there are {', '.join(names)}")


def run(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    backend: str = "lava",
    record: Record = (),
    timeout: float | None = None,
    system: System | None = None,
    progress: Progress | None = None,
) -> Activity:
    """Run encoded samples on a graph of Lava's stock processes, streamed back to back.

    Args:
        spikes: uint8 (N, T, C, H, W), as `net.encoder.encode` gives them.
        backend: "lava", Lava's own runtime (one operating-system process for each Lava
            process), "lava-inprocess", the same compiled graph in this process, or "loihi2", the
            same on a board.
        record: populations whose spikes are kept, or "all".
        timeout: seconds before "lava" is stopped; by default chosen from the work. The
            in-process runtime has none.
        system: the board for "loihi2"; as the environment says by default.
        progress: called with (steps done, steps in all).

    Raises:
        LavasegError: spikes that do not fit, a range that Loihi does not have, or a run that
            failed or took too long.
    """
    check_backend(backend, RUNTIMES)

    from lavaseg.deploy.requests import check_request
    from lavaseg.network.ranges import check_ranges

    check_request(net, spikes, record)
    check_ranges(net)
    return BACKENDS[backend].run(net, spikes, record, timeout, progress, system)
