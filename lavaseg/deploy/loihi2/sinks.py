"""What the host hears of a chip: spikes at every step, states of neurons once a period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.io.sink import RingBuffer

_TAKER = "taker"
"""Process parameter under which a sink's model finds what takes the sheets."""
STATE_BITS = 24
"""Bits of a state or of a relay's message, in two's complement; the chip sends no sign."""


class SpikeTaker(Protocol):
    """Takes sheets of spikes or messages, such as a `Recorder`."""

    def write(self, time_step: int, spikes: np.ndarray, membrane: np.ndarray) -> None:
        """Take the sheet of one physical step; the membrane is unknown, and empty."""


@dataclass(frozen=True)
class Spikes:
    """What a sink of spikes does.

    Args:
        taker: takes the sheets.
        lag: steps from the neuron to here, those of the sources included.
        signed: messages of `STATE_BITS`, else spikes.
    """

    taker: SpikeTaker
    lag: int
    signed: bool


@dataclass(frozen=True)
class States:
    """What a sink of states does.

    Args:
        states: int32 (reads, ...), filled.
        skipped: reads that come before the first that is wanted.
        steps: steps of the run, after which all must have come.
    """

    states: np.ndarray
    skipped: int
    steps: int


def _signed(sheet: np.ndarray) -> np.ndarray:
    """Integers of `STATE_BITS` in two's complement as int32."""
    shift = 32 - STATE_BITS
    return (sheet.astype(np.int32) << shift) >> shift


@implements(proc=RingBuffer, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SpikeSink(PyLoihiProcessModel):
    """Hands the spikes of each step on."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    data: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def run_spk(self) -> None:
        """One step."""
        task: Spikes = self.proc_params[_TAKER]
        sheet = self.a_in.recv()
        sheet = _signed(sheet) if task.signed else sheet
        task.taker.write(self.time_step - task.lag, sheet, np.zeros(0, np.int32))


@implements(proc=RingBuffer, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StateSink(PyLoihiProcessModel):
    """Takes states whenever they come; at the end it waits for those that are missing."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    data: np.ndarray = LavaPyType(np.ndarray, np.int32)
    _seen: int = 0

    def run_spk(self) -> None:
        """One step."""
        task: States = self.proc_params[_TAKER]
        wanted = task.skipped + len(task.states)
        while self._seen < wanted and (self.time_step >= task.steps or self.a_in.probe()):
            sheet = _signed(self.a_in.recv())
            if self._seen >= task.skipped:
                task.states[self._seen - task.skipped] = sheet
            self._seen += 1


Model = type[PyLoihiProcessModel]
"""A model that a process is to have."""


def listen(port: OutPort, task: Spikes) -> dict[AbstractProcess, Model | None]:
    """Connect a neuron's output to the host; all processes made, with the models of the host's."""
    from lava.proc import embedded_io

    adapter = embedded_io.spike.NxToPyAdapter(
        shape=port.shape, num_message_bits=STATE_BITS if task.signed else 0
    )
    port.connect(adapter.inp)
    return {adapter: None, _sink(adapter.out, task): SpikeSink}


def watch(
    var: Var, shared: bool, interval: int, offset: int, task: States
) -> dict[AbstractProcess, Model | None]:
    """Let the host read a state once each `interval`, after steps t with t - 1 at `offset` in it.

    Args:
        shared: of neurons behind convolutions.
    """
    from lava.proc import embedded_io

    make: Any = embedded_io.state.ReadConv if shared else embedded_io.state.Read
    reader = make(shape=var.shape, interval=interval, offset=offset)
    reader.connect_var(var)
    return {reader: None, _sink(reader.out, task): StateSink}


def _sink(port: OutPort, task: Spikes | States) -> RingBuffer:
    sink = RingBuffer(shape=port.shape, buffer=1)
    sink.proc_params[_TAKER] = task
    port.connect(sink.a_in)
    return sink
