"""Sources on a chip: sheets from the host through an adapter, or from a buffer on the chip."""

from __future__ import annotations

import numpy as np
from lava.proc.io.encoder import Compression
from lava.proc.io.source import RingBuffer

from lavaseg.deploy.lava.sources import RingSources, Source
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.network.delays import MOST_RELAYS

REPLAY_LIMIT = 120 * 16_000
"""Messages that a replayed input may hold: a word each, in the input words of one chip's cores (120
of 16,000). This is our model; what the buffer holds is not public."""


class ChipSources(RingSources):
    """Clocks come from a buffer on the chip, which starts over; the input does, too, if it fits.

    What is faster than the slowest source is played as many steps later.

    Args:
        timing: steps of each part.
        replay: the input comes from the chip's buffer, else from the host.
        quiet: further steps by which all that is played is late: the longest delay. Until the
            chip's buffer sends, nothing holds delayed spikes down, and what biases cause then would
            arrive in the first sample.
    """

    delay_synapses = False
    most_relays = MOST_RELAYS

    def __init__(self, timing: Timing, replay: bool, quiet: int = 0) -> None:
        self.lag = timing.sources + quiet
        self.clock_lag = self.lag + timing.reset
        self._timing, self._replay = timing, replay

    def kind(self, shared: bool) -> bool:
        """From the host, convolutions have adapters of their own."""
        return shared and not self._replay

    def play(
        self, data: np.ndarray, *, bits: int = 0, shared: bool = True, repeats: bool = False
    ) -> Source:
        """A source of `data`, as for `RingSources`."""
        if repeats:
            return replayed(np.roll(data, self.lag - self._timing.buffer, axis=-1))
        if self._replay:
            return replayed(_later(data, self.lag - self._timing.buffer))
        own = self._timing.conv if shared else self._timing.dense
        return from_host(_later(data, self.lag - own), bits, shared)


def _later(data: np.ndarray, steps: int) -> np.ndarray:
    before = np.zeros((*data.shape[:-1], steps), data.dtype)
    return np.concatenate([before, data], axis=-1)


def replayed(data: np.ndarray) -> Source:
    """A buffer on the chip that plays `data` (..., steps) over and over."""
    from lava.proc.cyclic_buffer.process import CyclicBuffer

    frames = data.astype(np.int32)
    buffer = CyclicBuffer(
        first_frame=frames[..., 0],
        replay_frames=np.roll(frames, -1, axis=-1),
        spike_exp=0,
    )
    return Source((buffer,), buffer.s_out)


def from_host(data: np.ndarray, bits: int, shared: bool) -> Source:
    """The host plays `data` (..., steps) through the adapter for convolutions, or for matrices."""
    from lava.proc import embedded_io

    shape = data.shape[:-1]
    if shared:
        adapter = embedded_io.spike.PyToN3ConvAdapter(
            shape=shape, num_message_bits=bits, spike_exp=0, compression=Compression.DENSE
        )
    else:
        adapter = embedded_io.spike.PyToNxAdapter(shape=shape, num_message_bits=bits)
    ring = RingBuffer(data=data)
    ring.s_out.connect(adapter.inp)
    return Source((ring, adapter), adapter.out)


def fits_buffer(spikes: np.ndarray, uses: int = 1) -> bool:
    """Whether the chip's buffer holds an input of `spikes`, as far as our model says.

    Args:
        uses: sources that play it.
    """
    return uses * int(np.count_nonzero(spikes)) <= REPLAY_LIMIT
