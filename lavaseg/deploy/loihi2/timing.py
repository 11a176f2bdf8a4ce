"""Steps that adapters and buffers between host and chip take."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Timing:
    """Steps; measured on a board by `lavaseg/deploy/loihi2/lags.py`.

    A sheet that is played at step t reaches synapses at step t + lag, and the neurons behind them
    one step later, as on a CPU. Public code says 1 of adapters into convolutions (comment in
    lava-dl's PilotNet LIF notebook); the rest is not documented.

    Args:
        conv, dense: of an adapter from the host into convolutions, into matrices.
        buffer: of the buffer on the chip that replays.
        spikes: from a neuron to the host.
        reset: how far the clock is ahead by which neurons are reset.
    """

    conv: int
    dense: int
    buffer: int
    spikes: int
    reset: int

    @property
    def sources(self) -> int:
        """Of the slowest source: all are made as late."""
        return max(self.conv, self.dense, self.buffer)

    def to_dict(self) -> dict[str, int]:
        """Plain data; `Timing(**data)` reads it."""
        return asdict(self)
