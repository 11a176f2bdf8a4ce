"""The plan of an artificial network: its layers as numbers, and how to build it, without torch."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lavaseg.network import Conv, ConvTranspose, Operator, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Layer:
    """One layer with trained numbers.

    Args:
        name: of the submodule.
        kind: class of the submodule.
        shape: (channels, height, width) of its output.
        parameters: all of its trained numbers.
        weights: those that are multiplied with the input and added up; 0 for a norm.
        macs: multiply-accumulates of one pass, zero padding included.
        enlarges: pixels that a transposed convolution makes of one, the product of its strides.
    """

    name: str
    kind: str
    shape: Shape
    parameters: int
    weights: int
    macs: int
    enlarges: int = 1

    @property
    def transposed(self) -> bool:
        """Whether the layer is a transposed convolution."""
        return self.kind in ("conv_transpose", "ConvTranspose2d")


@dataclass(frozen=True)
class AnalogPlan:
    """An artificial network before it is built.

    Args:
        layers: every layer with trained numbers, in the order of a pass.
        parameters: all trained numbers, those outside of layers included.
        module: "file:class" of its torch module, a file of this folder.
        arguments: keyword arguments of that class.
    """

    layers: tuple[Layer, ...]
    parameters: int
    module: str
    arguments: Mapping[str, Any]

    def build(self) -> nn.Module:
        """The torch module, with fresh weights."""
        file, _, name = self.module.partition(":")
        module = importlib.import_module(f"lavaseg.models.analog.{file}")
        built: nn.Module = getattr(module, name)(**self.arguments)
        return built


class Tally:
    """Gathers the layers of a pass, in its order; each call gives the shape of the next sheet."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def operator(self, name: str, operator: Operator, source: Shape, *, bias: bool = True) -> Shape:
        """A convolution, plain, transposed, or over the whole sheet."""
        transposed = isinstance(operator, ConvTranspose)
        shape = operator.output_shape(source)
        weights = math.prod(operator.weight_shape(source) or ())
        self.layers.append(
            Layer(
                name,
                "ConvTranspose2d" if transposed else "Conv2d",
                shape,
                weights + bias * shape[0],
                weights,
                operator.macs(source),
                math.prod(operator.geometry(source).enlarges),
            )
        )
        return shape

    def conv(
        self,
        name: str,
        source: Shape,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        bias: bool = True,
    ) -> Shape:
        """A convolution that keeps the sheet's size, or with a stride of 2 halves it."""
        side = (kernel, kernel)
        padding = (kernel // 2, kernel // 2)
        return self.operator(
            name, Conv(channels, side, (stride, stride), padding), source, bias=bias
        )

    def norm(self, name: str, source: Shape) -> Shape:
        """A batch norm that learns scale and shift."""
        self.layers.append(Layer(name, "BatchNorm2d", source, 2 * source[0], 0, 0))
        return source

    def plan(self, module: str, arguments: Mapping[str, Any], *, further: int = 0) -> AnalogPlan:
        """The plan of the layers gathered; `further` trained numbers belong to no layer."""
        parameters = sum(layer.parameters for layer in self.layers) + further
        return AnalogPlan(tuple(self.layers), parameters, module, arguments)
