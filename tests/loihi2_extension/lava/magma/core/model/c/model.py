"""Models of processes on the embedded cores."""

from loihi2_double.onchip import OnChip


class AbstractCProcessModel(OnChip):
    """A model that runs on an embedded core."""


class CLoihiProcessModel(AbstractCProcessModel):
    """A model on an embedded core that keeps to Loihi's phases."""
