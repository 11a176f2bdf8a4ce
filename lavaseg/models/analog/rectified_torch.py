"""A description with rectified units in place of neurons, as a torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import torch
from torch import nn

from lavaseg.errors import LavasegError
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    Network,
    Operator,
    Shape,
)


class Rectified(nn.Module):
    """One pass through a description in which each spiking population is max(0, norm(current)).

    Read-outs and currents stay linear; delays and decays mean nothing here. Its convolutions are
    called like the projections, its norms, biases and rectified units like the nodes.

    Args:
        network: the description.
        affine: whether norms learn scale and shift; not in Kim et al.'s ANNs.
        eps: of the norms; 1e-4 in Kim et al.'s code.
    """

    def __init__(self, network: Network, *, affine: bool = False, eps: float = 1e-4) -> None:
        super().__init__()
        self.network = network
        self.convolutions = nn.ModuleDict()
        for p in network.projections:
            module = _module(p.operator, network.shape(p.source))
            if module is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                self.convolutions[p.name] = module
        self.norms = nn.ModuleDict()
        self.units = nn.ModuleDict(
            {p.name: nn.ReLU() for p in network.populations if p.threshold is not None}
        )
        self.biases = nn.ParameterDict()
        for node in network.nodes:
            channels = network.shape(node.name)[0]
            if node.norm != "none":
                self.norms[node.name] = nn.BatchNorm2d(channels, eps=eps, affine=affine)
            if node.bias:
                self.biases[node.name] = nn.Parameter(torch.zeros(channels))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        net = self.network
        values = {net.input.name: pictures}
        for node in net.ordered:
            current = reduce(
                torch.add,
                [
                    self._project(p.name, p.operator, values[p.source])
                    for p in net.incoming(node.name)
                ],
            )
            if node.name in self.norms:
                current = self.norms[node.name](current)
            if node.name in self.biases:
                current = current + self.biases[node.name].view(1, -1, 1, 1)
            fires = node.name in self.units
            values[node.name] = self.units[node.name](current) if fires else current
        return values[net.readout]

    def _project(self, name: str, operator: Operator, x: torch.Tensor) -> torch.Tensor:
        if name in self.convolutions:
            result: torch.Tensor = self.convolutions[name](x)
            return result
        return apply_operator(operator, x)


def _module(operator: Operator, source: Shape) -> nn.Conv2d | nn.ConvTranspose2d | None:
    """The torch module of an operator with weights, without bias; None where it has none."""
    if operator.weight_shape(source) is None:
        return None
    if type(operator) not in MODULES:
        raise LavasegError(f"torch has no module for the operator {operator.kind!r}")
    return MODULES[type(operator)](operator, source)


def _conv(operator: Conv, source: Shape) -> nn.Conv2d:
    return nn.Conv2d(
        source[0],
        operator.channels,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.dilation,
        operator.groups,
        bias=False,
    )


def _conv_transpose(operator: ConvTranspose, source: Shape) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(
        source[0],
        operator.channels,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.output_padding,
        operator.groups,
        False,
        operator.dilation,
    )


def _dense(operator: Dense, source: Shape) -> nn.Conv2d:
    return nn.Conv2d(source[0], operator.features, source[1:], bias=False)


MODULES: Mapping[type[Operator], Callable[..., nn.Conv2d | nn.ConvTranspose2d]] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Dense: _dense,
}
"""The module of each operator with weights that artificial networks use."""
