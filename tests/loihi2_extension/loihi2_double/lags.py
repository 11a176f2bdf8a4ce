"""Steps that the double's adapters and buffers take; environment variables change them."""

from __future__ import annotations

import os

DEFAULTS = {"conv": 1, "dense": 1, "buffer": 0, "spikes": 1, "reset": 0, "read": 0}
"""Adapters from the host into convolutions and into matrices, the cyclic buffer, spikes to the
host, the clock of resets, the clock of state readers. Public code says 1 of the first alone."""


def lag(name: str) -> int:
    """Steps of one part, as `LOIHI2_DOUBLE_<NAME>` or `DEFAULTS` say."""
    return int(os.environ.get(f"LOIHI2_DOUBLE_{name.upper()}", DEFAULTS[name]))
