"""Calibration: scale and rounding of each population, measured on training pictures.

All synapses of a population share one scale, as they share a threshold. The largest scale with
which every number fits (`choose_quantisation`) is set by the largest weight: a channel that nearly
never saw a spike has a norm that multiplies by much, and leaves the others few of the 8 bits. A
current far above the threshold, or far below, says the same when it is clipped. So each population
tries larger scales, with which its largest weights and biases end at the limits of their range.
Clipping by the loss that it makes is known well (Nagel et al. 2021, "A White Paper on Neural
Network Quantization", section 3.1); here the loss is counted in spikes, of integer neurons in
levels.

Populations that read the picture also try to diffuse the rounding errors of these convolutions
(`quantise.diffuse_weight`): neighbouring pixels are alike, and errors would add up. And they try
to compensate those of all their convolutions (`compensation`), and of the bias what is left.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from lavaseg.export.compensation import MOST_INPUTS, Compensation, compensable
from lavaseg.export.lowering.quantise import (
    HEADROOM,
    Quantisation,
    accumulated,
    diffuse_weight,
    highest_threshold,
    largest_scale,
    quantise_bias,
    quantise_weight,
    relay_scales,
    too_large,
    whole_threshold,
)
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import NEVER, STATE_SCALE, Conv, Network, Node, Population, Projection
from lavaseg.network.integers import (
    BIAS_MANTISSA_MAX,
    STOCK_BIAS_EXPONENT,
    WEIGHT_MAX,
    WEIGHT_MIN,
)
from lavaseg.network.ranges import CURRENT_LIMIT, geometric_sum, message_ranges, synaptic_bounds
from lavaseg.recipes import Surrogate
from lavaseg.results.rounding import Fit
from lavaseg.system.progress import track
from lavaseg.training import SpikingNetwork
from lavaseg.training.slayer.neurons import FusedNeuron

RATIO = 2.0**0.5
"""Each scale that is tried is this many times the one before."""
MOST = 40
"""Scales that are tried beyond the largest with which all fits: a million times it."""
PATIENCE = 2
"""Scales in a row that bring no gain, after which larger ones are not tried."""
WORTH = 0.2
"""Part of its error that another scale or rounding must take off a population to be taken."""
QUIET, CLOSE = 0.02, 2.0
"""Where a population's least error is above `QUIET`, spikes are not all worth the same: of its
choices up to `CLOSE` times that error, the read-out decides, which sees the channels' weight."""
BIAS_REACH = BIAS_MANTISSA_MAX * 2**STOCK_BIAS_EXPONENT / STATE_SCALE
"""The largest bias, in weight units."""


@torch.no_grad()
def calibrate(
    weighted: WeightedNetwork, calibration: torch.Tensor, *, progress: bool = False
) -> tuple[Quantisation, tuple[Fit, ...]]:
    """Choose scale and rounding of each population by its spikes on a few training pictures.

    Each population gets the float network's spikes as input, so that its own error alone is seen.

    Args:
        weighted: a lowered network.
        calibration: messages of a few training pictures, (N, C, H, W, T).
        progress: whether to show a progress bar; each node may take a pass through those behind it.

    Returns:
        The scales, and what they change; `fitted` gives the values that go with them.

    Raises:
        RangeError: no scale fits a population.
    """
    return _Calibration(weighted, calibration).run(progress)


Rounding: TypeAlias = Literal["nearest", "diffused", "compensated"]
"""Ways to round weights: each for itself, with diffused or with compensated errors."""


@dataclass(frozen=True)
class _Choice:
    """A scale, the way to round, and the error of both."""

    scale: float
    rounding: Rounding
    error: float


class _Calibration:
    """Goes through the network once, sources first, with the spikes of the float network."""

    def __init__(self, weighted: WeightedNetwork, calibration: torch.Tensor) -> None:
        self.weighted, self.network = weighted, weighted.network
        self.steps = calibration.shape[-1]
        self.floats = weighted.to_model()
        biased = self.network.replace_nodes({name: {"bias": True} for name in weighted.biases})
        self.integers = SpikingNetwork(biased, integer=True, steps=self.steps)
        self.messages = message_ranges(self.network, weighted.weights)
        self.last_reader = {
            p.source: node.name
            for node in self.network.ordered
            for p in self.network.incoming(node.name)
            if not p.recurrent
        }
        self.emitted = {self.network.input.name: calibration}
        self.readout = self._readout(self.network.ordered, dict(self.emitted))
        self.compensation: Compensation | None = None
        self.fits: list[Fit] = []

    def run(self, progress: bool) -> tuple[Quantisation, tuple[Fit, ...]]:
        """The scale of each population, and what each changes."""
        scales = relay_scales(self.network)
        for node in track(self.network.ordered, "calibrate", show=progress):
            sent, membrane = self.floats.respond(node, self.emitted)
            if isinstance(node, Population):
                scales[node.name] = self._scale(node, sent if membrane is None else membrane)
            self.emitted[node.name] = sent
            self._release(node, self.emitted)
        return Quantisation(scales), tuple(self.fits)

    def _release(self, node: Node, emitted: dict[str, torch.Tensor]) -> None:
        """Drop what no node behind `node` reads: of a deep network, all would be too much."""
        for p in self.network.incoming(node.name):
            if self.last_reader.get(p.source) == node.name:
                emitted.pop(p.source, None)

    def _readout(self, nodes: Sequence[Node], emitted: dict[str, torch.Tensor]) -> torch.Tensor:
        """The last membrane of the float network's read-out, (N, K, H, W).

        Args:
            nodes: those to compute, the read-out among them.
            emitted: what nodes before them send; changed.
        """
        membrane = None
        for node in nodes:
            emitted[node.name], volts = self.floats.respond(node, emitted)
            if node.name == self.network.readout:
                membrane = volts
            self._release(node, emitted)
        assert membrane is not None
        return membrane[..., -1]

    def _scale(self, population: Population, expected: torch.Tensor) -> float:
        """The scale of one population; notes what it changes.

        Args:
            expected: spikes of the float network, or the last membrane of a read-out.
        """
        largest = largest_scale(self.weighted, population, self.messages, self.steps)
        choices = list(self._choices(population, largest, "nearest", expected))
        plain = whole_threshold(largest, population)
        before = next((choice for choice in choices if choice.scale == plain), None)
        if any(reads_input(self.network, p) for p in self.network.incoming(population.name)):
            choices += self._choices(population, largest, "diffused", expected)
            self.compensation = self._compensation(population)
            if self.compensation is not None:
                choices += self._choices(population, largest, "compensated", expected)
        if not choices:
            raise too_large(population)
        best = min(choices, key=lambda choice: choice.error)
        if before is not None and best.error >= (1 - WORTH) * before.error:
            return before.scale
        close = [choice for choice in choices if choice.error <= CLOSE * best.error]
        if best.error > QUIET and len(close) > 1 and population.threshold is not None:
            best = min(close, key=lambda choice: self._error_at_readout(population, choice))
        if best is not before:
            self._note(population, before, best)
        return best.scale

    def _choices(
        self, population: Population, largest: float, rounding: Rounding, expected: torch.Tensor
    ) -> Iterator[_Choice]:
        """Larger and larger scales, as long as that helps, with one way to round.

        Args:
            largest: the scale with which all values fit.
        """
        least, vain, last = math.inf, 0, None
        for power in range(MOST + 1):
            scale = whole_threshold(largest * RATIO**power, population)
            if scale is None or scale == last:
                continue
            if power and not self._fits(population, scale, rounding):
                return
            error = self._error(population, scale, rounding, expected)
            yield _Choice(scale, rounding, error)
            vain = 0 if error < least else vain + 1
            least, last = min(least, error), scale
            if least == 0 or vain == PATIENCE:
                return

    def _compensation(self, population: Population) -> Compensation | None:
        """What compensates the errors of a population's convolutions; None: too much to count."""
        net, name = self.network, population.name
        read = {p: self.emitted[p.source] for p in net.incoming(name) if compensable(p)}
        inputs = sum(self.weighted.weights[p.name][0].size for p in read)
        if not read or inputs > MOST_INPUTS:
            return None
        return Compensation(read, name in self.weighted.biases)

    def _values(
        self, name: str, scale: float, rounding: Rounding
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Weights of a population's projections as integers, and its bias in trained units."""
        values, found = self.weighted.weights, {}
        bias = self.weighted.biases.get(name)
        for p in self.network.incoming(name):
            diffuses = rounding == "diffused" and reads_input(self.network, p)
            quantiser = diffuse_weight if diffuses else quantise_weight
            found[p.name] = quantiser(values[p.name], scale)
        if rounding == "compensated":
            assert self.compensation is not None
            compensated, lacking = self.compensation.rounded(values, scale)
            found |= compensated
            if bias is not None:
                bias = bias + lacking * self._gathered(name)
        return found, bias

    def _gathered(self, name: str) -> float:
        """The mean over time of the filtered current where as much arrives at each step."""
        node = self.network[name]
        assert isinstance(node, Population)
        sums = [geometric_sum(node.current_decay, step + 1) for step in range(self.steps)]
        return float(np.mean(sums))

    def _clock(self, name: str, scale: float) -> dict[str, np.ndarray]:
        """The clock of a population as integers, by its name, if it has one."""
        clocks = self.weighted.clocks
        return {name: quantise_weight(clocks[name], scale)} if name in clocks else {}

    def _fits(self, population: Population, scale: float, rounding: Rounding) -> bool:
        """Whether threshold and current keep within their ranges, and what holds feedback down."""
        name = population.name
        if population.threshold is not None and highest_threshold(population) * scale >= NEVER:
            return False
        weights, clock = self._values(name, scale, rounding)[0], self._clock(name, scale)
        bounds = synaptic_bounds(self.network, weights, name, self.messages, clock)
        return accumulated(self.network, population, bounds, self.steps) <= HEADROOM * CURRENT_LIMIT

    def _error(
        self, population: Population, scale: float, rounding: Rounding, expected: torch.Tensor
    ) -> float:
        """What a scale and a way to round cost, as `Fit` has it."""
        spikes, membrane = self._respond(population, scale, rounding)
        if population.threshold is not None:
            # a level that is wrong by one is one spike that differs
            wrong = float((spikes - expected).abs().sum(dtype=torch.float64))
            return wrong / max(1.0, float(expected.sum(dtype=torch.float64)))
        assert membrane is not None
        return _square(membrane.double() / scale, expected)

    def _error_at_readout(self, population: Population, choice: _Choice) -> float:
        """The squared error of the read-out where this population alone is rounded."""
        nodes = self.network.ordered
        emitted = dict(self.emitted)
        emitted[population.name], _ = self._respond(population, choice.scale, choice.rounding)
        self._release(population, emitted)
        behind = nodes[nodes.index(population) + 1 :]
        return _square(self._readout(behind, emitted), self.readout)

    def _respond(
        self, population: Population, scale: float, rounding: Rounding
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Spikes and last membrane of one population in integers, for the float network's input."""
        name, threshold, model = population.name, population.threshold, self.integers
        weights, bias = self._values(name, scale, rounding)
        biases = {}
        if bias is not None:
            whole_bias = quantise_bias(bias, scale, STOCK_BIAS_EXPONENT)
            biases[name] = whole_bias.state_units / STATE_SCALE
        model.set_values(weights, biases, self._clock(name, scale))
        whole = NEVER if threshold is None else round(threshold * scale)
        rounded = dataclasses.replace(population, threshold=whole)
        model.neurons[name] = FusedNeuron(rounded, Surrogate(), 1)
        return model.respond(model.network[name], self.emitted)

    def _note(self, population: Population, before: _Choice | None, best: _Choice) -> None:
        """Note what a choice changes of one population."""
        name = population.name
        hit, clipped, count = np.zeros(self.network.shape(name)[0], bool), 0, 0
        for p in self.network.incoming(name):
            beyond = _beyond(self.weighted.weights[p.name], best.scale, WEIGHT_MIN, WEIGHT_MAX)
            hit |= self.network.geometry(p).sums(beyond.astype(np.float64))[0] > 0
            clipped, count = clipped + int(beyond.sum()), count + beyond.size
        for values, low, high in (
            (self.weighted.biases, -BIAS_REACH, BIAS_REACH),
            (self.weighted.clocks, WEIGHT_MIN, WEIGHT_MAX),
        ):
            if name in values:
                beyond = _beyond(values[name], best.scale, low, high)
                hit |= np.atleast_2d(beyond).any(0)
                clipped, count = clipped + int(beyond.sum()), count + beyond.size
        compensated: dict[str, list[int]] = {}
        corrected: list[float] | None = None
        if best.rounding == "compensated":
            values, bias = self._values(name, best.scale, best.rounding)
            compensated = {p: array.ravel().tolist() for p, array in values.items()}
            corrected = None if bias is None else bias.tolist()
        self.fits.append(
            Fit(
                name,
                None if before is None else _threshold(population, before.scale),
                _threshold(population, best.scale),
                clipped,
                count,
                int(hit.sum()),
                best.rounding == "diffused",
                None if before is None else before.error,
                best.error,
                compensated,
                corrected,
            )
        )


def fitted(
    weighted: WeightedNetwork, scales: Mapping[str, float], fits: Iterable[Fit]
) -> WeightedNetwork:
    """The network whose values are clipped, or rounded already, as its calibration found it.

    Fine-tuning starts from these: a weight beyond its range would get no gradient.
    """
    net = weighted.network
    weights, biases, clocks = dict(weighted.weights), dict(weighted.biases), dict(weighted.clocks)
    for fit in fits:
        name, scale = fit.population, scales[fit.population]
        for p in net.incoming(name):
            if fit.diffused and reads_input(net, p):
                weights[p.name] = diffuse_weight(weights[p.name], scale) / scale
            if p.name in fit.weights:
                whole = np.asarray(fit.weights[p.name], float).reshape(weights[p.name].shape)
                weights[p.name] = whole / scale
            weights[p.name] = np.clip(weights[p.name], WEIGHT_MIN / scale, WEIGHT_MAX / scale)
        if fit.bias is not None:
            biases[name] = np.asarray(fit.bias)
        if name in biases:
            biases[name] = np.clip(biases[name], -BIAS_REACH / scale, BIAS_REACH / scale)
        if name in clocks:
            clocks[name] = np.clip(clocks[name], WEIGHT_MIN / scale, WEIGHT_MAX / scale)
    return weighted.replace(weights=weights, biases=biases, clocks=clocks)


def reads_input(network: Network, projection: Projection) -> bool:
    """Whether a projection is a convolution of the input, where neighbours are alike."""
    return projection.source == network.input.name and isinstance(projection.operator, Conv)


def _beyond(values: np.ndarray, scale: float, low: float, high: float) -> np.ndarray:
    """Which values are out of range once scaled, more than rounding alone would mend."""
    return (values * scale < low - 1) | (values * scale > high + 1)


def _square(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The squared error, for the square of what is expected."""
    difference = found.double() - expected.double()
    return float(difference.square().sum() / expected.double().square().sum().clamp(min=1e-30))


def _threshold(population: Population, scale: float) -> int | None:
    """The whole threshold that a scale gives; None: a read-out."""
    return None if population.threshold is None else round(population.threshold * scale)
