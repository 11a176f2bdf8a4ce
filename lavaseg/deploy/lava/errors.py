"""The error of everything that Lava does not do."""

from __future__ import annotations

from lavaseg.errors import LavasegError


class LavaError(LavasegError):
    """A network that cannot be put on Lava yet, or a Lava run that failed."""
