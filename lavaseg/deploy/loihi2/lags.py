"""Measures on a board how many steps adapters, buffers and resets take, with a few neurons.

No public text says all of them, and a wrong one would shift samples against their resets. Three
sources play the same to the same neurons: at step i input i alone, so each neuron tells when it was
hit. Neurons that fire at once tell it the host. Neurons that add up are reset and read at known
steps: those that hold something were hit in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.lif.process import LIFReset
from lava.utils.weightutils import SignMode

from lavaseg.deploy.lava.errors import LavaError
from lavaseg.deploy.lava.lines import LINK_WEIGHT
from lavaseg.deploy.loihi2.sinks import Model, Spikes, States, listen, watch
from lavaseg.deploy.loihi2.sources import from_host, replayed
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.network import DECAY_UNITY, NEVER
from lavaseg.network.integers import STOCK_BIAS_EXPONENT

PARTS = ("conv", "dense", "buffer")
_PERIOD = 16
"""Steps between resets and between readings; longer than any lag."""
_READS = 3
_OFFSET = 5
"""Step of the period, from 0, after which states are read."""
_PLAYED = _READS * _PERIOD


@dataclass
class _Log:
    """The step in which the host first heard each neuron, 0 for never: a taker of spikes."""

    first: np.ndarray

    def write(self, time_step: int, spikes: np.ndarray, membrane: np.ndarray) -> None:
        """Take a step."""
        self.first[(spikes != 0) & (self.first == 0)] = time_step


@dataclass(frozen=True)
class Probe:
    """The probe's graph, and where its results come to be.

    Args:
        first: int64 (1, 1, 3 * inputs), the step in which the host heard of each input.
        states: int32 (reads, 1, 1, 3 * inputs).
        steps: of a run.
    """

    source: AbstractProcess
    processes: tuple[AbstractProcess, ...]
    edges: Mapping[AbstractProcess, Model | None] = field(repr=False)
    first: np.ndarray
    states: np.ndarray
    steps: int

    @property
    def on_host(self) -> dict[AbstractProcess, Model]:
        """The models of the sinks."""
        return {process: model for process, model in self.edges.items() if model is not None}

    def timing(self) -> Timing:
        """What the results say.

        Raises:
            LavaError: they make no sense.
        """
        return timing_of(self.first.reshape(3, -1), self.states.reshape(_READS, 3, -1))


def build_probe(first: np.ndarray, states: np.ndarray) -> Probe:
    """The probe; its results go into arrays of `result_shapes`, which may be shared memory."""
    played = np.eye(_PLAYED, dtype=np.uint8)[None, None]  # input i at step i
    flat = played.reshape(_PLAYED, _PLAYED)
    sources = {
        "conv": from_host(played, 0, shared=True),
        "dense": from_host(flat, 0, shared=False),
        "buffer": replayed(flat),
    }
    shape = 1, 1, len(PARTS) * _PLAYED
    firing, adding = _neurons(shape, 1, DECAY_UNITY - 1), _neurons(shape, NEVER, 0)
    processes: list[AbstractProcess] = [firing, adding]
    for index, part in enumerate(PARTS):
        processes += sources[part].processes
        weights = np.zeros((shape[2], _PLAYED), np.int32)
        rows = index * _PLAYED + np.arange(_PLAYED)
        weights[rows, np.arange(_PLAYED)] = LINK_WEIGHT
        for neurons in (firing, adding):
            if part == "conv":
                synapse = Conv(weight=weights[:, None, None, :], input_shape=(1, 1, _PLAYED))
            else:
                synapse = Dense(weights=weights, sign_mode=SignMode.MIXED)
            sources[part].port.connect(synapse.s_in)
            synapse.a_out.reshape(shape).connect(neurons.a_in)
            processes.append(synapse)
    steps = _PLAYED + _PERIOD
    edges = listen(firing.s_out, Spikes(_Log(first), 0, signed=False))
    edges |= watch(adding.v, True, _PERIOD, _OFFSET, States(states, 0, steps))
    source = sources["conv"].processes[0]
    return Probe(source, (*processes, *edges), edges, first, states, steps)


def result_shapes() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of a probe's `first` and `states`."""
    sheet = 1, 1, len(PARTS) * _PLAYED
    return sheet, (_READS, *sheet)


def _neurons(shape: tuple[int, ...], threshold: int, decay: int) -> LIFReset:
    return LIFReset(
        shape=shape,
        vth=threshold,
        du=DECAY_UNITY - 1,
        dv=decay,
        bias_mant=np.zeros(shape, np.int64),
        bias_exp=STOCK_BIAS_EXPONENT,
        reset_interval=_PERIOD,
        reset_offset=0,
    )


def timing_of(first: np.ndarray, states: np.ndarray) -> Timing:
    """The lags that explain what the host heard and read.

    Args:
        first: (parts, inputs), the step in which the host heard of each input.
        states: (reads, parts, inputs), the sums of each input's neuron.

    Raises:
        LavaError: the parts contradict one another.
    """
    inputs = np.arange(1, first.shape[1] + 1)
    heard = [np.unique((row - inputs)[row > 0]) for row in first]
    held = [np.flatnonzero(row) + 1 for row in states[-1]]
    if any(len(lags) != 1 for lags in heard) or any(len(hits) == 0 for hits in held):
        raise LavaError(
            "what takes a spike from the host to a neuron and back differs from step to step on "
            "this board: samples cannot be told apart"
        )
    # read after the step t with t - 1 at the offset, as public code has it of readers on a CPU
    read = _OFFSET + 1 + (_READS - 1) * _PERIOD
    lags = [read - 1 - int(hits[-1]) for hits in held]
    back = {int(heard[part][0]) - 1 - lags[part] for part in range(len(PARTS))}
    resets = {-(int(hits[0]) + lag + 1) % _PERIOD for hits, lag in zip(held, lags, strict=True)}
    if len(back) != 1 or len(resets) != 1 or min(*lags, *back) < 0:
        raise LavaError(
            f"lags of {dict(zip(PARTS, lags, strict=True))} steps to the neurons, {sorted(back)} "
            f"back and {sorted(resets)} of resets contradict one another: samples cannot be told "
            "apart on this board"
        )
    return Timing(**dict(zip(PARTS, lags, strict=True)), spikes=back.pop(), reset=resets.pop())
