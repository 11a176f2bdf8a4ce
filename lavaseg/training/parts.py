"""The parts of a trainable network: SLAYER synapses and neurons, norms, biases, clocks, delays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from lavaseg.models.logic import is_gate
from lavaseg.network import NEVER, STATE_SCALE, Network, Node, Population
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.nodes import delay_of
from lavaseg.network.steps import clock_at
from lavaseg.recipes import Surrogate
from lavaseg.training.norm import BatchNormOverTime, Norm, StepNorm, make_norm, needed
from lavaseg.training.slayer.delays import ChannelDelays
from lavaseg.training.slayer.neurons import FLOAT_SCALE, FusedNeuron
from lavaseg.training.slayer.synapses import Synapse

if TYPE_CHECKING:
    from typing_extensions import Self

GATE = Surrogate(kind="rectangle", width=2.2, height=0.5)
"""Surrogate of neurons that compare a sum of spikes, whatever the recipe says: a gate's sums are
whole, and those next to its threshold so far from it that a narrower one would be 0 at all sums."""


def _initial_scale(node: Node) -> float:
    """Where the scale of a node's norm starts (tdBN: alpha * threshold)."""
    if node.norm_scale is not None:
        return node.norm_scale
    threshold = node.threshold if isinstance(node, Population) else None
    return 1.0 if threshold is None else threshold


class NetworkParts(nn.Module):
    """Synapses, neurons, norms, biases, clocks and delays of a `Network`, by its names.

    Args:
        network: the description. Its thresholds are in the unit of the weights.
        surrogate: derivative of the spikes.
        integer: weights, biases and thresholds are in weight units as Loihi holds them, and
            graded messages enter as the integers they are; otherwise graded messages are
            scaled to 0 .. 1, and one unit is 64 weight units.
        steps: T; needed where a node has values of its own for each step.

    Raises:
        LavasegError: `steps` is needed and missing.
    """

    def __init__(
        self,
        network: Network,
        surrogate: Surrogate | None = None,
        *,
        integer: bool = False,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.integer = integer
        surrogate = surrogate or Surrogate()
        unit = 1 if integer else FLOAT_SCALE
        self.input_scale = 1.0 if integer else 1.0 / network.input.max_message
        self.synapses = nn.ModuleDict(
            {
                p.name: Synapse(p.operator, network.shape(p.source))
                for p in network.projections
                if p.shares is None
            }
        )
        self.neurons = nn.ModuleDict(
            {
                p.name: FusedNeuron(
                    self._deployed(p), GATE if is_gate(network, p) else surrogate, unit
                )
                for p in network.populations
            }
        )
        self.delays = nn.ModuleDict(
            {
                p.name: ChannelDelays(network.shape(p.source)[0], p.max_delay, p.delay)
                for p in network.projections
                if p.learns
            }
        )
        self.norms = nn.ModuleDict()
        self.biases = nn.ParameterDict()
        self.clocks = nn.ParameterDict()
        self.bias_hooks: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
        self.clock_hooks: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
        for node in network.nodes:
            name, channels = node.name, network.shape(node.name)[0]
            if node.norm != "none":
                self.norms[name] = make_norm(node.norm, channels, steps, _initial_scale(node))
            if node.bias:
                self.biases[name] = nn.Parameter(torch.zeros(channels))
            if isinstance(node, Population) and node.clock:
                self.clocks[name] = nn.Parameter(torch.zeros(needed(steps, "a clock"), channels))
        self._shares = {p.name: p.stored_as for p in network.projections}
        for name in self.synapses:
            synapse = self.synapse(name)
            if synapse.synapse is not None:
                nn.init.kaiming_normal_(synapse.synapse.weight, nonlinearity="relu")

    @classmethod
    def from_integers(cls, net: IntegerNetwork) -> Self:
        """The network of a `.net` file in SLAYER synapses and neurons, in eval mode."""
        biased = {p.name: {"bias": p.name in net.biases} for p in net.network.populations}
        model = cls(net.network.replace_nodes(biased), integer=True, steps=net.steps)
        biases = {name: bias.state_units / STATE_SCALE for name, bias in net.biases.items()}
        model.set_values(net.weights, biases, net.clocks)
        return model.eval()

    def synapse(self, projection: str) -> Synapse:
        """The synapse of a projection, or of the one whose weights it shares."""
        found = self.synapses[self._shares[projection]]
        assert isinstance(found, Synapse)
        return found

    def neuron(self, population: str) -> FusedNeuron:
        """The neurons of a population."""
        found = self.neurons[population]
        assert isinstance(found, FusedNeuron)
        return found

    def norm(self, name: str) -> Norm:
        """The norm of a node that has one."""
        found = self.norms[name]
        assert isinstance(found, (BatchNormOverTime, StepNorm))
        return found

    def _deployed(self, population: Population) -> Population:
        """Hardware's neurons can always fire: an integer read-out has the largest threshold."""
        if self.integer and population.threshold is None:
            return dataclasses.replace(population, threshold=NEVER)
        return population

    def learned(self) -> Network:
        """The description with the delays that were learned, in whole steps."""
        projections = tuple(
            dataclasses.replace(p, delay=delay_of(self.delay(p.name)), max_delay=0)
            if p.learns
            else p
            for p in self.network.projections
        )
        return dataclasses.replace(self.network, projections=projections)

    def delay(self, projection: str) -> tuple[int, ...]:
        """The steps that each channel of a projection that learns delays is late."""
        found = self.delays[projection]
        assert isinstance(found, ChannelDelays)
        return found.steps

    def bias(self, name: str) -> torch.Tensor | None:
        """The bias of a node as used, quantised if there is a quantiser, or None."""
        if name not in self.biases:
            return None
        hook = self.bias_hooks.get(name)
        return self.biases[name] if hook is None else hook(self.biases[name])

    def clock(self, name: str) -> torch.Tensor | None:
        """The current that a node's clock adds to its input, (T, channels), as used, or None."""
        if name not in self.clocks:
            return None
        hook = self.clock_hooks.get(name)
        return self.clocks[name] if hook is None else hook(self.clocks[name])

    @torch.no_grad()
    def set_steps(self, steps: int) -> None:
        """Take another number of steps T, by the rule of `lavaseg.network.steps`."""
        for norm in self.norms.values():
            if isinstance(norm, StepNorm):
                norm.set_steps(steps)
        for population in self.network.populations:
            name = population.name
            if name in self.clocks:
                clock = self.clocks[name].detach().numpy()
                held = clock_at(clock, steps, population.current_decay)
                self.clocks[name] = nn.Parameter(torch.from_numpy(held))

    @torch.no_grad()
    def set_values(
        self,
        weights: Mapping[str, np.ndarray],
        biases: Mapping[str, np.ndarray],
        clocks: Mapping[str, np.ndarray],
    ) -> None:
        """Take weights (or gains) of projections, biases of nodes, clocks of populations."""

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.asarray(values, np.float32))

        for name, weight in weights.items():
            self.synapse(name).set_values(tensor(weight))
        for name, bias in biases.items():
            self.biases[name].copy_(tensor(bias))
        for name, clock in clocks.items():
            self.clocks[name].copy_(tensor(clock))
