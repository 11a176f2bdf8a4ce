"""Limits on the size of a network in a file, which bound a reader's time and memory."""

from __future__ import annotations

import dataclasses
import math

from lavaseg.errors import LavasegError
from lavaseg.network import Network

MAX_FILE = 2**31
"""Bytes of a file."""
MAX_DESCRIPTION = 2**24
"""Bytes of the JSON text."""
MAX_NODES = 2048
MAX_PROJECTIONS = 8192
MAX_NEURONS = 2**27
"""Neurons of one population; more than a hundred Loihi 2 chips hold."""
MAX_GEOMETRY = 65535
"""The largest kernel, stride, padding, dilation or factor of an operator."""


def check_count(items: object, what: str, limit: int) -> None:
    """Raise LavasegError unless `items` is a list or tuple of at most `limit` items."""
    if not isinstance(items, list | tuple) or len(items) > limit:
        raise LavasegError(f"network.{what} must be a list of at most {limit} items")


def check_limits(network: Network) -> None:
    """Refuse a network that no file may hold; writer and reader agree on it.

    Raises:
        LavasegError: too many nodes, projections or neurons, or an operator that reaches too far.
    """
    check_count(network.nodes, "nodes", MAX_NODES)
    check_count(network.projections, "projections", MAX_PROJECTIONS)
    for projection in network.projections:
        for item in dataclasses.fields(projection.operator):
            value = getattr(projection.operator, item.name)
            if isinstance(value, tuple) and max(value) > MAX_GEOMETRY:
                raise LavasegError(
                    f"projection {projection.name!r}: {item.name} {value} exceeds {MAX_GEOMETRY}"
                )
    for name, shape in network.shapes.items():
        if math.prod(shape) > MAX_NEURONS:
            raise LavasegError(
                f"population {name!r} of shape {shape} has more than {MAX_NEURONS} neurons"
            )
