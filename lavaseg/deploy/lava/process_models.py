"""ProcessModels of ours for Lava's own processes: the same numbers, faster, and recorded.

The graph holds stock processes only; these models say how a CPU runs them. `run_config` with
fast=False chooses Lava's own arithmetic, for comparison.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.conv.process import Conv
from lava.proc.dense.models import PyDenseModelBitAcc
from lava.proc.dense.process import Dense
from lava.proc.graded.models import PyGradedVecModelFixed
from lava.proc.graded.process import GradedVec
from lava.proc.io.source import (
    AbstractPyRingBuffer,
    PySendModelFixed,
    RingBuffer,
)
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import (
    clip_weights,
    determine_sign_mode,
    truncate_weights,
)
from scipy.sparse import csr_matrix

from lavaseg.deploy.lava.arithmetic import Convolution, SparseProduct, compile_kernels, lif_step
from lavaseg.deploy.lava.record import Recorder

RECORDER = "recorder"
"""Process parameter of a LIFReset or GradedVec under which its model finds a `Recorder`."""


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class WideConv(PyConvModelFixed):
    """Lava's own convolution with its geometry in 32 bits.

    The stock model holds it in 8, and so raises with NumPy 2 where a sheet is wider than 127 or
    has more than 127 channels.
    """

    kernel_size: np.ndarray = LavaPyType(np.ndarray, np.int32)
    stride: np.ndarray = LavaPyType(np.ndarray, np.int32)
    padding: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dilation: np.ndarray = LavaPyType(np.ndarray, np.int32)
    groups: np.ndarray = LavaPyType(np.ndarray, np.int32)
    a_buf: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FastConv(WideConv):
    """Convolution that follows the spikes; weights are read at the first step."""

    _convolution: Convolution | None = None

    def run_spk(self) -> None:
        """Send what arrived at the step before, as the stock model does; convolve what arrives."""
        self.a_out.send(self.a_buf)
        spikes = self.s_in.recv()
        if self._convolution is None:
            self._convolution = Convolution(
                spikes.shape,
                self.weight,
                tuple(self.stride.tolist()),
                tuple(self.padding.tolist()),
                tuple(self.dilation.tolist()),
                int(self.groups[0]),
                graded=self.num_message_bits.item() > 0,
            )
        self.a_buf = self._convolution(spikes)
        if not self._convolution.small:  # to 24 bits
            self.a_buf = self.clamp_precision(self.a_buf)


def _stored(model: PyDenseModelBitAcc | PySparseModelBitAcc) -> Any:
    """The weights of a Dense or Sparse model as its synapses hold them."""
    params = model.proc_params
    mode = params.get("sign_mode") or determine_sign_mode(model.weights)
    clipped = clip_weights(model.weights, mode, num_bits=8)
    return truncate_weights(clipped, mode, params.get("num_weight_bits", 8))


def _shifted(sums: np.ndarray, exponent: int) -> np.ndarray:
    return sums << exponent if exponent > 0 else sums >> -exponent


@implements(proc=Dense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FastDense(PyDenseModelBitAcc):
    """Dense that adds up the columns of inputs that spike; weights are read at the first step."""

    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=16)
    _product: Convolution | None = None

    def run_spk(self) -> None:
        """Send what arrived at the step before, as the stock model does; add up what arrives."""
        self.a_out.send(self.a_buff)
        if self._product is None:
            weights = _stored(self)[:, None, None, :]  # a sheet of one pixel
            shape = (1, 1, weights.shape[-1])
            self._product = Convolution(shape, weights, graded=self.num_message_bits.item() > 0)
        sums = self._product(self.s_in.recv().reshape(1, 1, -1)).reshape(-1)
        self.a_buff = _shifted(sums, self.proc_params.get("weight_exp", 0))


@implements(proc=Sparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FastSparse(PySparseModelBitAcc):
    """Sparse that adds up the columns of inputs that spike; weights are read at the first step."""

    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=16)
    _product: SparseProduct | None = None

    def run_spk(self) -> None:
        """Send what arrived at the step before, as the stock model does; add up what arrives."""
        self.a_out.send(self.a_buff)
        if self._product is None:
            self._product = SparseProduct(_stored(self), graded=self.num_message_bits.item() > 0)
        sums = self._product(self.s_in.recv())
        self.a_buff = _shifted(sums, self.proc_params.get("weight_exp", 0))


class _Recorded(PyLifResetModelBitAcc):
    """Hands spikes and membrane of each step to the process's recorder, if it has one."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._recorder: Recorder | None = proc_params.get(RECORDER)

    def _record(self, spikes: np.ndarray) -> None:
        if self._recorder is not None:
            self._recorder.write(self.time_step, spikes, self.v)


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StockLif(_Recorded):
    """Lava's own bit-accurate LIFReset, recorded."""

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        """The stock reset, which comes last in a step: the state is final now."""
        super().reset_voltage(spike_vector)
        self._record(spike_vector)


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FastLif(_Recorded):
    """LIFReset in one compiled pass over the neurons."""

    def run_spk(self) -> None:
        """One step: reset if it is due, integrate, fire, reset what fired."""
        a = self.a_in.recv()
        spikes = np.empty(self.v.shape, bool)
        lif_step(
            np.ascontiguousarray(a, np.int32).reshape(-1),
            self.u.reshape(-1),
            self.v.reshape(-1),
            self.bias_mant.reshape(-1),
            self.bias_exp.reshape(-1),
            np.uint32(self.decay_unity - (int(self.du) + self.ds_offset)),
            np.uint32(self.decay_unity - (int(self.dv) + self.dm_offset)),
            int(self.vth) << self.vth_shift,
            self.time_step % self.reset_interval == self.reset_offset,
            spikes.reshape(-1),
        )
        self._record(spikes)
        self.s_out.send(spikes)


@implements(proc=GradedVec, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordedVec(PyGradedVecModelFixed):
    """Lava's own GradedVec, recorded."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._recorder: Recorder | None = proc_params.get(RECORDER)

    def run_spk(self) -> None:
        """One step: send the sum that arrived, keep nothing."""
        sums = self.a_in.recv()
        messages = sums * (np.abs(sums) > self.vth)
        if self._recorder is not None:
            self._recorder.write(self.time_step, messages, self.v)
        self.s_out.send(messages)


@implements(proc=DelaySparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FastDelaySparse(PyDelaySparseModelBitAcc):
    """Delay synapses whose matrix over all delays is made once, not at each step."""

    _over_delays: csr_matrix | None = None

    def calc_act(self, s_in: np.ndarray) -> np.ndarray:
        """Sums for each target neuron and delay, (neurons, delays)."""
        delays = self.a_buff.shape[-1]
        if self._over_delays is None:
            matrix = self.get_delay_wgts_mat(self.weights, self.delays, delays - 1)
            self._over_delays = csr_matrix(matrix)
        sums: np.ndarray = self._over_delays @ s_in.astype(np.int32)
        return sums.reshape(delays, self.weights.shape[0]).T


@implements(proc=RingBuffer, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ByteSource(AbstractPyRingBuffer):
    """Lava's own source, holding its spikes in 8 bits instead of 32."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    data: np.ndarray = LavaPyType(np.ndarray, np.uint8)


_FAST = {
    Conv: FastConv,
    DelaySparse: FastDelaySparse,
    Dense: FastDense,
    GradedVec: RecordedVec,
    LIFReset: FastLif,
    RingBuffer: ByteSource,
    Sparse: FastSparse,
}
_STOCK = {
    Conv: WideConv,
    DelaySparse: PyDelaySparseModelBitAcc,
    Dense: PyDenseModelBitAcc,
    GradedVec: RecordedVec,
    LIFReset: StockLif,
    RingBuffer: PySendModelFixed,
    Sparse: PySparseModelBitAcc,
}


def run_config(processes: Iterable[AbstractProcess], fast: bool) -> Loihi2SimCfg:
    """Lava's fixed-point simulation with our models, or with its own arithmetic throughout.

    Each process is named with its model: the compiler then leaves out its look-up, which executes
    every file beside a process's module, once for each process.
    """
    if fast:
        compile_kernels()  # before any process is forked
    models = _FAST if fast else _STOCK
    chosen = {process: models[type(process)] for process in processes}
    return Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=chosen)
