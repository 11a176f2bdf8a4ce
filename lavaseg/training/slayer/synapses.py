"""SLAYER's synapses with time folded into the batch: the same sums by 2-D convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lava.lib.dl import slayer
from torch import nn

from lavaseg.errors import LavasegError
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.network import Conv, ConvTranspose, Dense, OneToOne, Operator, Shape
from lavaseg.training.slayer.neurons import over_time


def _conv(operator: Conv, source: Shape) -> Any:
    return slayer.synapse.Conv(source[0], *_geometry(operator))


def _conv_transpose(operator: ConvTranspose, source: Shape) -> Any:
    return slayer.synapse.ConvTranspose(source[0], *_geometry(operator))


def _geometry(operator: Conv | ConvTranspose) -> tuple[Any, ...]:
    return (
        operator.channels,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.dilation,
        operator.groups,
    )


def _dense(operator: Dense, source: Shape) -> Any:
    return slayer.synapse.Conv(source[0], operator.features, source[1:])


SYNAPSES: Mapping[type[Operator], Callable[..., Any]] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Dense: _dense,
}
"""SLAYER's synapse of each operator that has weights, from the operator and the source's shape."""


class Synapse(nn.Module):
    """One projection's operator: (N, C, H, W, T) spikes to (N, C', H', W', T) current.

    Operators with weights hold a SLAYER synapse, `self.synapse`, whose weight and `pre_hook_fx`
    (the quantiser, when there is one) are used; a dense projection is the convolution whose
    kernel is the whole sheet. An operator without weights has a gain, (channels,), once the network
    is integer or was converted; it is a constant, not trained. None: 1.

    Args:
        operator: the linear map.
        source: shape of the source sheet.

    Raises:
        LavasegError: an operator with weights that is not in `SYNAPSES`.
    """

    def __init__(self, operator: Operator, source: Shape) -> None:
        super().__init__()
        self.operator = operator
        self.channels = source[0]
        self.synapse: Any = None
        self.gain: torch.Tensor | None
        self.register_buffer("gain", None)
        if operator.weight_shape(source) is not None:
            if type(operator) not in SYNAPSES:
                raise LavasegError(f"SLAYER has no synapse for the operator {operator.kind!r}")
            self.synapse = SYNAPSES[type(operator)](operator, source)

    @property
    def weight(self) -> torch.Tensor:
        """The weights as used, quantised if there is a quantiser, without SLAYER's time axis."""
        assert self.synapse is not None, "this operator has no weights"
        weight = self.synapse.weight
        hook = self.synapse.pre_hook_fx  # SLAYER applies it before each use
        return (weight if hook is None else hook(weight)).squeeze(-1)

    @property
    def values(self) -> torch.Tensor | None:
        """The weights as used, or the gain of an operator without them; None: a gain of 1."""
        return self.gain if self.synapse is None else self.weight

    def set_values(self, values: torch.Tensor) -> None:
        """Take weights, or the gain of an operator without them, as float32."""
        if self.synapse is None:
            self.gain = values.clone()
        else:
            self.synapse.weight.copy_(values.unsqueeze(-1))

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *rest: Any, **options: Any
    ) -> None:
        """As torch does it; a gain that was stored is taken, whether there was one or not."""
        stored = state_dict.get(f"{prefix}gain")
        if stored is not None and self.synapse is None and stored.shape == (self.channels,):
            self.gain = torch.empty_like(stored)
        super()._load_from_state_dict(state_dict, prefix, *rest, **options)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        if isinstance(self.operator, OneToOne) and self.gain is None:
            return spikes
        return over_time(self._apply_operator, spikes)

    def _apply_operator(self, x: torch.Tensor) -> torch.Tensor:
        out = apply_operator(self.operator, x, self.values)
        # with training.precision, sums are rounded; neurons take float32
        return out.float() if out.dtype in (torch.bfloat16, torch.float16) else out
