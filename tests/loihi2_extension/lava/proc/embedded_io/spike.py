"""Spikes between host and chip."""

from __future__ import annotations

from typing import Any

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.c.model import CLoihiProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import LMT
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.io.encoder import Compression


class _SpikeAdapter(AbstractProcess):
    def __init__(self, *, shape: tuple[int, ...], **options: Any) -> None:
        bits = options["num_message_bits"]
        if not 0 <= bits <= 32:
            raise ValueError(f"num_message_bits {bits} is not 0 to 32")
        super().__init__(shape=shape, **options)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class PyToNxAdapter(_SpikeAdapter):
    """Spikes from the host into synapses that are a matrix."""

    def __init__(self, shape: tuple[int, ...], num_message_bits: int = 0) -> None:
        super().__init__(shape=shape, num_message_bits=num_message_bits)


class PyToN3ConvAdapter(_SpikeAdapter):
    """Spikes from the host into a convolution."""

    def __init__(
        self,
        shape: tuple[int, ...],
        num_message_bits: int = 0,
        spike_exp: int = 0,
        compression: Compression = Compression.DENSE,
    ) -> None:
        if not isinstance(compression, Compression):
            raise TypeError(f"compression {compression!r} is no Compression")
        if len(shape) != 3:
            raise ValueError(f"shape {shape} is not (width, height, channels)")
        super().__init__(
            shape=shape,
            num_message_bits=num_message_bits,
            spike_exp=spike_exp,
            compression=compression,
        )


class NxToPyAdapter(_SpikeAdapter):
    """Spikes from the chip to the host."""

    def __init__(self, shape: tuple[int, ...], num_message_bits: int = 0) -> None:
        super().__init__(shape=shape, num_message_bits=num_message_bits)


# after the processes that they implement
from loihi2_double.edges import FromHost, ToHost  # noqa: E402


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(LMT)
@tag("fixed_pt")
class CPyToNxModel(CLoihiProcessModel):
    """PyToNxAdapter."""

    arithmetic = FromHost


@implements(proc=PyToN3ConvAdapter, protocol=LoihiProtocol)
@requires(LMT)
@tag("fixed_pt")
class CPyToN3ConvModel(CLoihiProcessModel):
    """PyToN3ConvAdapter."""

    arithmetic = FromHost


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(LMT)
@tag("fixed_pt")
class CNxToPyModel(CLoihiProcessModel):
    """NxToPyAdapter."""

    arithmetic = ToHost
