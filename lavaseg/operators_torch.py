"""Operators in torch: the one definition of what each linear map computes."""

from __future__ import annotations

import torch
from torch.nn import functional

from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    OneToOne,
    Operator,
    Resize,
    SumPool,
    Upsample,
)


def apply_operator(
    operator: Operator, x: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Input current of one step, (N, C, H, W) -> (N, C', H', W').

    Args:
        weight: weights in torch's orientation; for an operator without trained weights the gain
            of each channel, (C,), or None for 1.
    """
    if isinstance(operator, Conv):
        assert weight is not None
        stride = operator.stride
        if operator.kernel == (1, 1) and operator.padding == (0, 0) and max(stride) > 1:
            # the pixels that it reads; oneDNN's backward of a strided 1x1 writes out of bounds
            x, stride = x[:, :, :: stride[0], :: stride[1]], (1, 1)
        return functional.conv2d(
            x,
            weight,
            None,
            stride,
            operator.padding,
            operator.dilation,
            operator.groups,
        )
    if isinstance(operator, Dense):
        assert weight is not None
        return functional.conv2d(x, weight)
    if isinstance(operator, ConvTranspose):
        return _conv_transpose(operator, x, weight)
    if weight is not None:
        x = x * weight.view(1, -1, 1, 1)
    if isinstance(operator, OneToOne):
        return x
    if isinstance(operator, SumPool):
        divisor = None if operator.average else 1
        return _sum_pool(operator, x, divisor)
    if isinstance(operator, Resize):
        return functional.interpolate(x, operator.size, mode="bilinear", align_corners=True)
    assert isinstance(operator, Upsample)
    return functional.interpolate(x, scale_factor=operator.factor, mode="nearest")


def _conv_transpose(
    operator: ConvTranspose, x: torch.Tensor, weight: torch.Tensor | None
) -> torch.Tensor:
    assert weight is not None
    return functional.conv_transpose2d(
        x,
        weight,
        None,
        operator.stride,
        operator.padding,
        operator.output_padding,
        operator.groups,
        operator.dilation,
    )


def _sum_pool(operator: SumPool, x: torch.Tensor, divisor: int | None) -> torch.Tensor:
    """torch's pooling allows padding up to half of the kernel; any padding is meant here."""
    (height, width), (top, left) = operator.kernel, operator.padding
    if 2 * top <= height and 2 * left <= width:
        return functional.avg_pool2d(
            x, operator.kernel, operator.stride, operator.padding, divisor_override=divisor
        )
    padded = functional.pad(x, (left, left, top, top))
    return functional.avg_pool2d(padded, operator.kernel, operator.stride, divisor_override=divisor)
