"""A network in integers: the description plus weights, biases and thresholds as Loihi holds them.

This is what export produces, what a `.net` file stores, and what the simulator, the Lava
builder, the energy account and every report read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network.base import NEVER, STATE_SCALE
from lavaseg.network.graph import Network
from lavaseg.network.nodes import Population, Projection
from lavaseg.network.notebook import html, in_brief
from lavaseg.network.operators import OneToOne
from lavaseg.network.steps import clock_at

if TYPE_CHECKING:
    from lavaseg.encoders import Encoder

WEIGHT_MIN, WEIGHT_MAX = -256, 254
"""Mixed-sign synapses hold the even integers of this range (7 bits and a sign)."""
BIAS_MANTISSA_MAX = 4095
BIAS_EXPONENT_MAX = 7
STOCK_BIAS_EXPONENT = 6
"""Stock NetX loads every bias with this exponent (lava.lib.dl.netx.hdf5)."""
SCALE_MAX = 1e30
"""The largest number of weight units in a trained unit."""


class RangeError(LavasegError):
    """A number that Loihi cannot hold; the message names the layer, the value and the limit."""


@dataclass(frozen=True)
class Bias:
    """mantissa * 2**exponent state units, one for each channel.

    Args:
        mantissa: int (channels,), 13 bits with sign.
        exponent: 0 .. 7.
    """

    mantissa: np.ndarray
    exponent: int = STOCK_BIAS_EXPONENT

    @property
    def state_units(self) -> np.ndarray:
        """The bias that is added to v at each step, int64 (channels,)."""
        return self.mantissa.astype(np.int64) << self.exponent


@dataclass(frozen=True)
class RoundedNetwork:
    """A description whose numbers were rounded to integers; its populations may have levels.

    Nothing is checked yet. Export unrolls the levels, for which thresholds of populations that
    have them are even, and makes an `IntegerNetwork` of it.

    Args:
        network: thresholds are mantissas (weight units); None marks the read-out.
        weights: int16 for each projection, even, shaped as `network.synapse_shape(projection)`:
            weights in torch's orientation, or the gain of each channel for an operator without
            trained weights (one-to-one, sum pooling, upsampling). A one-to-one projection may
            also hand on what it gets, with a gain of 1 everywhere (`hands_on`). Those of a
            projection that shares them may be left out: they are the same array.
        biases: for each population that has one.
        encoder: turns a picture into the spikes of T steps; T is `encoder.steps`.
        classes: names of the read-out's channels, in order.
        scales: weight units for each trained unit, for each population (1.0 if unknown).
        clocks: for each population that has one, int16 (T, channels), even: what its clock adds
            to the input current at each step of a sample, in weight units.
    """

    network: Network
    weights: Mapping[str, np.ndarray]
    encoder: Encoder
    classes: tuple[str, ...]
    biases: Mapping[str, Bias] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    clocks: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Logical time steps of one sample, T."""
        return self.encoder.steps


@dataclass(frozen=True)
class IntegerNetwork(RoundedNetwork):
    """A network ready to run: binary populations and relays alone, all of whose numbers fit.

    Fields are those of `RoundedNetwork`.

    Raises:
        RangeError: a value outside what Loihi holds.
        LavasegError: missing weights, numbers of what the description does not have, or shapes
            that contradict it.
    """

    def __repr__(self) -> str:
        return f"IntegerNetwork({in_brief(self.network)}, T = {self.steps})"

    def _repr_html_(self) -> str:
        return html(self.network, repr(self))

    def __post_init__(self) -> None:
        net = self.network
        object.__setattr__(self, "weights", _with_shared(net, self.weights))
        for projection in net.projections:
            shape = net.synapse_shape(projection)
            if projection.name not in self.weights:
                raise LavasegError(f"projection {projection.name!r} has no weights")
            weight = self.weights[projection.name]
            if weight.shape != shape:
                raise LavasegError(
                    f"projection {projection.name!r}: weights have shape {weight.shape}, "
                    f"the description expects {shape}"
                )
            reason = projection.operator.why_not_integer
            if reason is not None:
                raise LavasegError(f"projection {projection.name!r}: {reason}")
            if projection.learns:
                raise LavasegError(
                    f"projection {projection.name!r} still learns its delays: export fixes them"
                )
            if not hands_on(projection, weight):
                check_weights(projection.name, weight)
        self._check_names()
        for population in net.populations:
            if population.levels is not None:
                raise LavasegError(
                    f"population {population.name!r} has {population.levels} levels, which an "
                    "integer network holds as as many binary populations"
                )
            threshold = population.threshold
            if threshold is not None and (
                threshold != int(threshold) or not 0 < threshold <= NEVER
            ):
                raise RangeError(
                    f"population {population.name!r}: threshold {threshold} must be an integer "
                    f"from 1 to {NEVER}"
                )
        for name, bias in self.biases.items():
            check_bias(name, bias, net.shape(name)[0])
        clocked = {p.name for p in net.populations if p.clock}
        if clocked != set(self.clocks):
            raise LavasegError(
                f"clocks are given for {sorted(self.clocks)}, the description has them at "
                f"{sorted(clocked)}"
            )
        for name, clock in self.clocks.items():
            wanted = (self.encoder.steps, net.shape(name)[0])
            if clock.shape != wanted:
                raise LavasegError(
                    f"population {name!r}: its clock has shape {clock.shape}, expected {wanted}, "
                    "steps and channels"
                )
            check_weights(name, clock, "the clock of population")
        if self.encoder.message_bits != net.input.message_bits:
            raise LavasegError(
                f"the {self.encoder.kind} encoder sends {self.encoder.message_bits}-bit messages, "
                f"the input {net.input.name!r} expects {net.input.message_bits}"
            )
        channels = net.shape(net.readout)[0]
        if len(self.classes) != channels:
            raise LavasegError(
                f"{len(self.classes)} class names for a read-out of {channels} channels"
            )

    def _check_names(self) -> None:
        """Refuse numbers of what the network does not have."""
        stray = set(self.weights) - {projection.name for projection in self.network.projections}
        if stray:
            raise LavasegError(f"there is no projection for the weights {', '.join(sorted(stray))}")
        nodes = {node.name for node in self.network.nodes}
        for what, given in (("bias", self.biases), ("scale", self.scales)):
            for name in given:
                if name not in nodes:
                    raise LavasegError(
                        f"a {what} is given for {name!r}, which is no population of the network"
                    )
        for name, scale in self.scales.items():
            if not 0 < scale <= SCALE_MAX:
                raise LavasegError(
                    f"population {name!r}: scale {scale} must be a positive number of at most "
                    f"{SCALE_MAX:g}"
                )

    def with_steps(self, steps: int) -> IntegerNetwork:
        """The network for another number of steps T, by the rule of `lavaseg.network.steps`.

        Raises:
            LavasegError: the encoder does not have that many steps, or a clock's current cannot be
                held with 8 bits.
        """
        if steps == self.steps:
            return self
        clocks = {
            p.name: clock_at(self.clocks[p.name], steps, p.current_decay)
            for p in self.network.populations
            if p.name in self.clocks
        }
        return dataclasses.replace(self, encoder=self.encoder.with_steps(steps), clocks=clocks)

    def threshold(self, population: Population) -> int:
        """Threshold mantissa as deployed: `NEVER` for a population that must not fire."""
        return NEVER if population.threshold is None else int(population.threshold)

    def bias(self, name: str) -> np.ndarray:
        """Bias of a population in state units, int64 (channels,); zeros if it has none."""
        if name in self.biases:
            return self.biases[name].state_units
        return np.zeros(self.network.shape(name)[0], np.int64)

    def logits(self, readout: np.ndarray) -> np.ndarray:
        """Read-out membranes (state units) in trained units, averaged over time, float32.

        Args:
            readout: int (N, C, H, W), as in `Activity.readout`.
        """
        scale = self.scales.get(self.network.readout, 1.0) * STATE_SCALE * self.steps
        return (readout / scale).astype(np.float32)


def _with_shared(network: Network, weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The weights with those of projections that share them, which are the same arrays.

    Raises:
        LavasegError: weights are given for such a projection, and they are others.
    """
    found = dict(weights)
    for p in network.projections:
        if p.shares is None or p.shares not in weights:
            continue
        given = found.get(p.name)
        if given is not None and not np.array_equal(given, weights[p.shares]):
            raise LavasegError(
                f"projection {p.name!r} shares the weights of {p.shares!r}, but others are given"
            )
        found[p.name] = weights[p.shares]
    return found


def hands_on(projection: Projection, weight: np.ndarray) -> bool:
    """Whether a projection hands on what it gets, one to one with a gain of 1.

    Only synapses of mixed sign are confined to even numbers. Purely excitatory ones hold any of 8
    bits (lava-nc, lava/utils/weightutils.py), and Lava's Conv holds what it is given.
    """
    return isinstance(projection.operator, OneToOne) and bool((weight == 1).all())


def check_weights(name: str, weight: np.ndarray, what: str = "projection") -> None:
    """Raise RangeError unless all weights are even integers in -256 .. 254."""
    if weight.size and (weight.min() < WEIGHT_MIN or weight.max() > WEIGHT_MAX):
        raise RangeError(
            f"{what} {name!r}: weights reach from {weight.min()} to {weight.max()}, "
            f"8-bit synapses hold {WEIGHT_MIN} to {WEIGHT_MAX}"
        )
    if not np.issubdtype(weight.dtype, np.integer) or (weight & 1).any():
        raise RangeError(f"{what} {name!r}: weights must be even integers (mixed-sign 8 bit)")


def check_bias(name: str, bias: Bias, channels: int) -> None:
    """Raise RangeError unless the bias fits a 13-bit mantissa and a 3-bit exponent."""
    if bias.mantissa.shape != (channels,):
        raise LavasegError(
            f"population {name!r}: bias has shape {bias.mantissa.shape}, expected ({channels},)"
        )
    if not np.issubdtype(bias.mantissa.dtype, np.integer):
        raise RangeError(
            f"population {name!r}: bias mantissas must be integers, got {bias.mantissa.dtype}"
        )
    if not isinstance(bias.exponent, int | np.integer) or (
        not 0 <= bias.exponent <= BIAS_EXPONENT_MAX
    ):
        raise RangeError(f"population {name!r}: bias exponent {bias.exponent} is not 0 to 7")
    largest = int(np.abs(bias.mantissa).max(initial=0))
    if largest > BIAS_MANTISSA_MAX:
        raise RangeError(
            f"population {name!r}: bias mantissa {largest} exceeds 13 bits ({BIAS_MANTISSA_MAX})"
        )
