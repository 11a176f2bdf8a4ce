"""Neurons on neuro cores."""

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.nc.model import AbstractNcProcessModel
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF, LIFReset
from loihi2_double.arithmetic import Neurons


@implements(proc=LIF, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class NcL2ModelLif(AbstractNcProcessModel):
    """LIF."""

    arithmetic = PyLifModelBitAcc


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class NcL2ModelLifReset(AbstractNcProcessModel):
    """LIF that is reset at intervals."""

    arithmetic = Neurons
