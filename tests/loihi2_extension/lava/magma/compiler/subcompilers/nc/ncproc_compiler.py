"""The compiler of processes on neuro cores, and its options."""

from lava.magma.compiler.builders.nc_builder import NcProcessBuilder
from loihi2_double.building import ChipCompiler


class CompilerOptions:
    """Switches of the compiler."""

    verbose = False
    show_resource_count = False
    log_resource_count = False


class NcProcCompiler(ChipCompiler):
    """Compiles processes on neuro cores."""

    builder = NcProcessBuilder
