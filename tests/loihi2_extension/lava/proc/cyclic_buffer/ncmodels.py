"""The buffer on neuro cores."""

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.nc.model import AbstractNcProcessModel
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.cyclic_buffer.process import CyclicBuffer
from loihi2_double.edges import Replay


@implements(proc=CyclicBuffer, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class NcModelCyclicBuffer(AbstractNcProcessModel):
    """CyclicBuffer."""

    arithmetic = Replay
