"""Geometry: which inputs an operator connects with which outputs, and how its weights are laid out.

Along each axis an operator connects output o with input i where o * down = i * up + tap, with one
weight for each tap: a convolution has up = 1 and taps padding - dilation * k, a transposed one has
down = 1 and taps dilation * k - padding; pooling, upsampling and one-to-one are the two of them
with each channel apart. Everything that depends on the kind of an operator follows from that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.network.base import NetworkError, Shape


@dataclass(frozen=True)
class Axis:
    """The connections along one axis: o * down = i * up + tap.

    Args:
        size, wanted: extents of the sheet that is read and of the one that is written.
        taps: one number for each place of the kernel.
        down, up: by how much the sheet shrinks and grows.
    """

    size: int
    wanted: int
    taps: Sequence[int]
    down: int = 1
    up: int = 1

    def links(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(output, input, place in the kernel) of each connection, int64 (links,)."""
        taps = np.asarray(self.taps, np.int64)
        reached = np.arange(self.size)[:, None] * self.up + taps[None, :]
        output, rest = np.divmod(reached, self.down)
        inside = (rest == 0) & (output >= 0) & (output < self.wanted)
        source, tap = np.nonzero(inside)
        return output[inside], source, tap

    def table(self) -> np.ndarray:
        """The input under each tap of each output, int32 (outputs, taps); -1: there is none."""
        taps = np.asarray(self.taps, np.int64)
        place, rest = np.divmod(np.arange(self.wanted)[:, None] * self.down - taps, self.up)
        inside = (rest == 0) & (place >= 0) & (place < self.size)
        return np.where(inside, place, -1).astype(np.int32)

    def phases(self) -> tuple[np.ndarray, ...]:
        """The places of the kernel that an output o can see, for each value of o modulo `up`."""
        taps = np.asarray(self.taps, np.int64)
        found = (np.flatnonzero((o * self.down - taps) % self.up == 0) for o in range(self.up))
        return tuple(places for places in found if places.size)


@dataclass(frozen=True)
class Geometry:
    """The connections of an operator on a sheet of a given shape.

    Weights are stored as torch stores them: (outputs, inputs of a group, height, width), or, where
    a kernel is laid on each input (`scatters`), (inputs, outputs of a group, height, width). An
    operator without weights of its own has a gain, (channels,), for all places of its kernel.

    Args:
        source: shape of the sheet that is read.
        channels: output channels.
        rows, columns: the two axes.
        groups: input and output channels are split into that many independent groups.
        scatters: each input meets the whole kernel, as in a transposed convolution; else each
            output does.
        gains: it has no weights of its own; each channel is on its own.

    Raises:
        NetworkError: the groups do not divide the channels.
    """

    source: Shape
    channels: int
    rows: Axis
    columns: Axis
    groups: int = 1
    scatters: bool = False
    gains: bool = False

    def __post_init__(self) -> None:
        if self.source[0] % self.groups:
            raise NetworkError(
                f"{self.source[0]} channels cannot be split into {self.groups} groups"
            )

    @property
    def target(self) -> Shape:
        """Shape of the sheet that is written; an extent below 1 means that there is none."""
        return self.channels, self.rows.wanted, self.columns.wanted

    @property
    def kernel(self) -> tuple[int, int]:
        """Places of the kernel, (height, width)."""
        return len(self.rows.taps), len(self.columns.taps)

    @property
    def enlarges(self) -> tuple[int, int]:
        """The factors by which rows and columns grow."""
        return self.rows.up, self.columns.up

    @property
    def weight_shape(self) -> tuple[int, ...] | None:
        """Shape of the weights; None where there are none."""
        if self.gains:
            return None
        first, second = self.channels, self.source[0]
        if self.scatters:
            first, second = second, first
        return first, second // self.groups, *self.kernel

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one dense pass, zero padding included (the papers' count)."""
        _, height, width = self.source if self.scatters else self.target
        fan = self.source[0] // self.groups
        return self.channels * fan * math.prod(self.kernel) * height * width

    @property
    def one_to_one(self) -> bool:
        """Whether each neuron reaches the neuron at its own place, and no other."""
        plain = self.kernel == (1, 1) and self.rows.down == self.columns.down == 1
        return self.gains and plain and self.target == self.source

    # -- weights -----------------------------------------------------------------------------

    def expand(self, weight: np.ndarray) -> np.ndarray:
        """Weights, or a gain, as (groups, outputs, inputs of a group, kernel height, width)."""
        if self.gains:
            tiled = np.tile(weight.reshape(-1, 1, 1, 1, 1), (1, 1, 1, *self.kernel))
            return tiled.reshape(self.groups, -1, 1, *self.kernel)
        grouped = weight.reshape(self.groups, -1, *weight.shape[1:])
        return grouped.swapaxes(1, 2) if self.scatters else grouped

    def collapse(self, form: np.ndarray) -> np.ndarray:
        """The weights, or the gain, that `expand` turned into this form."""
        if self.gains:
            return form[..., 0, 0].reshape(-1)
        turned = form.swapaxes(1, 2) if self.scatters else form
        if 0 not in turned.strides:
            turned = np.ascontiguousarray(turned)
        return turned.reshape(-1, *turned.shape[2:])

    def scale_outputs(self, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Weights (or a gain) whose output channels are multiplied by `factor`, (channels,)."""
        if self.gains:
            return elementwise(np.multiply, weight, factor)
        return self.collapse(
            elementwise(np.multiply, self.expand(weight), factor.reshape(self.groups, -1, 1, 1, 1))
        )

    def scale_inputs(self, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Weights (or a gain) whose input channels are multiplied by `factor`, (channels,)."""
        if self.gains:
            return elementwise(np.multiply, weight, factor)
        return self.collapse(
            elementwise(np.multiply, self.expand(weight), factor.reshape(self.groups, 1, -1, 1, 1))
        )

    def constant(self, weight: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The operator applied to sheets that are constant over each channel.

        Args:
            values: (N, channels) of the sheets that are read.

        Returns:
            (N, channels, height, width); borders differ where there is padding.
        """
        form = self.expand(weight)
        split = values.reshape(len(values), self.groups, -1)
        taps = np.einsum("goikl,ngi->ngokl", form, split)
        seen = [(axis.table() >= 0).astype(np.float64) for axis in (self.rows, self.columns)]
        found = np.einsum("ngokl,yk,xl->ngoyx", taps, *seen, optimize=True)
        return found.reshape(len(values), *self.target)

    def sums(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The positive and the negative weights that one neuron of each channel can see, added up.

        Where the sheet grows, neurons side by side see different places of the kernel: the most
        that any of them sees. An upper bound at borders.

        Returns:
            Two arrays of numbers of at least 0, (channels,).
        """
        form = self.expand(weight)
        phases = list(itertools.product(self.rows.phases(), self.columns.phases()))

        def most(part: np.ndarray) -> np.ndarray:
            taps = part.sum(2).reshape(self.channels, *self.kernel)
            seen = [taps[:, rows[:, None], columns].sum((1, 2)) for rows, columns in phases]
            found: np.ndarray = np.max(seen, axis=0, initial=0.0)
            return found

        return most(np.maximum(form, 0)), most(np.maximum(-form, 0))


def elementwise(function: np.ufunc, values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A function of two arrays, in the shape of `values`.

    Where an axis of both is one value repeated (stride 0), so it is in the result: a network
    whose weights are all alike is lowered without filling memory.
    """
    small, smaller = (
        array[tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides)]
        for array in (values, other)
    )
    result: np.ndarray = function(small, smaller)
    return result if result.shape == values.shape else np.broadcast_to(result, values.shape)
