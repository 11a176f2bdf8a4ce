"""The sums that spikes cause: the arithmetic of the simulator and the fast models.

Spikes are bits (`lavaseg.kernels.bits`). An operator is gathered: for each output pixel and tap, a
table names the input pixel that it looks at, and the weight rows of the bits that are set there
are added up. So silence costs nothing, and one kernel serves every operator and geometry.

Sums are integers and exact. Where it is proved that they fit, 16 bits are enough: additions modulo
2^16 on top of the largest inhibition, which is taken off again in the end, so that the true sum
may be anything from -inhibition to 65535 - inhibition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import intrinsic

from lavaseg.kernels.bits import WORD, PackedSpikes
from lavaseg.network import Geometry

_LANES = 16
"""Sums of a pixel are padded to a multiple of this, so that vectors fill up."""
_BLOCK_BYTES = 2**18
"""Sums that are computed at a time: they stay in cache."""


# --------------------------------------------------------------------------------------------
# Operators as tables


@dataclass(frozen=True)
class Synapses:
    """A linear operator, ready to be applied to packed spikes.

    Args:
        rows: int32 (output rows, kernel rows), the input row under each tap; -1 where there is
            none.
        columns: the same for columns.
        weights: int (taps, input channels, outputs of a group); a tap is kernel row * kernel
            columns + kernel column.
        groups: number of groups that input and output channels are split into.
        delay: steps that spikes are late; nothing arrives before.
    """

    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    groups: int = 1
    delay: int = 0

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.weights.shape[2] * self.groups


def padded(channels: int) -> int:
    """Channels of an array of sums."""
    return -(-channels // _LANES) * _LANES


def synapses(geometry: Geometry, weight: np.ndarray, delay: int = 0) -> Synapses:
    """An operator as tables.

    Args:
        weight: its weights as torch stores them, or its gain.
    """
    form = geometry.expand(weight)
    groups, outputs, inputs = form.shape[:3]
    flat = form.reshape(groups, outputs, inputs, -1).transpose(3, 0, 2, 1)
    weights = flat.reshape(-1, groups * inputs, outputs)
    return Synapses(geometry.rows.table(), geometry.columns.table(), weights, groups, delay)


# --------------------------------------------------------------------------------------------
# Sums


class InputSums:
    """The input of a population: the sum of some operators, in numbers that hold it.

    Args:
        synapses: one for each projection.
        low, high: the largest inhibition and excitation of one step, both >= 0, (outputs,).
        clock: even integers (steps, outputs) that arrive at every neuron, or None.

    Attributes:
        scale: the weights' common factor, which sums leave out: 2 if all are even, else 1.
        number: type of sums: 16 bits if they are proved to fit, else 32, modulo 2^32.
        offset: what sums begin with, int32 (outputs,). The true sum is (sum - offset) * scale.
    """

    def __init__(
        self,
        synapses: Sequence[Synapses],
        low: np.ndarray,
        high: np.ndarray,
        clock: np.ndarray | None = None,
    ) -> None:
        self._synapses = synapses
        self.scale = 1 if any((s.weights & 1).any() for s in synapses) else 2
        fits = (low + high).max() < self.scale * 2**16
        self.number: type = np.uint16 if fits else np.int32
        self.offset = (low // self.scale if fits else np.zeros_like(low)).astype(np.int32)
        self._start = self.offset[None]
        if clock is not None:
            self._start = (self.offset + clock // self.scale).astype(np.int32)
        # rows of weights, modulo the range of the number
        self._weights = [
            np.ascontiguousarray(_rows(s) // self.scale).astype(self.number) for s in synapses
        ]

    def sums(
        self,
        spikes: Sequence[PackedSpikes],
        steps: int,
        first_sheet: int = 0,
        rows: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """The sums that arrive in some steps.

        Args:
            spikes: the spikes that each of the synapses sees.
            steps: sheets to compute, T.
            first_sheet: where they begin.
            rows: output rows (first, last); all by default.

        Returns:
            `number` (steps, rows, columns, `padded(outputs)`).
        """
        table = self._synapses[0]
        first, last = rows or (0, len(table.rows))
        outputs = padded(table.outputs)
        shape = (steps, last - first, len(table.columns), outputs)
        found: np.ndarray = np.empty(shape, self.number)
        _fill(found, self._start)
        for part, weights, seen in zip(self._synapses, self._weights, spikes, strict=True):
            _add(
                found,
                seen.words,
                None if seen.messages is None else seen.messages.reshape(-1),
                weights,
                part.rows,
                part.columns,
                part.groups,
                part.delay,
                first_sheet,
                first,
            )
        return found

    def rows_at_once(self, steps: int) -> int:
        """Output rows whose sums of some steps stay in cache."""
        table = self._synapses[0]
        of_row = steps * len(table.columns) * padded(table.outputs)
        row_bytes = of_row * np.dtype(self.number).itemsize
        return min(len(table.rows), max(1, _BLOCK_BYTES // row_bytes))

    def integers(
        self, spikes: Sequence[PackedSpikes], steps: int = 1, first_sheet: int = 0
    ) -> np.ndarray:
        """The true sums of some steps, int32 (steps, rows, columns, outputs)."""
        sums = self.sums(spikes, steps, first_sheet)
        found = np.empty((*sums.shape[:3], len(self.offset)), np.int32)
        _finish(sums, self.offset, self.scale, found)
        return found


def _rows(synapses: Synapses) -> np.ndarray:
    """Weights as the kernel takes them: a row for each tap and input channel."""
    rows = synapses.weights.reshape(-1, synapses.weights.shape[2])
    missing = padded(synapses.outputs) - synapses.outputs
    return rows if synapses.groups > 1 else np.pad(rows, ((0, 0), (0, missing)))


@numba.njit(nogil=True, cache=True)
def _finish(sums, offset, scale, found):  # type: ignore[no-untyped-def]
    for t in range(sums.shape[0]):
        for y in range(sums.shape[1]):
            for x in range(sums.shape[2]):
                for c in range(offset.size):
                    found[t, y, x, c] = np.int32(np.int32(sums[t, y, x, c]) - offset[c]) * scale


@numba.njit(nogil=True, cache=True)
def _fill(sums, start):  # type: ignore[no-untyped-def]
    for t in range(sums.shape[0]):
        offset = start[t % start.shape[0]]
        for y in range(sums.shape[1]):
            for x in range(sums.shape[2]):
                for c in range(offset.size):
                    sums[t, y, x, c] = offset[c]
                for c in range(offset.size, sums.shape[3]):
                    sums[t, y, x, c] = 0


def _adder(lanes: int) -> Any:
    """An intrinsic that adds the weight rows of a word's bits to `lanes` sums, in registers.

    Written for the compiler directly, since loops over arrays would store each sum again after
    every row, and check at every call whether rows and sums overlap. Any width is legal LLVM: it
    splits vectors into what the processor has.
    """

    @intrinsic
    def add_rows(typing, sums, at, weights, row_at, stride, bits, messages, message_at):  # type: ignore[no-untyped-def]
        """sums[at + i] += weights[row_at + stride * c + i] (* message of c) for each bit c."""
        graded = not isinstance(messages, types.NoneType)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            _, at, _, row_at, stride, bits, _, message_at = arguments
            number = signature.args[0].dtype
            vector = ir.VectorType(context.get_data_type(number), lanes)

            def data(index, offset):  # type: ignore[no-untyped-def]
                array = context.make_array(signature.args[index])
                pointer = array(context, builder, arguments[index]).data
                return builder.gep(pointer, [offset])

            def vector_at(index, offset):  # type: ignore[no-untyped-def]
                return builder.bitcast(data(index, offset), vector.as_pointer())

            def load(pointer):  # type: ignore[no-untyped-def]
                value = builder.load(pointer)
                value.align = number.bitwidth // 8
                return value

            place = vector_at(0, at)
            total = cgutils.alloca_once_value(builder, load(place))
            left = cgutils.alloca_once_value(builder, bits)
            with cgutils.for_range(builder, builder.ctpop(bits)):
                still = builder.load(left)
                channel = builder.cttz(still, ir.IntType(1)(True))
                builder.store(builder.and_(still, builder.sub(still, bits.type(1))), left)
                row = load(vector_at(2, builder.add(row_at, builder.mul(channel, stride))))
                if graded:
                    message = builder.load(data(6, builder.add(message_at, channel)))
                    message = context.cast(builder, message, signature.args[6].dtype, number)
                    first = builder.insert_element(
                        ir.Constant(vector, ir.Undefined), message, ir.IntType(32)(0)
                    )
                    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
                    row = builder.mul(row, builder.shuffle_vector(first, first, everywhere))
                builder.store(builder.add(builder.load(total), row), total)
            builder.store(builder.load(total), place).align = number.bitwidth // 8
            return context.get_dummy_value()

        size = types.intp
        return types.void(sums, size, weights, size, size, types.uint64, messages, size), generate

    return add_rows


_add_128, _add_64, _add_32, _add_16 = (_adder(lanes) for lanes in (128, 64, 32, _LANES))


@numba.njit(inline="always")
def _add_pixel(sums, at, weights, row_at, stride, bits, messages, message_at):  # type: ignore[no-untyped-def]
    """Add the weight rows of one word of one pixel to all `stride` sums of another."""
    done = 0
    while stride - done >= 128:
        _add_128(sums, at + done, weights, row_at + done, stride, bits, messages, message_at)
        done += 128
    if stride & 64:
        _add_64(sums, at + done, weights, row_at + done, stride, bits, messages, message_at)
        done += 64
    if stride & 32:
        _add_32(sums, at + done, weights, row_at + done, stride, bits, messages, message_at)
        done += 32
    if stride & 16:
        _add_16(sums, at + done, weights, row_at + done, stride, bits, messages, message_at)


_trailing_zeros: Any = trailing_zeros


@numba.njit(inline="always")
def _add_groups(sums, at, weights, tap, bits, first, inputs, messages, message_at):  # type: ignore[no-untyped-def]
    """As `_add_pixel`, for groups of `inputs` channels: a bit reaches its own group's sums only."""
    outputs = weights.shape[1]
    while bits != 0:
        channel = first + _trailing_zeros(bits)
        bits &= bits - np.uint64(1)
        into = at + channel // inputs * outputs
        for o in range(outputs):
            weight = weights[tap + channel, o]
            if messages is not None:
                weight = weight * messages[message_at + channel]
            sums[into + o] += weight


@numba.njit(nogil=True, cache=True)
def _add(  # type: ignore[no-untyped-def]
    sums, words, messages, weights, rows, columns, groups, delay, first_sheet, first_row
):
    height, width, size = words.shape[1:]
    outputs, taps = sums.shape[3], rows.shape[1] * columns.shape[1]
    fan = len(weights) // taps
    # taps with few channels share a word, so that there are fewer loops, whose ends are guessed
    # wrong; the rows of the next tap follow those of the one before
    shared = fan <= WORD // 2 and groups == 1 and messages is None
    flat_sums, flat_weights = sums.ravel(), weights.ravel()
    for t in range(delay, sums.shape[0]):
        sheet = first_sheet + t - delay
        for y in range(sums.shape[1]):
            for x in range(sums.shape[2]):
                at = ((t * sums.shape[1] + y) * sums.shape[2] + x) * outputs
                tap, gathered, filled = 0, np.uint64(0), 0
                for i in range(rows.shape[1]):
                    row = rows[first_row + y, i]
                    for j in range(columns.shape[1]):
                        column = columns[x, j]
                        inside = row >= 0 and column >= 0
                        if shared:
                            if inside:
                                bits = words[sheet, row, column, 0]
                                gathered |= bits << np.uint64(filled)
                            filled += fan
                            if filled + fan > WORD or tap + 1 == taps:
                                first = (tap + 1) * fan - filled
                                if gathered != 0:
                                    _add_pixel(
                                        flat_sums,
                                        at,
                                        flat_weights,
                                        first * outputs,
                                        outputs,
                                        gathered,
                                        messages,
                                        0,
                                    )
                                gathered, filled = np.uint64(0), 0
                        elif inside:
                            pixel = ((sheet * height + row) * width + column) * fan
                            for w in range(size):
                                bits = words[sheet, row, column, w]
                                if bits == 0:
                                    continue
                                first = WORD * w
                                if groups == 1:
                                    _add_pixel(
                                        flat_sums,
                                        at,
                                        flat_weights,
                                        (tap * fan + first) * outputs,
                                        outputs,
                                        bits,
                                        messages,
                                        pixel + first,
                                    )
                                else:
                                    _add_groups(
                                        flat_sums,
                                        at,
                                        weights,
                                        tap * fan,
                                        bits,
                                        first,
                                        fan // groups,
                                        messages,
                                        pixel,
                                    )
                        tap += 1
