"""Norms of input currents: over time (tdBN), or with statistics of their own for each step."""

from __future__ import annotations

import torch
from torch import nn

from lavaseg.errors import LavasegError
from lavaseg.network.steps import steps_taken
from lavaseg.training.ranks import batch_norm, summed, together
from lavaseg.training.slayer.neurons import over_time, time_first, time_last

Affine = tuple[torch.Tensor, torch.Tensor]
"""Scale and shift of a norm in eval mode: y = scale * x + shift; (channels,) or (T, channels)."""


class BatchNormOverTime(nn.BatchNorm2d):
    """Batch norm over samples, time and space: (N, C, H, W, T) -> (N, C, H, W, T).

    With its scale initialised to alpha * threshold it is the threshold-dependent batch norm
    (tdBN) of Zheng et al. 2021, equations 4 to 7.

    Args:
        channels: C.
        scale: where the scale starts.
    """

    def __init__(self, channels: int, scale: float = 1.0) -> None:
        super().__init__(channels)
        nn.init.constant_(self.weight, scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return over_time(self._sheets, x)

    def _sheets(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and together():
            return batch_norm(self, x)
        if self.training and x.numel() == x.shape[1]:
            raise LavasegError(
                "batch norm has one value for each channel, since a sheet of 1x1 pixels meets a "
                "batch of one sample and one step: expected a batch_size of at least 2"
            )
        return super().forward(x)

    def folded(self) -> Affine:
        """Scale and shift of the norm in eval mode, both (channels,)."""
        mean, variance = self.running_mean, self.running_var
        assert mean is not None
        assert variance is not None
        scale = self.weight / torch.sqrt(variance + self.eps)
        return scale, self.bias - scale * mean


class StepNorm(nn.Module):
    """Batch norm with means of its own for each step of a sample: (N, C, H, W, T) -> the same.

    Apart (norm "bntt"), each step has its own variance and scale, too, and there is no shift:
    batch norm through time as Kim and Panda 2021 publish it. Shared (norm "bntt_shift"), one
    variance and one scale serve all steps, and each has a learned shift::

        y_t = scale_t (x_t - mean_t) / sqrt(var_t + eps)                  apart
        y_t = scale   (x_t - mean_t) / sqrt(mean of var_t + eps) + shift_t    shared

    so that a shared one is a static factor and a bias for each step, which hardware can do.

    Args:
        channels, steps: C and T.
        scale: where the scale starts.
        shared: one variance and scale for all steps.
    """

    eps = 1e-4
    momentum = 0.1

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int, steps: int, scale: float = 1.0, *, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        own = (channels,) if shared else (steps, channels)
        self.weight = nn.Parameter(torch.full(own, scale))
        self.bias = nn.Parameter(torch.zeros(steps, channels)) if shared else None
        self.register_buffer("running_mean", torch.zeros(steps, channels))
        self.register_buffer("running_var", torch.ones(own))

    def forward(self, x: torch.Tensor, first: int | None = None) -> torch.Tensor:
        """The norm of x; in eval mode, x may be the steps of a sample from number `first` on."""
        if first is None:
            check_steps(x, len(self.running_mean), "norm")
        sheets = time_first(x)
        shift: torch.Tensor | None
        if self.training:
            own = float(sheets[0, ..., 0].numel())
            count = summed(torch.tensor(own, dtype=torch.float64, device=x.device))
            mean = _mean(sheets, count)
            sheets = sheets - _sheet(mean)
            variance = _mean(sheets.square(), count)
            if self.shared:
                variance = variance.mean(0)
            self._track(mean, variance, float(count))
            scale = self.weight / torch.sqrt(variance + self.eps)
            shift = self.bias
        else:
            scale, shift = self.folded()
            seen = slice(first or 0, (first or 0) + len(sheets))
            scale, shift = scale if self.shared else scale[seen], shift[seen]
        y = sheets * (scale if self.shared else _sheet(scale))
        return time_last(y if shift is None else y + _sheet(shift))

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor, count: float) -> None:
        unbiased = variance * (count / max(count - 1, 1))
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)

    @torch.no_grad()
    def set_steps(self, steps: int) -> None:
        """Take another number of steps, by the rule of `lavaseg.network.steps`."""
        taken = torch.from_numpy(steps_taken(len(self.running_mean), steps))
        taken = taken.to(self.running_mean.device)
        self.running_mean = self.running_mean[taken]
        if self.bias is not None:  # shared: one variance and scale
            self.bias = nn.Parameter(self.bias[taken])
            return
        self.running_var = self.running_var[taken]
        self.weight = nn.Parameter(self.weight[taken])

    def folded(self) -> Affine:
        """The norm in eval mode: scale, (T, channels) or (channels,); shift, (T, channels)."""
        scale = self.weight / torch.sqrt(self.running_var + self.eps)
        shift = -scale * self.running_mean
        return scale, shift if self.bias is None else shift + self.bias


Norm = BatchNormOverTime | StepNorm


def as_deployed(norm: Norm) -> Affine:
    """A norm as it acts on hardware: as `folded`, but for channels whose input never varied.

    Where the running variance is below eps, such as behind a neuron that never fired in training,
    the scale would be some 1 / sqrt(eps) for nothing, and take the range of 8 bits from all other
    channels. Such a channel gives its learned shift alone.
    """
    scale, shift = norm.folded()
    assert norm.running_var is not None
    still = norm.running_var < norm.eps
    own = torch.zeros_like(shift) if norm.bias is None else norm.bias.expand_as(shift)
    return scale.masked_fill(still, 0.0), torch.where(still, own, shift)


def make_norm(kind: str, channels: int, steps: int | None, scale: float) -> Norm:
    """The norm that a description calls `kind`; `steps` is T."""
    if kind == "batch":
        return BatchNormOverTime(channels, scale)
    return StepNorm(channels, needed(steps, f"norm {kind!r}"), scale, shared=kind == "bntt_shift")


def needed(steps: int | None, what: str) -> int:
    """`steps`, which `what` cannot do without."""
    if steps is None:
        raise LavasegError(f"{what} has values of its own for each step: give the number of steps")
    return steps


def check_steps(x: torch.Tensor, steps: int, what: str) -> None:
    """Refuse input (..., T) of another length than what `what` has values for."""
    if x.shape[-1] != steps:
        raise LavasegError(
            f"a {what} has values of its own for each of {steps} steps, the input has "
            f"{x.shape[-1]}: encode it with {steps} steps, or train with another encoder"
        )


def _mean(sheets: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Means over (N, H, W) of sheets (T, N, H, W, C), of all processes' batches; (T, C)."""
    if not together():
        return sheets.mean((1, 2, 3))
    return summed(sheets.sum((1, 2, 3))) / count


def _sheet(values: torch.Tensor) -> torch.Tensor:
    """Values (T, C), shaped to meet sheets (T, N, H, W, C)."""
    return values[:, None, None, None]
