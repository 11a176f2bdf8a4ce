"""The backends: everything that runs an integer network, by name. Each one is loaded on first use.

`BACKENDS` serves `run`, `verify` and the command line alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lavaseg.errors import LavasegError
from lavaseg.system.extras import optional
from lavaseg.system.words import or_like

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
        module, function: what runs it, in this package.
        takes: which of "timeout", "progress" and "system" the function knows.
        on_lava: it runs Lava's processes.
        on_chip: it needs a board, so it runs only where it is asked for by name.
        checks: name of the module's function of (network, spikes, record) that raises a
            LavasegError if the run would be refused; "" if only an installation can be missing.
    """

    title: str
    module: str
    function: str
    takes: tuple[str, ...] = ()
    on_lava: bool = False
    on_chip: bool = False
    checks: str = ""

    def load(self) -> ModuleType:
        """Its module; a LavasegError names what is not installed."""
        with optional():
            return importlib.import_module(f"lavaseg.deploy.{self.module}")

    def check(self, net: IntegerNetwork, spikes: np.ndarray, record: Record) -> None:
        """Raise LavasegError if the machine lacks what the run needs."""
        if self.checks:
            self._named(self.checks)(net, spikes, record)

    def _named(self, name: str) -> Any:
        """A function of its module, which may import more on its first use."""
        with optional():
            return getattr(self.load(), name)

    def run(
        self,
        net: IntegerNetwork,
        spikes: np.ndarray,
        record: Record,
        timeout: float | None = None,
        progress: Progress | None = None,
        system: System | None = None,
    ) -> Activity:
        """Run it.

        Args:
            spikes: uint8 (N, T, C, H, W).
            record: populations whose spikes are kept.
            timeout: seconds, for backends that can give a run up.
            system: for those that need a board.
        """
        given = {"timeout": timeout, "progress": progress, "system": system}
        options = {name: given[name] for name in self.takes}
        found: Activity = self._named(self.function)(net, spikes, record=record, **options)
        return found


BACKENDS: Mapping[str, Backend] = {
    "simulator": Backend("the bit-exact simulator", "simulator", "simulate", ("progress",)),
    "torch": Backend(
        "SLAYER's synapses and the fused neuron, as in training", "torch_backend", "run_slayer"
    ),
    "lava-inprocess": Backend(
        "Lava's compiled processes, run in this one (faster)",
        "lava",
        "run_inprocess",
        ("progress",),
        on_lava=True,
    ),
    "lava": Backend(
        "Lava's own multi-process runtime",
        "lava",
        "run_multiprocess",
        ("timeout", "progress"),
        on_lava=True,
        checks="check_machine",
    ),
    "loihi2": Backend(
        "a board with Loihi 2, through Intel's extension of Lava",
        "loihi2",
        "run_loihi2",
        ("timeout", "progress", "system"),
        on_lava=True,
        on_chip=True,
        checks="check_board",
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
        raise LavasegError(f"no backend {name!r}{or_like(name, names)}")


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
