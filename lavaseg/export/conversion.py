"""Conversion: a trained artificial network becomes a spiking one by balancing its thresholds.

A ReLU's activation a >= 0 is stood for by a rate of spikes, at most one a step: a / scale, where
the scale is what one spike is worth. With scales s_in and s_out of source and target, weights
become w * s_in / s_out and biases b / s_out, and an integrate-and-fire neuron with threshold 1
and soft reset then fires at the right rate, up to 1 / T. The rules differ in how they choose the
scales, and one of them forgets s_in.

Export and not training, since the result is the same as that of training: a `WeightedNetwork`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.export.lowering import drop_auxiliaries, fold_averages, fold_norms
from lavaseg.export.rules import Rule, find_rule
from lavaseg.export.weighted import FoldedNorm, WeightedNetwork
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.models.analog.rectified_torch import Rectified
from lavaseg.network import DECAY_UNITY, Node, Population
from lavaseg.recipes import Surrogate
from lavaseg.training.slayer.neurons import FusedNeuron, over_time

Reset = Literal["soft", "hard"]


def convert(
    analog: AnalogNetwork,
    calibration: torch.Tensor,
    rule: str | Rule = "channel",
    *,
    reset: Reset = "soft",
    logit_unit: float = 1.0,
    message_bits: int | None = None,
) -> WeightedNetwork:
    """The spiking network that stands for a trained artificial one.

    Args:
        analog: a `Rectified` description, as trained.
        calibration: messages of a few training pictures, (N, C, H, W, T), as the spiking network
            will see them.
        rule: a name of `lavaseg.export.rules.RULES`, or a rule of your own.
        reset: "soft" is what the rules are made for; "hard" is what Loihi's neuron does, and
            loses what was above the threshold.
        logit_unit: the read-out's membranes are in this many logits. In floats membranes are
            clipped at +-2048: logits times T must stay below that.
        message_bits: of the spiking network's input, where it is coded otherwise than for the
            artificial one: 0 for a rate code.

    Returns:
        Norms folded, thresholds 1, neither leak nor current filter; `to_model` runs it in floats,
        `lower` and `quantise` make integers of it.

    Raises:
        LavasegError: there is no such rule, or the network is no description with ReLUs.
    """
    return balance(
        analog,
        calibration,
        rule,
        reset=reset,
        logit_unit=logit_unit,
        message_bits=message_bits,
    )[0]


def balance(
    analog: AnalogNetwork,
    calibration: torch.Tensor,
    rule: str | Rule = "channel",
    *,
    reset: Reset = "soft",
    logit_unit: float = 1.0,
    message_bits: int | None = None,
) -> tuple[WeightedNetwork, dict[str, np.ndarray]]:
    """As `convert`, and the worth of one spike of each population, (channels,) by name."""
    if isinstance(rule, str):
        rule = find_rule(rule)
    weighted = _weighted(analog, message_bits)
    for step in (drop_auxiliaries, fold_averages, fold_norms):
        weighted = step(weighted)
    net = weighted.network.replace_nodes(
        {p.name: _integrate_and_fire(p, reset) for p in weighted.network.populations}
    )
    balancing = _Balance(weighted.replace(network=net), rule, calibration, logit_unit)
    balanced = balancing.run()
    spiking = [p.name for p in net.populations if p.threshold is not None]
    return balanced, {name: balancing.scales[name] for name in spiking}


def _weighted(analog: AnalogNetwork, message_bits: int | None) -> WeightedNetwork:
    """Description and values of an artificial network, norms as in eval mode, without delays."""
    body = analog.body
    if not isinstance(body, Rectified):
        raise LavasegError(
            f"a {type(body).__name__} cannot be converted: expected a description with ReLUs, such "
            "as ann_deeplab"
        )
    net = body.network
    bits = net.input.message_bits if message_bits is None else message_bits
    source = dataclasses.replace(net.input, message_bits=bits)
    timeless = dataclasses.replace(
        net,
        input=source,
        projections=tuple(dataclasses.replace(p, delay=0) for p in net.projections),
    ).replace_nodes({p.name: {"clock": False} for p in net.populations})

    def array(tensor: object) -> np.ndarray:
        return tensor.detach().cpu().double().numpy()  # type: ignore[attr-defined]

    norms = {}
    for name, norm in body.norms.items():
        scale = 1 / np.sqrt(array(norm.running_var) + norm.eps)
        shift = -scale * array(norm.running_mean)
        if norm.affine:
            scale, shift = scale * array(norm.weight), shift * array(norm.weight) + array(norm.bias)
        norms[name] = FoldedNorm(scale, shift)
    return WeightedNetwork(
        timeless,
        {
            p.name: array(body.convolutions[p.name].weight)
            if p.name in body.convolutions
            else np.ones(net.synapse_shape(p))
            for p in net.projections
        },
        {name: array(bias) for name, bias in body.biases.items()},
        norms,
        1.0 / source.max_message,
    )


def _integrate_and_fire(population: Population, reset: str) -> Mapping[str, object]:
    return {
        "threshold": None if population.threshold is None else 1.0,
        "current_decay": DECAY_UNITY,
        "voltage_decay": 0,
        "reset": reset,
    }


class _Balance:
    """Goes through the network once, sources first, and scales what it has passed.

    Spikes flow through it, or, for a rule that measures activations, these, unscaled.
    """

    def __init__(
        self, weighted: WeightedNetwork, rule: Rule, calibration: torch.Tensor, logit_unit: float
    ) -> None:
        self.weighted, self.rule, self.network = weighted, rule, weighted.network
        self.logit_unit = logit_unit
        self.weights, self.biases = dict(weighted.weights), dict(weighted.biases)
        self.spiking = rule.measure == "input"
        first = self.network.input.name
        self.scales = {first: np.ones(self.network.shape(first)[0])}
        messages = calibration * weighted.input_scale
        self.flowing = {first: messages if self.spiking else messages.mean(-1, keepdim=True)}

    @torch.no_grad()
    def run(self) -> WeightedNetwork:
        """The balanced network."""
        for node in self.network.ordered:
            self._pass(node)
        return self.weighted.replace(weights=self.weights, biases=self.biases)

    def _pass(self, node: Node) -> None:
        name, incoming = node.name, self.network.incoming(node.name)
        for p in incoming:
            scale = self.scales[p.source]
            if self.rule.forgets_source:
                scale = np.full_like(scale, scale.max())
            self.weights[p.name] = p.operator.scale_inputs(
                self.network.shape(p.source), self.weights[p.name], scale
            )
        current = self._current(node, self.weights if self.spiking else self.weighted.weights)
        channels = self.network.shape(name)[0]
        if not isinstance(node, Population):
            self.scales[name], self.flowing[name] = np.ones(channels), current
            return
        fires = node.threshold is not None
        scale = self._scale(current) if fires else np.full(channels, self.logit_unit)
        for p in incoming:
            self.weights[p.name] = p.operator.scale_outputs(
                self.network.shape(p.source), self.weights[p.name], 1 / scale
            )
        if name in self.biases:
            self.biases[name] = self.biases[name] / scale
        self.scales[name] = scale
        if self.spiking:
            neurons = FusedNeuron(node, Surrogate())
            self.flowing[name] = neurons.respond(current / _channels(scale))[0]
        else:
            self.flowing[name] = current.relu()

    def _current(self, node: Node, weights: Mapping[str, np.ndarray]) -> torch.Tensor:
        """Input of a node, (N, C, H, W, T), its bias included."""
        total = torch.zeros(())
        for p in self.network.incoming(node.name):
            weight = torch.from_numpy(weights[p.name]).float()
            apply = functools.partial(apply_operator, p.operator, weight=weight)
            total = total + over_time(apply, self.flowing[p.source])
        if node.name in self.weighted.biases:
            total = total + _channels(self.weighted.biases[node.name])
        return total

    def _scale(self, measured: torch.Tensor) -> np.ndarray:
        """The scale of each channel for values (N, C, H, W, T); 1 where none is positive."""
        by_channel = measured.movedim(1, 0).flatten(1).numpy()
        whole = self._percentile(by_channel) or 1.0
        if not self.rule.channels:
            return np.full(len(by_channel), self.rule.factor * whole)
        return self.rule.factor * np.array([self._percentile(x) or whole for x in by_channel])

    def _percentile(self, values: np.ndarray) -> float:
        """The rule's percentile of the positive values; 0 if there are none."""
        positive = values[values > 0]
        return float(np.percentile(positive, self.rule.percentile)) if positive.size else 0.0


def _channels(values: np.ndarray) -> torch.Tensor:
    """Values (channels,), shaped to meet (N, C, H, W, T)."""
    return torch.from_numpy(np.asarray(values, np.float32)).view(1, -1, 1, 1, 1)
