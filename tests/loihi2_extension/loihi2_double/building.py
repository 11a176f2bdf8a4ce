"""Builders and sub-compilers of processes on the double's chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lava.magma.compiler.builders.interfaces import AbstractProcessBuilder
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.compiler.subcompilers.address import NcLogicalAddress
from lava.magma.compiler.subcompilers.channel_map_updater import ChannelMapUpdater
from lava.magma.compiler.subcompilers.interfaces import SubCompiler
from lava.magma.compiler.utils import LoihiIOPortInitializer, VarInitializer, VarPortInitializer
from lava.magma.core.process.ports.ports import RefPort
from lava.magma.core.process.process import AbstractProcess

from loihi2_double.onchip import OnChip
from loihi2_double.rules import check_process


@dataclass(frozen=True)
class Link:
    """A connection that stays on the chip: from a port to a port, or from a reader to a variable.

    Args:
        source, target: ids of processes.
        port, end: names of the ports; of a reader, the reference and the variable.
        reads: it reads a variable.
    """

    source: int
    port: str
    target: int
    end: str
    reads: bool


class ChipBuilder(AbstractProcessBuilder):
    """Holds what the chip needs of a process.

    Attributes:
        inner: builds the model that does the arithmetic.
        links: the connections from this process to others on the chip.
    """

    def __init__(self, process: AbstractProcess) -> None:
        super().__init__(process.model_class, process.id)
        self.inner = PyProcessBuilder(
            process.model_class.arithmetic, process.id, process.proc_params
        )
        self.links: list[Link] = []
        self.model_id, self.name = process.id, process.name
        self.host_ports: list[Any] = []
        self.neurons = max((port.size for port in process.out_ports), default=0)

    def set_csp_ports(self, csp_ports: list[Any]) -> None:
        """Ends of channels to the host: Lava's runtime gives them."""
        self.host_ports += csp_ports
        self.inner.set_csp_ports(csp_ports)

    def add_csp_port_mapping(self, port_id: str, csp_port: Any) -> None:
        """Which port is at the other end."""
        self.inner.add_csp_port_mapping(port_id, csp_port)

    def build(self) -> Any:
        """The model that does the arithmetic."""
        return self.inner.build()


class _Core:
    def __init__(self, core_id: int) -> None:
        self.l_address = NcLogicalAddress(chip_id=0, core_id=core_id)


class NcBuilder(ChipBuilder):
    """With what Lava's mapper asks of a builder of neuro cores."""

    core: ClassVar[type] = _Core

    def __init__(self, process: AbstractProcess) -> None:
        super().__init__(process)
        self.compiled_resources = [self.core(0)]
        self.io_ports: dict[str, Any] = {}
        self.var_ports: dict[str, Any] = {}
        self.addresses: list[Any] = []

    def map_to_virtual(self, addresses: list[Any]) -> None:
        """The cores that the mapper chose."""
        self.addresses = addresses


class CBuilder(ChipBuilder):
    """With what Lava's mapper asks of a builder of embedded cores."""

    def __init__(self, process: AbstractProcess) -> None:
        super().__init__(process)
        self.c_ports: dict[str, Any] = {}
        self.ref_ports: dict[str, Any] = {}


class ChipCompiler(SubCompiler):
    """Makes builders of processes on the chip, and refuses what the chip refuses."""

    builder: ClassVar[type[ChipBuilder]]

    def compile(self, channel_map: Any, partitioning: Any = None) -> Any:
        """Enter the ports of the group, as Lava's compiler of Python processes does."""
        updater = ChannelMapUpdater(channel_map)
        for process in self._proc_group:
            check_process(process)
            updater.add_src_ports(process.out_ports)
            updater.add_src_ports(process.ref_ports)
            updater.add_dst_ports(process.in_ports)
            updater.add_dst_ports(process.var_ports)
        return updater.channel_map

    def get_builders(self, channel_map: Any) -> tuple[dict[AbstractProcess, ChipBuilder], Any]:
        """A builder for each process."""
        return {p: self._build(p, channel_map) for p in self._proc_group}, channel_map

    def _build(self, process: AbstractProcess, channel_map: Any) -> ChipBuilder:
        builder = self.builder(process)
        model = process.model_class
        builder.inner.set_variables(
            [VarInitializer(v.name, v.shape, v.init, v.id) for v in process.vars]
        )
        ports = []
        for port in [*process.in_ports, *process.out_ports]:
            initializer = LoihiIOPortInitializer(
                port.name,
                port.shape,
                getattr(model, port.name).d_type,
                type(port).__name__,
                self._compile_config["pypy_channel_size"],
                port.get_incoming_transform_funcs(),
            )
            ports.append(initializer)
            channel_map.set_port_initializer(port, initializer)
        builder.inner.set_py_ports(ports)
        for port in process.ref_ports:
            initializer = LoihiIOPortInitializer(port.name, port.shape, int, "RefPort", 0, None)
            channel_map.set_port_initializer(port, initializer)
        for port in process.var_ports:
            dtype = getattr(model, port.var.name).d_type
            channel_map.set_port_initializer(
                port,
                VarPortInitializer(port.name, port.shape, port.var.name, dtype, "VarPort", 0, None),
            )
        for pair in list(channel_map):
            if pair.src.process is process and issubclass(pair.dst.process.model_class, OnChip):
                reads = isinstance(pair.src, RefPort)
                end = pair.dst.var.name if reads else pair.dst.name
                target = pair.dst.process.id
                builder.links.append(Link(process.id, pair.src.name, target, end, reads))
        return builder
