"""The arithmetic at the chip's edges: adapters, readers, the replayed buffer."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from loihi2_double.lags import lag
from loihi2_double.rules import ChipRefusal


class _Edge(AbstractProcess):
    """Stands for every process here: Lava's builder asks a model which process it implements."""


class _Late(PyLoihiProcessModel):
    """Hands sheets on, some steps later: `part` of the lags says how many."""

    part: str

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        steps = lag(self.part)
        self._held = deque(np.zeros(proc_params["shape"], np.int32) for _ in range(steps))

    def _later(self, sheet: np.ndarray) -> np.ndarray:
        self._held.append(sheet)
        return self._held.popleft()


@implements(proc=_Edge, protocol=LoihiProtocol)
class FromHost(_Late):
    """Spikes from the host; they must fit the bits of the adapter."""

    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    @property
    def part(self) -> str:
        return "conv" if self.proc_params.get("compression") is not None else "dense"

    def run_spk(self) -> None:
        """One step."""
        sheet = self.inp.recv()
        bits = self.proc_params["num_message_bits"]
        if sheet.min() < 0 or sheet.max() >= 2 ** max(bits, 1):
            raise ChipRefusal(f"the host sends {sheet.min()} to {sheet.max()} in {bits} bits")
        exponent = self.proc_params.get("spike_exp") or 0
        self.out.send(self._later(sheet << exponent))


@implements(proc=_Edge, protocol=LoihiProtocol)
class ToHost(_Late):
    """Spikes to the host: without message bits 0 or 1, else the bits alone, without a sign."""

    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    part = "spikes"

    def run_spk(self) -> None:
        """One step."""
        sheet = self.inp.recv()
        bits = self.proc_params["num_message_bits"]
        sent = (sheet != 0).astype(np.int32) if bits == 0 else sheet & np.int32(2**bits - 1)
        self.out.send(self._later(sent))


@implements(proc=_Edge, protocol=LoihiProtocol)
class Reader(PyLoihiProcessModel):
    """A state to the host, 24 bits without a sign, in the step after it was read."""

    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    _sheet: np.ndarray | None = None

    def watch(self, model: Any, name: str) -> None:
        """Read the variable `name` of a model on the chip."""
        self._model, self._name = model, name

    def run_spk(self) -> None:
        """Send what was read in the step before."""
        if self._sheet is not None:
            self.out.send(self._sheet)
            self._sheet = None

    def post_guard(self) -> bool:
        """Whether it is time to read."""
        step = self.time_step - 1 + lag("read")
        return step % self.proc_params["interval"] == self.proc_params["offset"]

    def run_post_mgmt(self) -> None:
        """Read."""
        self._sheet = np.array(getattr(self._model, self._name), np.int32) & 0xFFFFFF


@implements(proc=_Edge, protocol=LoihiProtocol)
class Replay(PyLoihiProcessModel):
    """Frames from the chip's buffer."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    first_frame: np.ndarray = LavaPyType(np.ndarray, np.int32)
    replay_frames: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def run_spk(self) -> None:
        """One step."""
        step = self.time_step - 1 - lag("buffer")
        if step < 0:
            sheet = np.zeros_like(self.first_frame)
        elif step == 0:
            sheet = self.first_frame
        else:
            sheet = self.replay_frames[..., (step - 1) % self.replay_frames.shape[-1]]
        self.s_out.send(np.ascontiguousarray(sheet << self.proc_params["spike_exp"]))
