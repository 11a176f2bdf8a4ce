"""SLAYER's CUBA neuron with a fused kernel behind its interface: the same spikes, faster.

`FusedNeuron` is a `lava.lib.dl.slayer.neuron.cuba.Neuron`. On the CPU one compiled pass replaces
SLAYER's Python loop over time, and on an NVIDIA GPU a Triton kernel does; without Triton the same
integer steps run as torch operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from lava.lib.dl.slayer.neuron import cuba

from lavaseg.kernels.fused import filter_current, fire
from lavaseg.kernels.levels import level_starts
from lavaseg.kernels.neuron_torch import filter_current_steps, fire_steps, triton_kernels
from lavaseg.network import DECAY_UNITY, Population
from lavaseg.recipes import Surrogate
from lavaseg.system.threads import over_blocks
from lavaseg.training.slayer.integer import respond_levels
from lavaseg.training.slayer.surrogates import (
    KINDS,
    backward_block,
    level_derivative,
    surrogate_derivative,
)

FLOAT_SCALE = 64
"""Weight units for each trained unit before quantisation: SLAYER's default scale."""


def time_first(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W, T) as (T, N, H, W, C): a view where memory already lies so."""
    return x.permute(4, 0, 2, 3, 1)


Record = Literal["none", "last", "all"]
"""Steps whose membranes are handed out."""


def time_last(x: torch.Tensor) -> torch.Tensor:
    """(T, N, H, W, C) as SLAYER's (N, C, H, W, T), without moving memory."""
    return x.permute(1, 4, 2, 3, 0)


def _contiguous(x: torch.Tensor) -> torch.Tensor:
    """(T, N, H, W, C) as (T, neurons), contiguous."""
    return x.contiguous().reshape(len(x), -1)


def _filtered(
    x: torch.Tensor, decay: int, scale: int, state: np.ndarray | None = None
) -> torch.Tensor:
    """`filter_current` of (T, N, H, W, C), on the CPU."""
    out = filter_current(_contiguous(x).numpy(), decay=decay, scale=scale, state=state)
    return torch.from_numpy(out).view_as(x)


def _fired(
    x: torch.Tensor, neuron: FusedNeuron, record: bool, state: np.ndarray | None = None
) -> tuple[torch.Tensor, torch.Tensor | None, np.ndarray]:
    """`fire` with the currents (T, N, H, W, C) of a population, on the CPU."""
    population = neuron.population
    fired, volts, last = fire(
        _contiguous(x).numpy(),
        threshold=None if population.threshold is None else neuron.threshold,
        voltage_decay=population.voltage_decay,
        soft_reset=population.reset == "soft",
        scale=neuron.s_scale,
        record=record,
        state=state,
    )
    membrane = None if volts is None else torch.from_numpy(volts).view_as(x)
    return torch.from_numpy(fired).view_as(x), membrane, last


class _Filter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, decay: int, scale: int) -> torch.Tensor:
        ctx.keep = 1 - decay / DECAY_UNITY
        kernels = triton_kernels() if x.is_cuda else None
        if kernels is not None:
            return kernels.filter_current(x.contiguous(), decay, scale)
        if x.is_cuda:
            return filter_current_steps(x, decay, scale)
        return _filtered(x, decay, scale)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        grad = grads[0].clone(memory_format=torch.contiguous_format)
        for t in range(len(grad) - 2, -1, -1):
            grad[t] += ctx.keep * grad[t + 1]
        return grad, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """The transpose of `backward`, for torch's forward mode."""
        return _accumulated(tangents[0], ctx.keep)


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, neuron: FusedNeuron, record: Record
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        membrane: torch.Tensor | None
        if x.is_cuda:
            theta = None if neuron.population.threshold is None else neuron.threshold
            decay, soft = neuron.population.voltage_decay, neuron.population.reset == "soft"
            kernels = triton_kernels()
            if kernels is None:
                spikes, membrane, _ = fire_steps(x, theta, decay, soft, neuron.s_scale)
            else:
                x = x.contiguous()
                spikes, membrane = kernels.fire(x, theta, decay, soft, neuron.s_scale)
        else:
            seen = record != "none" or ctx.needs_input_grad[0]
            spikes, membrane, _ = _fired(x.detach(), neuron, seen)
        ctx.set_materialize_grads(False)
        ctx.neuron = neuron
        ctx.record = record
        if membrane is not None:
            ctx.save_for_backward(membrane)
            ctx.save_for_forward(membrane)
        if record == "last" and membrane is not None:
            return spikes, membrane[-1:].clone()
        return spikes, membrane if record == "all" else None

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        grad_spikes, grad_membrane = grads
        (membrane,) = ctx.saved_tensors
        neuron: FusedNeuron = ctx.neuron
        population, surrogate = neuron.population, neuron.surrogate
        theta = neuron.threshold
        if population.threshold is None:
            grad_spikes = None
        keep = 1 - population.voltage_decay / DECAY_UNITY
        if membrane.is_cuda:
            return _backward_steps(grad_spikes, grad_membrane, membrane, neuron), None, None
        grad = torch.empty_like(membrane)
        none = np.zeros((1, 1), np.float32)
        arguments = (
            none if grad_spikes is None else _contiguous(grad_spikes).numpy(),
            none if grad_membrane is None else _contiguous(grad_membrane).numpy(),
            _contiguous(membrane).numpy(),
            _contiguous(grad).numpy(),
            KINDS[surrogate.kind],
            np.float32(theta),
            np.float32(neuron.centre),
            np.float32(surrogate.width * theta),
            np.float32(surrogate.height),
            np.float32(keep),
            neuron.blocks,
            grad_spikes is not None,
            grad_membrane is not None,
        )
        over_blocks(
            arguments[2].shape[1], lambda first, last: backward_block(*arguments, first, last)
        )
        return grad, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """The transpose of `backward`, for torch's forward mode; the input must need gradients."""
        membrane = ctx.saved_tensors[0].detach()  # it may be an output, which has a gradient
        neuron: FusedNeuron = ctx.neuron
        passed = leak_factors(membrane, neuron)
        change = _accumulated(tangents[0], passed)
        fired = torch.zeros_like(change)
        if neuron.population.threshold is not None:
            fired = change * neuron.slope(membrane)
        if ctx.record == "none":
            return fired, None
        return fired, change[-1:].clone() if ctx.record == "last" else change


def _accumulated(x: torch.Tensor, keep: float | torch.Tensor) -> torch.Tensor:
    """y_t = x_t + keep_{t-1} y_{t-1} over the first axis; one factor, or one for each value."""
    steps = [x[0]]
    for t in range(1, len(x)):
        steps.append(x[t] + (keep if isinstance(keep, float) else keep[t - 1]) * steps[-1])
    return torch.stack(steps)


def leak_factors(membrane: torch.Tensor, neuron: FusedNeuron) -> torch.Tensor:
    """dv_{t+1} / dv_t as the backward pass takes it, of the shape of the membranes before reset."""
    keep = 1 - neuron.population.voltage_decay / DECAY_UNITY
    if not neuron.blocks:
        return torch.full_like(membrane, keep)
    return keep * (membrane <= neuron.threshold)


def _backward_steps(
    grad_spikes: torch.Tensor | None,
    grad_membrane: torch.Tensor | None,
    membrane: torch.Tensor,
    neuron: FusedNeuron,
) -> torch.Tensor:
    """`backward_block` on a GPU: one kernel, or as torch operations where Triton is missing."""
    theta = neuron.threshold
    kernels = triton_kernels()
    if kernels is not None:
        return kernels.fire_backward(
            None if grad_spikes is None else grad_spikes.contiguous(),
            None if grad_membrane is None else grad_membrane.contiguous(),
            membrane,
            theta=theta,
            centre=neuron.centre,
            kind=KINDS[neuron.surrogate.kind],
            width=neuron.surrogate.width * theta,
            height=neuron.surrogate.height,
            keep=1 - neuron.population.voltage_decay / DECAY_UNITY,
            blocks=neuron.blocks,
        )
    grad = torch.zeros_like(membrane)
    if grad_spikes is not None:
        grad += grad_spikes * neuron.slope(membrane)
    if grad_membrane is not None:
        grad[len(grad) - len(grad_membrane) :] += grad_membrane
    passed = leak_factors(membrane, neuron)
    for t in range(len(grad) - 2, -1, -1):
        grad[t] += passed[t] * grad[t + 1]
    return grad


@dataclass(frozen=True)
class NeuronState:
    """What neurons keep from step to step.

    Args:
        current: u in state units, int32 (neurons,), in the order of (N, H, W, C).
        membrane: v after reset, likewise.
    """

    current: np.ndarray
    membrane: np.ndarray

    @classmethod
    def rest(cls, neurons: int) -> NeuronState:
        """The state in which a sample begins."""
        return cls(np.zeros(neurons, np.int32), np.zeros(neurons, np.int32))


class FusedNeuron(cuba.Neuron):
    """A population's neurons: SLAYER's `cuba.Neuron` with the fused kernel inside.

    The spikes equal those of `cuba.Neuron` with `threshold_eps = 1 / s_scale` bit for bit
    (that epsilon makes SLAYER's v >= theta the hardware's strict v > theta). Soft reset, levels and
    read-outs that never fire are additions.

    Args:
        population: threshold, decays and reset.
        surrogate: derivative of the spike in the backward pass.
        scale: weight units for each unit of the input, a power of two: 64 while training in
            trained units, 1 once the input is in weight units.
    """

    def __init__(
        self, population: Population, surrogate: Surrogate, scale: int = FLOAT_SCALE
    ) -> None:
        if scale & (scale - 1):
            raise ValueError(f"the neuron's scale must be a power of two, got {scale}")
        super().__init__(
            threshold=1.0 if population.threshold is None else population.threshold,
            current_decay=population.current_decay / DECAY_UNITY,
            voltage_decay=population.voltage_decay / DECAY_UNITY,
            scale=scale,
        )
        self.threshold_eps = 1 / self.s_scale
        self.population = population
        self.surrogate = surrogate
        if population.levels is not None:
            starts = level_starts(self.threshold, population.levels, self.s_scale)
            self.register_buffer("starts", torch.from_numpy(starts), persistent=False)

    @property
    def blocks(self) -> bool:
        """Whether a reset stops the gradient through time; a read-out has no reset."""
        population = self.population
        resets = population.threshold is not None and population.reset == "hard"
        return resets and self.surrogate.reset == "gate"

    @property
    def centre(self) -> float:
        """Membrane at which the surrogate peaks: the threshold; for SLAYER's own, theta + eps."""
        return self.threshold + self.shift

    @property
    def shift(self) -> float:
        """How far above its threshold the surrogate peaks."""
        return self.threshold_eps if self.surrogate.kind == "slayer" else 0.0

    def slope(self, membrane: torch.Tensor) -> torch.Tensor:
        """Derivative of what is sent with respect to the membrane, as the backward pass has it.

        Args:
            membrane: before reset, any shape, in the unit of the threshold.
        """
        levels = self.population.levels
        if levels is not None:
            return level_derivative(membrane, self.threshold, levels, self.shift, self.surrogate)
        return surrogate_derivative(membrane, self.threshold, self.centre, self.surrogate)

    def respond(
        self,
        synaptic: torch.Tensor,
        norm: Callable[[torch.Tensor], torch.Tensor] | None = None,
        bias: torch.Tensor | None = None,
        *,
        record: Record = "none",
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Spikes (N, C, H, W, T), and the membranes before reset that `record` asks for, or None.

        Membranes of the last step, (N, C, H, W, 1), cost no memory for the others beyond what
        the backward pass keeps anyway.

        Args:
            synaptic: input current a, (N, C, H, W, T).
            norm: applied to the filtered current, (N, C, H, W, T) -> the same.
            bias: (channels,), added to the filtered current at every step.
        """
        current = self.current(synaptic, norm, bias)
        if self.population.levels is not None:
            return respond_levels(current, self, record)
        spikes, membrane = _Fire.apply(time_first(current), self, record)
        return time_last(spikes), None if membrane is None else time_last(membrane)

    def respond_from(
        self,
        state: NeuronState | None,
        synaptic: torch.Tensor,
        norm: Callable[[torch.Tensor], torch.Tensor] | None = None,
        bias: torch.Tensor | None = None,
        *,
        record: Record = "none",
    ) -> tuple[torch.Tensor, torch.Tensor | None, NeuronState]:
        """As `respond` on the CPU, without gradients, for the next steps of a sample.

        Args:
            state: what the steps before have left; None: the sample begins.
        """
        x = time_first(synaptic)
        if state is None:
            state = NeuronState.rest(x[0].numel())
        if self.population.levels is not None:  # they keep nothing
            return *respond_levels(_shifted(synaptic, norm, bias), self, record), state
        u = state.current.copy()
        if self.population.current_decay != DECAY_UNITY:
            x = _filtered(x, self.population.current_decay, self.s_scale, u)
        x = time_first(_shifted(time_last(x), norm, bias))
        spikes, membrane, v = _fired(x, self, record != "none", state.membrane)
        if membrane is not None:
            membrane = time_last(membrane[-1:] if record == "last" else membrane)
        return time_last(spikes), membrane, NeuronState(u, v)

    def current(
        self,
        synaptic: torch.Tensor,
        norm: Callable[[torch.Tensor], torch.Tensor] | None = None,
        bias: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """u + bias: the filtered, normalised current that enters v, (N, C, H, W, T)."""
        if self.population.current_decay != DECAY_UNITY:
            u = _Filter.apply(time_first(synaptic), self.population.current_decay, self.s_scale)
            synaptic = time_last(u)
        return _shifted(synaptic, norm, bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Spikes for an input current, both (N, C, H, W, T): SLAYER's interface."""
        return self.respond(input)[0]


def _shifted(
    current: torch.Tensor,
    norm: Callable[[torch.Tensor], torch.Tensor] | None,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """A filtered current (N, C, H, W, T) after the norm and with the bias."""
    if norm is not None:
        current = norm(current)
    if bias is None:
        return current
    if current.shape[-1] > 1 and current.stride(-1) == 0:  # it stays a view of one step
        return (current[..., :1] + bias.view(1, -1, 1, 1, 1)).expand_as(current)
    return current + bias.view(1, -1, 1, 1, 1)


def over_time(module: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Apply a 2-D module to every step at once: (N, C, H, W, T) -> (N, C', H', W', T).

    Time is folded into the batch, channels last in memory; batch norm therefore takes its
    statistics over samples, time and space (tdBN). An input that is constant in time (a view
    with stride 0, as the direct encoder's) is computed once.
    """
    steps, constant = x.shape[-1], x.stride(-1) == 0 and x.shape[-1] > 1
    if constant:
        x = x[..., :1]
    folded = x.permute(4, 0, 1, 2, 3).flatten(0, 1)
    out = module(folded.contiguous(memory_format=torch.channels_last))
    out = out.unflatten(0, (x.shape[-1], -1)).permute(1, 2, 3, 4, 0)
    return out.expand(*out.shape[:-1], steps) if constant else out


__all__ = [
    "FLOAT_SCALE",
    "FusedNeuron",
    "NeuronState",
    "over_time",
    "time_first",
    "time_last",
]
