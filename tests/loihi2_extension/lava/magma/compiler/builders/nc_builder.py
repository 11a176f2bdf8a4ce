"""The builder of processes on neuro cores."""

from loihi2_double.building import NcBuilder


class NcProcessBuilder(NcBuilder):
    """Builds a process on neuro cores."""
