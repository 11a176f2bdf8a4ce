"""Integer neurons in torch: levels of a current, and the gradient through their surrogates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lavaseg.kernels import levels as kernels
from lavaseg.kernels import neuron_torch
from lavaseg.training.slayer.surrogates import KINDS

if TYPE_CHECKING:
    from lavaseg.training.slayer.neurons import FusedNeuron, Record


def respond_levels(
    current: torch.Tensor, neuron: FusedNeuron, record: Record
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What integer neurons send, 0 .. levels, and membranes as `FusedNeuron.respond` gives them.

    Steps that are all alike (a view with stride 0) are computed once, and what is sent is such a
    view again, since nothing is kept from step to step.

    Args:
        current: a after norm and bias, (N, C, H, W, T).
    """
    steps = current.shape[-1]
    constant = steps > 1 and current.stride(-1) == 0
    x = current[..., :1] if constant else current
    sent, membrane = _Levels.apply(x.permute(4, 0, 2, 3, 1), neuron, record)
    sent = sent.permute(1, 4, 2, 3, 0)
    if constant:
        sent = sent.expand(*sent.shape[:-1], steps)
    if membrane is None:
        return sent, None
    membrane = membrane.permute(1, 4, 2, 3, 0)
    if constant and record == "all":
        membrane = membrane.expand(*membrane.shape[:-1], steps)
    return sent, membrane


class _Levels(torch.autograd.Function):
    """Currents (T, N, H, W, C) to levels and membranes; only the currents are kept."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, neuron: FusedNeuron, record: Record
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.neuron, ctx.record = neuron, record
        x = x.contiguous()
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        if record == "none":
            return _sent(x, neuron), None
        return _sent(x, neuron), _membranes(x[-1:] if record == "last" else x, neuron)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        grad_sent, grad_membrane = (None if g is None else g.contiguous() for g in grads)
        neuron: FusedNeuron = ctx.neuron
        if not x.is_cuda:
            return _backward(x, grad_sent, grad_membrane, neuron), None, None
        triton = neuron_torch.triton_kernels()
        if triton is not None:
            found = triton.levels_backward(x, grad_sent, grad_membrane, **_settings(neuron))
            return found, None, None
        return _backward_torch(x, grad_sent, grad_membrane, neuron), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """The transpose of `backward`, for torch's forward mode."""
        (x,) = ctx.saved_tensors
        change = tangents[0].contiguous()
        sent = change * ctx.neuron.slope(_membranes(x.detach(), ctx.neuron))
        if ctx.record == "none":
            return sent, None
        return sent, change[-1:].clone() if ctx.record == "last" else change.clone()


def _sent(x: torch.Tensor, neuron: FusedNeuron) -> torch.Tensor:
    starts = neuron.starts
    if not x.is_cuda:
        found = kernels.levels_sent(x.detach().reshape(-1).numpy(), starts.numpy())
        return torch.from_numpy(found).view_as(x)
    triton = neuron_torch.triton_kernels()
    if triton is not None:
        return triton.levels_sent(x, starts)
    return neuron_torch.levels_sent(x, starts)


def _membranes(x: torch.Tensor, neuron: FusedNeuron) -> torch.Tensor:
    if x.is_cuda:
        return neuron_torch.level_membranes(x, neuron.s_scale)
    found = kernels.level_membranes(x.detach().reshape(-1).numpy(), neuron.s_scale)
    return torch.from_numpy(found).view_as(x)


def _settings(neuron: FusedNeuron) -> dict[str, Any]:
    """What the compiled backward passes of all devices take."""
    surrogate = neuron.surrogate
    return {
        "scale": neuron.s_scale,
        "levels": neuron.population.levels,
        "theta": neuron.threshold,
        "shift": neuron.shift,
        "kind": KINDS[surrogate.kind],
        "width": surrogate.width * neuron.threshold,
        "height": surrogate.height,
    }


def _backward(
    x: torch.Tensor,
    grad_sent: torch.Tensor | None,
    grad_membrane: torch.Tensor | None,
    neuron: FusedNeuron,
) -> torch.Tensor:
    found = kernels.levels_backward(
        x.detach().reshape(-1).numpy(),
        None if grad_sent is None else grad_sent.reshape(-1).numpy(),
        None if grad_membrane is None else grad_membrane.reshape(-1).numpy(),
        **_settings(neuron),
    )
    return torch.from_numpy(found).view_as(x)


def _backward_torch(
    x: torch.Tensor,
    grad_sent: torch.Tensor | None,
    grad_membrane: torch.Tensor | None,
    neuron: FusedNeuron,
) -> torch.Tensor:
    grad = torch.zeros_like(x)
    if grad_sent is not None:
        grad += grad_sent * neuron.slope(_membranes(x, neuron))
    if grad_membrane is not None:
        grad[len(grad) - len(grad_membrane) :] += grad_membrane
    return grad
