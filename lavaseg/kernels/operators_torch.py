"""Operators in torch: the one definition of what each linear map computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from lavaseg.errors import LavasegError
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

    Raises:
        LavasegError: an operator that is not in `FUNCTIONS`.
    """
    if type(operator) not in FUNCTIONS:
        raise LavasegError(f"torch has no function for the operator {operator.kind!r}")
    if operator.weight_shape((x.shape[1], x.shape[2], x.shape[3])) is None:
        scaled = x if weight is None else x * weight.view(1, -1, 1, 1)
        return FUNCTIONS[type(operator)](operator, scaled)
    assert weight is not None
    return FUNCTIONS[type(operator)](operator, x, weight)


def _conv(operator: Conv, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    stride = operator.stride
    if operator.kernel == (1, 1) and operator.padding == (0, 0) and max(stride) > 1:
        # the pixels that it reads; oneDNN's backward of a strided 1x1 writes out of bounds
        x, stride = x[:, :, :: stride[0], :: stride[1]], (1, 1)
    return functional.conv2d(
        x, weight, None, stride, operator.padding, operator.dilation, operator.groups
    )


def _conv_transpose(operator: ConvTranspose, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
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


def _dense(operator: Dense, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return functional.conv2d(x, weight)


def _one_to_one(operator: OneToOne, x: torch.Tensor) -> torch.Tensor:
    return x


def _sum_pool(operator: SumPool, x: torch.Tensor) -> torch.Tensor:
    """torch's pooling allows padding up to half of the kernel; any padding is meant here."""
    (height, width), (top, left) = operator.kernel, operator.padding
    divisor = None if operator.average else 1
    if 2 * top <= height and 2 * left <= width:
        return functional.avg_pool2d(
            x, operator.kernel, operator.stride, operator.padding, divisor_override=divisor
        )
    padded = functional.pad(x, (left, left, top, top))
    return functional.avg_pool2d(padded, operator.kernel, operator.stride, divisor_override=divisor)


def _upsample(operator: Upsample, x: torch.Tensor) -> torch.Tensor:
    larger = functional.interpolate(x, scale_factor=operator.factor, mode="nearest")
    height, width = (n - c for n, c in zip(larger.shape[-2:], operator.crop, strict=True))
    return larger[..., :height, :width]


def _resize(operator: Resize, x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, operator.size, mode="bilinear", align_corners=True)


FUNCTIONS: Mapping[type[Operator], Callable[..., Any]] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Dense: _dense,
    OneToOne: _one_to_one,
    SumPool: _sum_pool,
    Upsample: _upsample,
    Resize: _resize,
}
"""How torch computes each operator: (operator, x, weight), without weight where it has none."""
