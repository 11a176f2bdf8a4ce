"""The arithmetic of models on the double's chip: Lava's own, bit-accurate."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.conv.process import Conv
from lava.proc.dense.models import PyDenseModelBitAcc
from lava.proc.dense.process import Dense
from lava.proc.graded.models import PyGradedVecModelFixed
from lava.proc.graded.process import GradedVec
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.models import PySparseModelBitAcc
from lava.proc.sparse.process import Sparse

from loihi2_double.lags import lag


@implements(proc=LIFReset, protocol=LoihiProtocol)
class Neurons(PyLifResetModelBitAcc):
    """LIFReset; its clock may be ahead."""

    def run_spk(self) -> None:
        """One step."""
        self.time_step += lag("reset")
        super().run_spk()


@implements(proc=Conv, protocol=LoihiProtocol)
class Convolution(PyConvModelFixed):
    """Conv, with its geometry in 32 bits: Lava's model holds it in 8."""

    kernel_size: np.ndarray = LavaPyType(np.ndarray, np.int32)
    stride: np.ndarray = LavaPyType(np.ndarray, np.int32)
    padding: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dilation: np.ndarray = LavaPyType(np.ndarray, np.int32)
    groups: np.ndarray = LavaPyType(np.ndarray, np.int32)
    a_buf: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)


@implements(proc=Dense, protocol=LoihiProtocol)
class DenseSynapses(PyDenseModelBitAcc):
    """Dense."""

    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=16)


@implements(proc=Sparse, protocol=LoihiProtocol)
class SparseSynapses(PySparseModelBitAcc):
    """Sparse."""

    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=16)


@implements(proc=GradedVec, protocol=LoihiProtocol)
class GradedNeurons(PyGradedVecModelFixed):
    """GradedVec."""
