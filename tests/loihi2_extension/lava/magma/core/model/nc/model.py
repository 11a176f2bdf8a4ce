"""Models of processes on neuro cores."""

from loihi2_double.onchip import OnChip


class AbstractNcProcessModel(OnChip):
    """A model that runs on neuro cores."""
