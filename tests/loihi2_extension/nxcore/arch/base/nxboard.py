"""What all boards have in common."""


class NxBoard:
    """A board."""
