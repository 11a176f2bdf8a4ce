"""Convolutions on neuro cores."""

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.nc.model import AbstractNcProcessModel
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from loihi2_double.arithmetic import Convolution


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class NcModelConv(AbstractNcProcessModel):
    """Conv."""

    arithmetic = Convolution
