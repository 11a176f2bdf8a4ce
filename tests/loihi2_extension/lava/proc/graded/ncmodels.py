"""Relays of graded spikes on neuro cores."""

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.nc.model import AbstractNcProcessModel
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.graded.process import GradedVec
from loihi2_double.arithmetic import GradedNeurons


@implements(proc=GradedVec, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class NcModelGradedVec(AbstractNcProcessModel):
    """GradedVec."""

    arithmetic = GradedNeurons
