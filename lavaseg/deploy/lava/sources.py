"""What plays sheets to the synapses that are known before a run: the input, clocks, brakes.

On a CPU these are Lava's RingBuffers. On a chip other processes stand for them, which take steps of
their own (`lavaseg/deploy/loihi2/sources.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.proc.io.source import RingBuffer


@dataclass(frozen=True)
class Source:
    """Processes in a row and the port that their last one sends from.

    Args:
        processes: at least one; the first needs no input.
        port: emits the sheets.
    """

    processes: tuple[AbstractProcess, ...]
    port: OutPort


class RingSources:
    """RingBuffers.

    Attributes:
        lag: steps by which everything that the sources play is late.
        clock_lag: steps by which neurons must be reset later than on a CPU.
        delay_synapses: synapses can hold spikes back.
        most_relays: relays of rows that may be one process; None: any number.
    """

    lag: int = 0
    clock_lag: int = 0
    delay_synapses: bool = True
    most_relays: int | None = None

    def play(
        self, data: np.ndarray, *, bits: int = 0, shared: bool = True, repeats: bool = False
    ) -> Source:
        """A source of `data`.

        Args:
            data: uint8 (..., steps); the last axis is time.
            bits: of a message; 0 for binary spikes.
            shared: it feeds convolutions, else matrices.
            repeats: it starts over at the end, for as long as the run takes; what else it does then
                is left open, and nothing looks at it.
        """
        ring = RingBuffer(data=data)
        return Source((ring,), ring.s_out)

    def kind(self, shared: bool) -> bool:
        """Whether convolutions need a source of their own; `shared` as for `play`."""
        return False
