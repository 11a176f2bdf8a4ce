"""The compiler of processes on embedded cores."""

from lava.magma.compiler.builders.c_builder import CProcessBuilder
from loihi2_double.building import ChipCompiler


class CProcCompiler(ChipCompiler):
    """Compiles processes on embedded cores."""

    builder = CProcessBuilder
