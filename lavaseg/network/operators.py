"""Operators: the linear maps that a projection can be. Each one says its geometry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lavaseg.network.base import NetworkError, Shape, Size, pair
from lavaseg.network.geometry import Axis, Geometry


@dataclass(frozen=True)
class Operator(ABC):
    """A linear map from the spikes of one sheet to the input current of another.

    What differs by backend stands in one table each, keyed by the operator's class:
    `lavaseg.kernels.operators_torch.FUNCTIONS`, `lavaseg.training.slayer.synapses.SYNAPSES` and
    `lavaseg.deploy.lava.synapses.BUILDERS`.

    Attributes:
        kind: its name in files and tables.
        trains_only: why no synapses can be made of it, or None.
    """

    kind: ClassVar[str] = ""
    trains_only: ClassVar[str | None] = None

    @abstractmethod
    def geometry(self, source: Shape) -> Geometry:
        """The operator's connections on a sheet of this shape.

        Raises:
            NetworkError: it does not fit the sheet, or has no such form (`trains_only`).
        """

    def output_shape(self, source: Shape) -> Shape:
        """Shape of the sheet that is written; an extent below 1 means that it does not fit."""
        return self.geometry(source).target

    def weight_shape(self, source: Shape) -> tuple[int, ...] | None:
        """Shape of the operator's weights as torch stores them; None where it has none."""
        return self.geometry(source).weight_shape

    def macs(self, source: Shape) -> int:
        """Multiply-accumulates of one dense pass, zero padding included (the papers' count)."""
        return self.geometry(source).macs

    def scale_outputs(self, source: Shape, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Weights (or a gain) whose output channels are multiplied by `factor`, (channels,)."""
        return self.geometry(source).scale_outputs(weight, factor)

    def scale_inputs(self, source: Shape, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Weights (or a gain) whose input channels are multiplied by `factor`, (channels,)."""
        return self.geometry(source).scale_inputs(weight, factor)

    @property
    def why_not_integer(self) -> str | None:
        """The reason why the operator's synapses are no integers, or None."""
        return self.trains_only

    def _set_pairs(self, what: str, **least: int) -> None:
        """Make each named field (height, width), both at least the number given."""
        for name, limit in least.items():
            object.__setattr__(self, name, pair(getattr(self, name), f"{what} {name}", limit))


@dataclass(frozen=True)
class Conv(Operator):
    """2-D convolution (cross-correlation, as in torch) with zero padding and no bias.

    Args:
        channels: output channels.
        kernel, stride, padding, dilation: one integer, or (height, width).
        groups: input and output channels are split into that many independent groups.
    """

    kind: ClassVar[str] = "conv"
    channels: int
    kernel: Size = (3, 3)
    stride: Size = (1, 1)
    padding: Size = (0, 0)
    dilation: Size = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        self._set_pairs("conv", kernel=1, stride=1, padding=0, dilation=1)
        _check_groups("conv", self.channels, self.groups)

    def geometry(self, source: Shape) -> Geometry:
        rows, columns = (
            _shrinking(*extents)
            for extents in zip(
                source[1:], self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return Geometry(source, self.channels, rows, columns, self.groups)


@dataclass(frozen=True)
class ConvTranspose(Operator):
    """2-D transposed convolution (as in torch) without bias."""

    kind: ClassVar[str] = "conv_transpose"
    channels: int
    kernel: Size = (3, 3)
    stride: Size = (1, 1)
    padding: Size = (0, 0)
    output_padding: Size = (0, 0)
    dilation: Size = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        self._set_pairs(
            "transposed conv", kernel=1, stride=1, padding=0, output_padding=0, dilation=1
        )
        _check_groups("transposed conv", self.channels, self.groups)

    def geometry(self, source: Shape) -> Geometry:
        rows, columns = (
            _growing(*extents)
            for extents in zip(
                source[1:],
                self.kernel,
                self.stride,
                self.padding,
                self.dilation,
                self.output_padding,
                strict=True,
            )
        )
        return Geometry(source, self.channels, rows, columns, self.groups, scatters=True)


@dataclass(frozen=True)
class Dense(Operator):
    """All-to-all connections from a flattened (C, H, W) sheet to `features` neurons.

    Its weights are (features, C, H, W): a kernel that sees the whole sheet.
    """

    kind: ClassVar[str] = "dense"
    features: int

    def __post_init__(self) -> None:
        if self.features < 1:
            raise NetworkError(f"dense features must be at least 1, got {self.features}")

    def geometry(self, source: Shape) -> Geometry:
        rows, columns = (_shrinking(extent, extent) for extent in source[1:])
        return Geometry(source, self.features, rows, columns)


@dataclass(frozen=True)
class OneToOne(Operator):
    """Connects each neuron to the neuron at the same place: skips and residual sums.

    No trained weights: training uses 1, hardware one gain for each channel.
    """

    kind: ClassVar[str] = "one_to_one"

    def geometry(self, source: Shape) -> Geometry:
        rows, columns = (_shrinking(extent, 1) for extent in source[1:])
        return _each_channel(source, rows, columns)


@dataclass(frozen=True)
class SumPool(Operator):
    """Sum over windows with zero padding, without trained weights (hardware: a gain a channel).

    Args:
        average: divide by the window's size, padding included (torch's count_include_pad=True).
    """

    kind: ClassVar[str] = "sum_pool"
    kernel: Size = (2, 2)
    stride: Size = (2, 2)
    padding: Size = (0, 0)
    average: bool = False

    def __post_init__(self) -> None:
        self._set_pairs("pool", kernel=1, stride=1, padding=0)

    def geometry(self, source: Shape) -> Geometry:
        rows, columns = (
            _shrinking(*extents)
            for extents in zip(source[1:], self.kernel, self.stride, self.padding, strict=True)
        )
        return _each_channel(source, rows, columns)

    @property
    def why_not_integer(self) -> str | None:
        return "averages are not integers" if self.average else None


@dataclass(frozen=True)
class Upsample(Operator):
    """Nearest-neighbour upsampling by an integer factor (hardware: a gain for each channel).

    Args:
        factor: (height, width).
        crop: rows and columns that are left out at the end, fewer than the factor: what was halved
            from an odd size comes back to it.
    """

    kind: ClassVar[str] = "upsample"
    factor: Size = (2, 2)
    crop: Size = (0, 0)

    def __post_init__(self) -> None:
        self._set_pairs("upsample", factor=1, crop=0)
        if any(c >= f for c, f in zip(self.crop, self.factor, strict=True)):
            raise NetworkError(
                f"upsample crop {self.crop} must be less than its factor {self.factor}"
            )

    def geometry(self, source: Shape) -> Geometry:
        rows, columns = (
            _growing(extent, factor, factor, extra=-crop)
            for extent, factor, crop in zip(source[1:], self.factor, self.crop, strict=True)
        )
        return _each_channel(source, rows, columns, scatters=True)


@dataclass(frozen=True)
class Resize(Operator):
    """Bilinear resize with aligned corners, to any size (torch's align_corners=True).

    It trains only: its weights are fractions that differ from place to place.

    Args:
        size: (height, width) of the result.
    """

    kind: ClassVar[str] = "resize"
    trains_only: ClassVar[str | None] = (
        "a bilinear resize has fractions as weights, which differ from place to place"
    )
    size: Size

    def __post_init__(self) -> None:
        self._set_pairs("resize", size=1)

    def geometry(self, source: Shape) -> Geometry:
        raise NetworkError(f"no synapses are shared: {self.trains_only}")

    def output_shape(self, source: Shape) -> Shape:
        return source[0], *self.size

    def weight_shape(self, source: Shape) -> None:
        return None

    def macs(self, source: Shape) -> int:
        """Multiply-accumulates: two rows by two columns for each output."""
        channels, height, width = self.output_shape(source)
        return 4 * channels * height * width

    def scale_outputs(self, source: Shape, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
        return weight * factor

    def scale_inputs(self, source: Shape, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
        return weight * factor


OPERATORS: dict[str, type[Operator]] = {
    op.kind: op for op in (Conv, ConvTranspose, Dense, OneToOne, SumPool, Upsample, Resize)
}
"""All operators, by their names in files."""


def _check_groups(what: str, channels: int, groups: int) -> None:
    if channels < 1 or groups < 1 or channels % groups:
        raise NetworkError(
            f"{what} channels ({channels}) must be a positive multiple of groups ({groups})"
        )


def _shrinking(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Axis:
    """One axis of a convolution."""
    wanted = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    taps = range(padding, padding - dilation * kernel, -dilation)
    return Axis(size, wanted, taps, down=stride)


def _growing(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, extra: int = 0
) -> Axis:
    """One axis of a transposed convolution; `extra` rows or columns are added at its end."""
    wanted = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
    taps = range(-padding, dilation * kernel - padding, dilation)
    return Axis(size, wanted, taps, up=stride)


def _each_channel(source: Shape, rows: Axis, columns: Axis, *, scatters: bool = False) -> Geometry:
    """Each channel on its own, with one gain for all places of the kernel."""
    channels = source[0]
    return Geometry(source, channels, rows, columns, channels, scatters, gains=True)
