"""A neuro core before it is mapped: a name that Lava's mapper imports."""


class N3LogicalNeuroCore:
    """A core of Loihi 2."""
