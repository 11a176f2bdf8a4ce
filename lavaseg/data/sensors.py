"""Sensors of recordings: the size that a file says, held against the size that is asked for."""

from __future__ import annotations

from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.network import Size


def agreed(path: Path, own: Size | None, asked: Size | None) -> Size:
    """The sensor of a file that may or may not say it."""
    if own is None and asked is None:
        raise LavasegError(f"{path} does not say how large its sensor is: give (height, width)")
    if own is not None and asked is not None and own != tuple(asked):
        raise LavasegError(
            f"{path} is of a sensor of {own[0]} x {own[1]} pixels, expected "
            f"{asked[0]} x {asked[1]} (height x width)"
        )
    found = own or asked
    assert found is not None
    return found[0], found[1]
