"""States of neurons from the chip to the host."""

from __future__ import annotations

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.c.model import CLoihiProcessModel
from lava.magma.core.process.ports.ports import OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import LMT
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Read(AbstractProcess):
    """Reads a variable once each interval and sends it in the step after.

    Args:
        shape: that of the variable.
        interval: steps.
        offset: step of the interval, from 0.
    """

    def __init__(self, shape: tuple[int, ...], interval: int = 1, offset: int = 0) -> None:
        if interval < 1:
            raise ValueError(f"interval {interval} is not 1 or more")
        super().__init__(shape=shape, interval=interval, offset=offset % interval)
        self.state, self.out = RefPort(shape=shape), OutPort(shape=shape)

    def connect_var(self, var: Var) -> None:
        """Choose the variable."""
        if tuple(var.shape) != tuple(self.state.shape):
            raise ValueError(f"a reader of {self.state.shape} cannot read {var.shape}")
        self.state.connect_var(var)


class ReadConv(Read):
    """`Read` for neurons behind convolutions."""

    def __init__(self, shape: tuple[int, ...], interval: int = 1, offset: int = 0) -> None:
        if len(shape) != 3:
            raise ValueError(f"shape {shape} is not (width, height, channels)")
        super().__init__(shape, interval, offset)


# after the processes that they implement
from loihi2_double.edges import Reader  # noqa: E402


@implements(proc=Read, protocol=LoihiProtocol)
@requires(LMT)
@tag("fixed_pt")
class CReadModel(CLoihiProcessModel):
    """Read."""

    arithmetic = Reader


@implements(proc=ReadConv, protocol=LoihiProtocol)
@requires(LMT)
@tag("fixed_pt")
class CReadConvModel(CLoihiProcessModel):
    """ReadConv."""

    arithmetic = Reader
