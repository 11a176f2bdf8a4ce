"""SLAYER's learnable delays of channels: `slayer.axon.Delay` with all channels shifted at once.

Source: lava.lib.dl.slayer.axon.delay of lava-dl 0.6, after Shrestha and Orchard 2018: a delay is
shifted by its whole steps, floor(d), and its gradient is that of the spikes' difference in time.
"""

from __future__ import annotations

from typing import Any

import torch
from lava.lib.dl import slayer


def shifted(x: torch.Tensor, delay: int) -> torch.Tensor:
    """x, (..., T), `delay` steps later; nothing arrives at first."""
    if delay == 0:
        return x
    steps = x.shape[-1]
    kept = x[..., : max(steps - delay, 0)]
    return torch.nn.functional.pad(kept, (min(delay, steps), 0))


def shifted_channels(x: torch.Tensor, delays: torch.Tensor) -> torch.Tensor:
    """x, (N, C, H, W, T), each channel later by its own whole steps, int64 (C,); or earlier."""
    time = torch.arange(x.shape[-1], device=x.device)
    origin = time - delays.to(x.device)[:, None]
    inside = (origin >= 0) & (origin < len(time))
    places = origin.clamp(0, len(time) - 1)[:, None, None, :]
    return x.gather(-1, places.expand(x.shape)) * inside[:, None, None, :]


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, delay: torch.Tensor) -> torch.Tensor:
        out = shifted_channels(x, delay.long())
        ctx.save_for_backward(out, delay)
        ctx.save_for_forward(delay)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (grad,) = grads
        out, delay = ctx.saved_tensors
        change = shifted(out, 1) - out  # by how much a longer delay changes what arrives
        return shifted_channels(grad, -delay.long()), (grad * change).sum((0, 2, 3, 4))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """What changes in the spikes, shifted alike."""
        return shifted_channels(tangents[0], ctx.saved_tensors[1].detach().long())


class ChannelDelays(slayer.axon.Delay):
    """Delays that are learned, one for each channel, 0 to `max_delay` steps.

    Args:
        channels: how many.
        max_delay: the largest delay, in steps.
        start: steps with which each begins, plus a random part of one step, as SLAYER draws it.
    """

    def __init__(self, channels: int, max_delay: int, start: int | tuple[int, ...] = 0) -> None:
        super().__init__(max_delay=max_delay)
        begin = torch.tensor(start, dtype=torch.float32) + torch.rand(channels)
        self.delay = torch.nn.Parameter(begin)
        self.init = True
        self.clamp()

    @property
    def steps(self) -> tuple[int, ...]:
        """The delay of each channel as it acts, in whole steps."""
        self.clamp()
        return tuple(self.delay.detach().long().tolist())

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Spikes (N, C, H, W, T), each channel as late as it is: SLAYER's interface."""
        self.clamp()
        found: torch.Tensor = _Shift.apply(input, self.delay)
        return found
