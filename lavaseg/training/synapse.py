"""SLAYER's synapses with time folded into the batch: the same sums by 2-D convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lavaseg.compat import prepare_lava
from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    OneToOne,
    Operator,
    Shape,
    SumPool,
    Upsample,
)
from lavaseg.training.neuron import over_time

prepare_lava()

from lava.lib.dl import slayer  # noqa: E402  (after prepare_lava)


class Synapse(nn.Module):
    """One projection's operator: (N, C, H, W, T) spikes to (N, C', H', W', T) current.

    Operators with weights hold a SLAYER synapse, `self.synapse`, whose weight and `pre_hook_fx`
    (the quantiser, when there is one) are used; a dense projection is the convolution whose
    kernel is the whole sheet.

    Args:
        operator: the linear map.
        source: shape of the source sheet.
    """

    def __init__(self, operator: Operator, source: Shape) -> None:
        super().__init__()
        self.operator = operator
        self.synapse: Any = None
        if isinstance(operator, Conv):
            self.synapse = slayer.synapse.Conv(
                source[0],
                operator.channels,
                operator.kernel,
                operator.stride,
                operator.padding,
                operator.dilation,
                operator.groups,
            )
        elif isinstance(operator, Dense):
            self.synapse = slayer.synapse.Conv(source[0], operator.features, source[1:])
        elif isinstance(operator, ConvTranspose):
            if operator.output_padding != (0, 0):
                raise LavasegError(
                    "SLAYER's transposed convolution has no output padding; choose kernel, stride "
                    "and padding that give the size without it"
                )
            self.synapse = slayer.synapse.ConvTranspose(
                source[0],
                operator.channels,
                operator.kernel,
                operator.stride,
                operator.padding,
                operator.dilation,
                operator.groups,
            )

    @property
    def weight(self) -> torch.Tensor:
        """The weights as used, quantised if there is a quantiser, without SLAYER's time axis."""
        assert self.synapse is not None, "this operator has no weights"
        weight = self.synapse.weight
        hook = self.synapse.pre_hook_fx  # SLAYER applies it before each use
        return (weight if hook is None else hook(weight)).squeeze(-1)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        if isinstance(self.operator, OneToOne):
            return spikes
        return over_time(self._apply_operator, spikes)

    def _apply_operator(self, x: torch.Tensor) -> torch.Tensor:
        op = self.operator
        if isinstance(op, Conv):
            return functional.conv2d(
                x, self.weight, None, op.stride, op.padding, op.dilation, op.groups
            )
        if isinstance(op, Dense):
            return functional.conv2d(x, self.weight)
        if isinstance(op, ConvTranspose):
            return functional.conv_transpose2d(
                x, self.weight, None, op.stride, op.padding, (0, 0), op.groups, op.dilation
            )
        if isinstance(op, SumPool):
            divisor = None if op.average else 1
            return functional.avg_pool2d(
                x, op.kernel, op.stride, op.padding, divisor_override=divisor
            )
        assert isinstance(op, Upsample)
        return functional.interpolate(x, scale_factor=op.factor, mode="nearest")
