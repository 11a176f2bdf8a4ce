"""The processes that train one network together, and sums over all of them.

Each takes its share of every batch. Whatever is taken over a batch (statistics of batch norm,
means of losses, what is counted) is taken over the whole of it, so that the network that is
trained is the one that a single process would train, up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import distributed, nn

from lavaseg.errors import LavasegError


@dataclass(frozen=True)
class Rank:
    """One of the processes of a training.

    Args:
        number: from 0; 0 alone writes files and shows lines.
        count: of all of them.
    """

    number: int = 0
    count: int = 1

    def share(self, batch: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """This process's samples of a batch; shares differ by one sample at most."""
        return list(batch[self.number :: self.count])


ALONE = Rank()
"""The only process of a training."""


def together() -> bool:
    """Whether this process trains together with others."""
    return distributed.is_initialized() and distributed.get_world_size() > 1


class _Sum(torch.autograd.Function):
    """Sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return _sum(x)

    @staticmethod
    def backward(ctx: object, *grads: torch.Tensor) -> torch.Tensor:
        return _sum(grads[0])


def _sum(x: torch.Tensor) -> torch.Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def summed(x: torch.Tensor) -> torch.Tensor:
    """A tensor summed over all processes, through which gradients pass; alone, itself."""
    if not together():
        return x
    total: torch.Tensor = _Sum.apply(x)
    return total


def any_of(flag: bool, device: torch.device | str = "cpu") -> bool:
    """Whether it is so in any of the processes."""
    if not together():
        return flag
    return bool(summed(torch.tensor(float(flag), device=device)) > 0)


@dataclass(frozen=True)
class Group:
    """The labels of all batches of one step of the optimiser, of which one is being learned.

    A loss that is a mean over what counts in a batch becomes its part of the mean over all of them
    when it is multiplied by `share`. The trainer divides the sum of all parts by `parts`.

    Args:
        labels: int64 (N, H, W) of each batch in this process.
        parts: by how much the gradients of all batches and processes are divided: their number.
    """

    labels: Sequence[torch.Tensor]
    parts: int = 1

    def total(self, count: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """What counts in all batches of all processes.

        Args:
            count: what counts in a batch, by its labels.
        """
        return summed(torch.stack([count(labels) for labels in self.labels]).sum(0))

    def share(
        self, labels: torch.Tensor, count: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """The share of a batch in what counts, times `parts`: 1 where all have the same."""
        total = self.total(count)
        return count(labels) * self.parts / total.clamp_min(torch.finfo(total.dtype).tiny)


def samples_of(labels: torch.Tensor) -> torch.Tensor:
    """The number of samples of a batch, float64 ()."""
    return torch.tensor(float(len(labels)), dtype=torch.float64, device=labels.device)


def batch_norm(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    """`norm` in training, (N, C, H, W), with the statistics of the batches of all processes."""
    count = torch.tensor(x.numel() // x.shape[1], dtype=torch.float64, device=x.device)
    count = summed(count)
    mean = summed(x.sum((0, 2, 3))) / count
    x = x - mean.view(1, -1, 1, 1)
    variance = summed(x.square().sum((0, 2, 3))) / count
    if norm.running_mean is not None and norm.running_var is not None:
        assert norm.num_batches_tracked is not None
        with torch.no_grad():
            norm.num_batches_tracked += 1
            momentum = norm.momentum
            if momentum is None:
                momentum = 1.0 / float(norm.num_batches_tracked)
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * count / (count - 1).clamp_min(1), momentum)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    y = x * scale.view(1, -1, 1, 1)
    return y if norm.bias is None else y + norm.bias.view(1, -1, 1, 1)


@torch.no_grad()
def share_weights(model: nn.Module) -> None:
    """Give a model of this process the values of the first one's."""
    for value in (*model.parameters(), *model.buffers()):
        distributed.broadcast(value, 0)


@contextmanager
def norms_together(model: nn.Module) -> Iterator[None]:
    """While open, torch's own batch norms of a model take statistics over all processes."""
    plain = [m for m in model.modules() if type(m) is nn.BatchNorm2d]

    def forward(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
        if norm.training and together():
            return batch_norm(norm, x)
        return nn.BatchNorm2d.forward(norm, x)

    for norm in plain:
        vars(norm)["forward"] = partial(forward, norm)
    try:
        yield
    finally:
        for norm in plain:
            vars(norm).pop("forward", None)


def check_shares(samples: int, batch_size: int, count: int) -> None:
    """Refuse a training whose batches have fewer samples than there are processes.

    Raises:
        LavasegError: names the field.
    """
    if batch_size < count:
        raise LavasegError(
            f"machine.devices is {count}, which share each batch, and training.batch_size is "
            f"{batch_size}: expected {count} samples or more, or fewer devices"
        )
    if samples < count:
        raise LavasegError(
            f"machine.devices is {count}, and there are {samples} training samples: expected fewer "
            "devices"
        )
