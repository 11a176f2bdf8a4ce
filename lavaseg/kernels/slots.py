"""Integer neurons in a compiled kernel for the CPU: sums in, integers out, as slots would spike."""

from __future__ import annotations

import numba
import numpy as np

from lavaseg.kernels.bits import WORD, word
from lavaseg.network import STATE_SCALE


@numba.njit(nogil=True, cache=True)
def levels_of_sums(  # type: ignore[no-untyped-def]
    sums, offset, scale, bias, limits, words, messages, arrived, counts, first_sheet, first_row
):
    """How many slots spike at each neuron, for some rows of one sample.

    Args:
        sums: integers (steps, rows, columns, channels or more); (sums - offset) * scale is the
            input current.
        offset: int32 (channels,).
        scale: int32.
        bias: int32 (1 or steps, channels), in state units; what a clock adds, included.
        limits: int32 (levels,), thresholds of the slots in state units, ascending.
        words: uint64 (sheets, height, width, words), written for `steps` sheets from `first_sheet`
            on: where an integer is not 0, as bits.
        messages: uint8 (sheets, height, width, channels), written likewise: the integers.
        arrived: uint16 (height, width, channels), zeros; steps in which the current is not 0.
        counts: uint16 (levels, height, width, channels), zeros; spikes of the slots.
        first_row: where the rows begin in these.
    """
    size = offset.size
    fired = np.zeros(WORD * words.shape[3], np.uint8)
    current = np.empty(size, np.int32)
    for y in range(sums.shape[1]):
        for x in range(sums.shape[2]):
            seen = arrived[first_row + y, x]
            for t in range(sums.shape[0]):
                came, added = sums[t, y, x], bias[t % bias.shape[0]]
                sent = messages[first_sheet + t, first_row + y, x]
                for c in range(size):
                    a = np.int32(np.int32(np.int32(came[c]) - offset[c]) * scale)
                    current[c] = a * np.int32(STATE_SCALE)
                for c in range(size):
                    seen[c] += current[c] != 0
                for c in range(size):
                    current[c] += added[c]
                    sent[c] = 0
                for k in range(limits.size):
                    count, limit = counts[k, first_row + y, x], limits[k]
                    for c in range(size):
                        spike = current[c] > limit
                        sent[c] += spike
                        count[c] += spike
                for c in range(size):
                    fired[c] = sent[c]
                for w in range(words.shape[3]):
                    words[first_sheet + t, first_row + y, x, w] = word(fired, WORD * w)
