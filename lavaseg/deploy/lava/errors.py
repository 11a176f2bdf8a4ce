"""The error of networks and runs that fail on Lava."""

from __future__ import annotations

from lavaseg.errors import LavasegError


class LavaError(LavasegError):
    """A network that cannot be put on Lava yet, or a Lava run that failed."""
