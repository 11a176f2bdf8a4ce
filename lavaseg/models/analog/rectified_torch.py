"""A description with rectified units in place of neurons, as a torch module."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from math import prod

import torch
from torch import nn
from torch.nn import functional

from lavaseg.errors import LavasegError
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.models.logic import is_gate
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    Network,
    Operator,
    Population,
    Projection,
    Shape,
    SumPool,
)


class Rectified(nn.Module):
    """One pass through a description in which each spiking population is max(0, norm(current)).

    Read-outs and currents stay linear; delays and decays mean nothing here. Neurons that compare a
    sum of spikes without memory become what they compute of spikes: the maximum (OR), or the
    product (AND). Its convolutions are called like the projections, its norms, biases and rectified
    units like the nodes.

    Args:
        network: the description.
        affine: whether norms learn scale and shift; not in Kim et al.'s ANNs.
        eps: of the norms; 1e-4 in Kim et al.'s code.
        frames: how many pictures that follow one another are frames of one sample.
        backbone: nodes that see each frame alone; the others see the mean of what these give.
    """

    def __init__(
        self,
        network: Network,
        *,
        affine: bool = False,
        eps: float = 1e-4,
        frames: int = 1,
        backbone: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.network, self.frames, self.backbone = network, frames, frozenset(backbone)
        self.gates = {p.name: p for p in network.populations if is_gate(network, p)}
        self.convolutions = nn.ModuleDict()
        for p in network.projections:
            module = _module(p.operator, network.shape(p.source))
            if module is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                self.convolutions[p.name] = module
        self.norms = nn.ModuleDict()
        self.units = nn.ModuleDict(
            {
                p.name: nn.ReLU()
                for p in network.populations
                if p.threshold is not None and p.name not in self.gates
            }
        )
        self.biases = nn.ParameterDict()
        for node in network.nodes:
            channels = network.shape(node.name)[0]
            if node.norm != "none":
                norm = nn.BatchNorm2d(channels, eps=eps, affine=affine)
                if affine and node.norm_scale == 0:  # a residual branch that adds nothing at first
                    nn.init.zeros_(norm.weight)
                self.norms[node.name] = norm
            if node.bias:
                self.biases[node.name] = nn.Parameter(torch.zeros(channels))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Logits of the read-out; where there are auxiliary ones, theirs stand before them.

        Args:
            pictures: (N * frames, C, H, W), the frames of a sample one after the other.
        """
        net = self.network
        values = {net.input.name: pictures}
        for node in net.ordered:
            incoming = net.incoming(node.name)
            seen = [self._seen(p, values[p.source]) for p in incoming]
            if node.name in self.gates:
                values[node.name] = _logic(self.gates[node.name], incoming, seen)
                continue
            projected = zip(incoming, seen, strict=True)
            current = reduce(
                torch.add, [self._project(p.name, p.operator, x) for p, x in projected]
            )
            if node.name in self.norms:
                current = self.norms[node.name](current)
            if node.name in self.biases:
                current = current + self.biases[node.name].view(1, -1, 1, 1)
            fires = node.name in self.units
            values[node.name] = self.units[node.name](current) if fires else current
        if net.auxiliaries:
            return [values[name] for name in (*net.auxiliaries, net.readout)]
        return values[net.readout]

    def _seen(self, projection: Projection, x: torch.Tensor) -> torch.Tensor:
        """What a projection reads: each frame, or behind the backbone their mean."""
        apart = projection.source in (*self.backbone, self.network.input.name)
        if self.frames == 1 or not apart or projection.target in self.backbone:
            return x
        return x.unflatten(0, (-1, self.frames)).mean(1)

    def _project(self, name: str, operator: Operator, x: torch.Tensor) -> torch.Tensor:
        if name in self.convolutions:
            result: torch.Tensor = self.convolutions[name](x)
            return result
        return apply_operator(operator, x)


def _logic(
    gate: Population, incoming: Sequence[Projection], seen: list[torch.Tensor]
) -> torch.Tensor:
    """What a gate computes of spikes, of rectified values: their product or their maximum."""
    if gate.threshold is not None and gate.threshold > 1:
        return prod(seen[1:], start=seen[0])
    return reduce(
        torch.maximum, [_largest(p.operator, x) for p, x in zip(incoming, seen, strict=True)]
    )


def _largest(operator: Operator, x: torch.Tensor) -> torch.Tensor:
    """The largest value under each window of a pool; the values themselves one to one."""
    if not isinstance(operator, SumPool):
        return apply_operator(operator, x)
    return functional.max_pool2d(x, operator.kernel, operator.stride, operator.padding)


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
