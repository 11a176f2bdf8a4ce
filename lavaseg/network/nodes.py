"""Nodes and edges of a network: input, populations, currents, relays, and projections."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from lavaseg.network.base import DECAY_UNITY, NetworkError, Shape, integers
from lavaseg.network.operators import Operator

LONGEST_DELAY = 62
"""Steps that a synapse of Loihi 2 can hold a spike back."""

NormKind = Literal["none", "batch", "bntt", "bntt_shift"]
NORMS: tuple[str, ...] = get_args(NormKind)

MOST_LEVELS = 15
"""Levels that a neuron may have: what it sends is then at most 4 bits wide."""


@dataclass(frozen=True)
class Input:
    """The sheet of axons that the host feeds.

    Args:
        name: how projections refer to it.
        shape: (channels, height, width).
        message_bits: 0 for binary spikes, 1 to 24 for graded spikes of 0 .. 2**bits - 1.
    """

    name: str
    shape: Shape
    message_bits: int = 0

    def __post_init__(self) -> None:
        shape = integers(self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise NetworkError(
                f"input {self.name!r}: shape must be three positive integers "
                f"(channels, height, width), got {self.shape}"
            )
        object.__setattr__(self, "shape", shape)
        if not 0 <= self.message_bits <= 24:
            raise NetworkError(
                f"input {self.name!r}: message_bits must be 0 to 24, got {self.message_bits}"
            )

    @property
    def max_message(self) -> int:
        """The largest value that one spike carries (1 for binary spikes)."""
        return 2**self.message_bits - 1 if self.message_bits else 1

    @property
    def graded(self) -> bool:
        """Whether its spikes carry numbers; those of one bit are 1 whenever they are sent."""
        return self.message_bits > 1


@dataclass(frozen=True)
class Population:
    """A sheet of current-based leaky integrate-and-fire neurons (Loihi's CUBA-LIF).

    At each step, with a the sum of all projections and d_u, d_v the decays / 4096::

        u <- (1 - d_u) u + a
        v <- (1 - d_v) v + u + bias
        s <- v > threshold;  v <- 0 where s (hard reset), or v - threshold (soft reset)

    With levels it is a sheet of integer neurons, which keep nothing from step to step and send a
    whole number s, 0 .. levels::

        v <- a + bias
        s <- number of k in 0 .. levels - 1 with v > (k + 1/2) threshold

    which is v / threshold, rounded to the nearest whole number within 0 .. levels; what lies in
    the middle of two goes to the lower one, since Lava's neuron fires strictly above its threshold.

    Args:
        name: letters, digits and underscores.
        threshold: firing threshold, in the unit of the weights: any positive number while
            training, the 17-bit mantissa once the network is integer. None: the neuron never
            fires and its membrane accumulates (a read-out).
        current_decay, voltage_decay: integers in 1/4096, 0 .. 4096. voltage_decay None: 0, or 4096
            with levels, which take no other.
        reset: "hard" (what Loihi's built-in neuron does) or "soft" (trains, but cannot deploy).
        norm: of u before it enters v, for each channel. "batch": over samples, time and space
            (threshold-dependent BN, tdBN, is this with its scale initialised to the threshold);
            folded into weights and bias on export. "bntt": statistics and scale of their own for
            each step; trains, but cannot deploy. "bntt_shift": means and shifts of their own for
            each step, one scale; export folds it into weights, bias and clock.
        bias: a learnable bias for each channel.
        norm_scale: where the norm's scale starts, in the unit of the weights: tdBN's
            alpha * threshold. None: the threshold, or 1 for a population that never fires.
        clock: a learnable input current for each channel at each step of a sample, added to a.
            On hardware, T axons that fire in turn bring it.
        levels: D, 1 .. 15: what an integer neuron sends at most. None: binary spikes. Export makes
            D binary populations of it.

    Source of integer neurons: Luo et al. 2024 (SpikeYOLO); without a membrane that is kept here.
    """

    name: str
    threshold: float | None = 1.0
    current_decay: int = DECAY_UNITY
    voltage_decay: int = None  # type: ignore[assignment]  # an integer once it is made
    reset: Literal["hard", "soft"] = "hard"
    norm: NormKind = "none"
    bias: bool = False
    norm_scale: float | None = None
    clock: bool = False
    levels: int | None = None

    def __post_init__(self) -> None:
        if self.voltage_decay is None:
            kept = 0 if self.levels is None else DECAY_UNITY
            object.__setattr__(self, "voltage_decay", kept)
        if self.threshold is not None and not self.threshold > 0:
            raise NetworkError(
                f"population {self.name!r}: threshold must be positive, got {self.threshold}"
            )
        for what in ("current_decay", "voltage_decay"):
            value = getattr(self, what)
            if not isinstance(value, int) or not 0 <= value <= DECAY_UNITY:
                raise NetworkError(
                    f"population {self.name!r}: {what} must be an integer from 0 to "
                    f"{DECAY_UNITY}, got {value!r}"
                )
        if self.reset not in ("hard", "soft"):
            raise NetworkError(
                f"population {self.name!r}: reset must be 'hard' or 'soft', got {self.reset!r}"
            )
        _check_norm(self)
        if self.levels is not None:
            self._check_levels()

    def _check_levels(self) -> None:
        where = f"population {self.name!r}: levels"
        if type(self.levels) is not int or not 1 <= self.levels <= MOST_LEVELS:
            raise NetworkError(
                f"{where} must be an integer from 1 to {MOST_LEVELS}, got {self.levels!r}"
            )
        if self.threshold is None:
            raise NetworkError(
                f"{where} {self.levels} need a threshold, the distance between them; a read-out "
                "(threshold None) has none"
            )
        memory = {
            "current_decay": (self.current_decay, DECAY_UNITY),
            "voltage_decay": (self.voltage_decay, DECAY_UNITY),
            "reset": (self.reset, "hard"),
        }
        for field, (found, wanted) in memory.items():
            if found != wanted:
                raise NetworkError(
                    f"{where} {self.levels} go with no memory from step to step: {field} must be "
                    f"{wanted!r}, got {found!r}"
                )

    @property
    def message_bits(self) -> int:
        """Bits of what it sends: 0 for binary spikes, ceil(log2(levels + 1)) with levels."""
        return 0 if self.levels is None else self.levels.bit_length()

    @property
    def max_message(self) -> int:
        """The largest value that it sends at a step (1 for binary spikes)."""
        return 1 if self.levels is None else self.levels

    @property
    def memoryless(self) -> bool:
        """Whether what it sends at a step depends on the input current of that step alone."""
        return self.current_decay == self.voltage_decay == DECAY_UNITY


@dataclass(frozen=True)
class Current:
    """A sum of input currents without a neuron: a residual stream that never spikes.

    Training computes it once a step; export unrolls it into direct projections.

    Args:
        norm, bias: as of a population.
        norm_scale: where the norm's scale starts; None: 1. A residual branch whose last norm
            starts at 0 adds nothing at first.
    """

    name: str
    norm: NormKind = "none"
    bias: bool = False
    norm_scale: float | None = None

    def __post_init__(self) -> None:
        _check_norm(self)


def _check_norm(node: Population | Current) -> None:
    where = f"{type(node).__name__.lower()} {node.name!r}"
    if node.norm not in NORMS:
        raise NetworkError(f"{where}: norm must be one of {', '.join(NORMS)}, got {node.norm!r}")
    if node.norm_scale is not None and not 0 <= node.norm_scale < math.inf:
        raise NetworkError(
            f"{where}: norm_scale must be a number of at least 0, got {node.norm_scale}"
        )


@dataclass(frozen=True)
class Relay:
    """A sheet that sends the sum of its input current on at each step, as a graded spike.

    A `Current` becomes one on hardware where it only counts spikes (sums over windows, nearest
    upsampling) and the next operator cannot take it over exactly, such as average pooling in front
    of a padded convolution. It remembers nothing. Lava: GradedVec with threshold 0.
    """

    name: str
    norm: ClassVar[Literal["none"]] = "none"
    norm_scale: ClassVar[None] = None
    bias: ClassVar[Literal[False]] = False


@dataclass(frozen=True)
class Projection:
    """One linear operator from the spikes of `source` to the input current of `target`.

    Args:
        source, target: node names.
        operator: the linear map.
        delay: logical steps before a spike takes effect, 0 .. 62: the target sees at step t what
            the source emitted at step t - delay of the same sample, and nothing at first; at
            least 1 from a population to itself. Or one delay for each channel of the source, as
            SLAYER's axons have it. How long spikes wait on hardware, where paths differ in length,
            is derived: see `Network.waits`.
        name: identifies its weights; by default "source_to_target".
        max_delay: while training, the delay of each channel is learned, from `delay` on, up to
            this many steps; export writes what was learned into `delay`. 0: nothing is learned.
        shares: the projection whose weights this one uses, too; None: it has its own. Both have
            the same operator, on sheets of one shape.
    """

    source: str
    target: str
    operator: Operator
    delay: int | tuple[int, ...] = 0
    name: str = ""
    max_delay: int = 0
    shares: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"{self.source}_to_{self.target}")
        if isinstance(self.delay, list | tuple):
            object.__setattr__(self, "delay", integers(self.delay) or tuple(self.delay))
        self._check_steps("delay", self._delays or (self.delay,))
        self._check_steps("max_delay", (self.max_delay,))
        if self.recurrent and (not self.longest or self.learns or self.by_channel):
            raise NetworkError(
                f"projection {self.name!r} leads from {self.source!r} to itself: its delay must be "
                "at least 1 step, the same for all channels, and is not learned"
            )
        if self.learns and self.longest > self.max_delay:
            raise NetworkError(
                f"projection {self.name!r}: it learns delays up to {self.max_delay} steps and "
                f"begins with {self.longest}"
            )

    def _check_steps(self, what: str, values: Iterable[object]) -> None:
        for value in values:
            if type(value) is not int or not 0 <= value <= LONGEST_DELAY:
                raise NetworkError(
                    f"projection {self.name!r}: {what} must be 0 to {LONGEST_DELAY} steps (the "
                    f"hardware's limit), got {value!r} from {self.source!r} to {self.target!r}"
                )

    @property
    def _delays(self) -> tuple[int, ...]:
        return self.delay if isinstance(self.delay, tuple) else (self.delay,)

    @property
    def by_channel(self) -> bool:
        """Whether each channel of the source has a delay of its own."""
        return isinstance(self.delay, tuple)

    @property
    def shortest(self) -> int:
        """The least delay of a channel, in steps."""
        return min(self._delays)

    @property
    def longest(self) -> int:
        """The largest delay of a channel, in steps."""
        return max(self._delays)

    @property
    def learns(self) -> bool:
        """Whether training learns the delays of its channels."""
        return self.max_delay > 0

    def later(self, steps: int) -> int | tuple[int, ...]:
        """The delay, and `steps` more."""
        if isinstance(self.delay, tuple):
            return tuple(delay + steps for delay in self.delay)
        return self.delay + steps

    def within(self, steps: int) -> int | tuple[int, ...]:
        """The delay in a sample of `steps` steps: what is later than all of them never arrives."""
        if isinstance(self.delay, tuple):
            return tuple(min(delay, steps) for delay in self.delay)
        return min(self.delay, steps)

    @property
    def recurrent(self) -> bool:
        """Whether the projection leads from a population to itself."""
        return self.source == self.target

    @property
    def stored_as(self) -> str:
        """The projection whose weights are stored for this one: itself, or the one it shares."""
        return self.shares or self.name


def delay_of(channels: Sequence[int]) -> int | tuple[int, ...]:
    """The delays of channels as a projection has them: one number where all are alike."""
    return tuple(channels) if len(set(channels)) > 1 else channels[0]


Node = Population | Current | Relay
