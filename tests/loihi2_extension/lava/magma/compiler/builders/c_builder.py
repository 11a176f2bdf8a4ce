"""The builder of processes on embedded cores."""

from loihi2_double.building import CBuilder


class CProcessBuilder(CBuilder):
    """Builds a process on an embedded core."""
