"""Spikes as bits: 64 channels of a pixel in one word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lavaseg.system.threads import over_blocks

WORD = 64
"""Spikes that one `word` holds."""


def _word(typing, flags, at):  # type: ignore[no-untyped-def]
    """uint64 whose bits say which of flags[at] to flags[at + 63] (uint8) are not 0."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector = ir.VectorType(ir.IntType(8), WORD)
        pointer = builder.gep(array.data, [arguments[1]])
        flags = builder.load(builder.bitcast(pointer, vector.as_pointer()))
        flags.align = 1
        nonzero = builder.icmp_unsigned("!=", flags, ir.Constant(vector, [0] * WORD))
        return builder.bitcast(nonzero, ir.IntType(WORD))

    return types.uint64(flags, types.intp), generate


word: Any = intrinsic(_word)  # called with (flags, at), within compiled functions


@dataclass(frozen=True)
class PackedSpikes:
    """Spikes of S sheets: samples times steps, one after the other.

    Args:
        words: uint64 (S, rows, columns, words); bit c % 64 of word c // 64 is channel c.
        channels: how many there are.
        messages: integers (S, rows, columns, channels) that graded spikes carry; None for binary
            spikes.
    """

    words: np.ndarray
    channels: int
    messages: np.ndarray | None = None

    @classmethod
    def empty(cls, sheets: int, rows: int, columns: int, channels: int) -> PackedSpikes:
        """Room for binary spikes."""
        return cls(np.empty((sheets, rows, columns, -(-channels // WORD)), np.uint64), channels)

    @classmethod
    def of(cls, sheets: np.ndarray, graded: bool) -> PackedSpikes:
        """Spikes where integers (S, rows, columns, C), contiguous, are not 0."""
        found = cls.empty(*sheets.shape)
        over_blocks(
            len(sheets), lambda first, last: _pack(sheets[first:last], found.words[first:last]), 1
        )
        return cls(found.words, found.channels, sheets if graded else None)

    def dense(self) -> np.ndarray:
        """The values sent, (S, C, rows, columns): messages, or uint8 1 where there is a spike."""
        sheets = self.messages
        if sheets is None:
            bits = np.unpackbits(self.words.view(np.uint8), axis=-1, bitorder="little")
            sheets = bits[..., : self.channels]
        return np.ascontiguousarray(sheets.transpose(0, 3, 1, 2))


def late(spikes: PackedSpikes, delays: Sequence[int], steps: int) -> PackedSpikes:
    """Spikes that are later, each channel by a delay of its own; nothing arrives at first.

    Args:
        spikes: of whole samples of `steps` sheets each.
        delays: steps, one for each channel.
    """
    each = np.array(delays)
    sheets, rows, columns, _ = spikes.words.shape
    found = PackedSpikes.empty(sheets, rows, columns, spikes.channels)
    masks = [_masks(each[first : first + WORD]) for first in range(0, len(each), WORD)]
    for index, (own, mask) in enumerate(masks):
        over_blocks(
            sheets,
            partial(_delay, spikes.words, own, mask, index, steps, found.words),
            1,
        )
    if spikes.messages is None:
        return found
    messages = np.zeros_like(spikes.messages)
    whole, moved = (m.reshape(-1, steps, *m.shape[1:]) for m in (spikes.messages, messages))
    for channel, own in enumerate(each.tolist()):
        moved[:, own:, ..., channel] = whole[:, : max(steps - own, 0), ..., channel]
    return PackedSpikes(found.words, spikes.channels, messages)


def _masks(delays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different delays of the channels of a word, and the bits of those that have each."""
    bits = np.uint64(1) << np.arange(len(delays), dtype=np.uint64)
    own = np.unique(delays)
    return own, np.array([bits[delays == d].sum() for d in own], np.uint64)


@numba.njit(nogil=True, cache=True)
def _delay(words, delays, masks, w, steps, found, first, last):  # type: ignore[no-untyped-def]
    for s in range(first, last):
        for y in range(words.shape[1]):
            for x in range(words.shape[2]):
                bits = np.uint64(0)
                for i in range(delays.size):
                    if delays[i] <= s % steps:
                        bits |= words[s - delays[i], y, x, w] & masks[i]
                found[s, y, x, w] = bits


@numba.njit(nogil=True, cache=True)
def _pack(sheets, words):  # type: ignore[no-untyped-def]
    size = sheets.shape[3]
    spiked = np.zeros(WORD * words.shape[3], np.uint8)
    for s in range(sheets.shape[0]):
        for y in range(sheets.shape[1]):
            for x in range(sheets.shape[2]):
                pixel = sheets[s, y, x]
                for c in range(size):
                    spiked[c] = pixel[c] != 0
                for w in range(words.shape[3]):
                    words[s, y, x, w] = word(spiked, WORD * w)
