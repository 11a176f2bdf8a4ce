"""What the structure of a description must fulfil, before any shape is derived of it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from lavaseg.network.base import NetworkError
from lavaseg.network.nodes import Current, Population, Relay

if TYPE_CHECKING:
    from lavaseg.network.graph import Network

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_structure(network: Network) -> None:
    """Refuse a description whose names, delays, loops or read-outs contradict each other.

    Raises:
        NetworkError: names the first node or projection that does.
    """
    _check_names(network)
    _check_delays(network)
    _check_loops(network)
    _check_readouts(network)


def check_shared(network: Network) -> None:
    """Refuse projections that share weights which are not theirs to share.

    Raises:
        NetworkError: names the first one.
    """
    known = {p.name: p for p in network.projections}
    for p in network.projections:
        if p.shares is None:
            continue
        other = known.get(p.shares)
        if other is None or other is p or other.shares is not None:
            raise NetworkError(
                f"projection {p.name!r} shares the weights of {p.shares!r}, which is no other "
                "projection with weights of its own"
            )
        mine = p.operator, network.shapes[p.source]
        if mine != (other.operator, network.shapes[other.source]):
            raise NetworkError(
                f"projection {p.name!r} shares the weights of {p.shares!r}, which has another "
                "operator or a source of another shape"
            )


def _check_names(network: Network) -> None:
    """Refuse names that cannot be, are used twice, or that nothing has."""
    names = [network.input.name, *(node.name for node in network.nodes)]
    for kind, group in (("node", names), ("projection", [p.name for p in network.projections])):
        for name in group:
            if not _NAME.fullmatch(name):
                raise NetworkError(
                    f"{kind} name {name!r}: use letters, digits and underscores, starting "
                    "with a letter"
                )
        for name, uses in sorted(Counter(group).items()):
            if uses > 1:
                raise NetworkError(f"{kind} name {name!r} is used {uses} times")
    known = set(names)
    for projection in network.projections:
        for end in (projection.source, projection.target):
            if end not in known:
                raise NetworkError(
                    f"projection {projection.name!r}: there is no node {end!r}; the nodes are "
                    + ", ".join(names)
                )
        if projection.target == network.input.name:
            raise NetworkError(f"projection {projection.name!r} ends in the input")


def _check_delays(network: Network) -> None:
    """Refuse delays where no neuron sends."""
    relays = {node.name for node in network.nodes if isinstance(node, Relay)}
    currents = {node.name for node in network.nodes if isinstance(node, Current)}
    for projection in network.projections:
        if projection.source in relays and projection.delay:
            raise NetworkError(
                f"projection {projection.name!r} leaves the relay {projection.source!r} with a "
                f"delay of {projection.delay}: put the delay on the projections into the relay"
            )
        several = projection.by_channel or projection.learns
        if several and projection.source in currents | relays:
            raise NetworkError(
                f"projection {projection.name!r} leaves {projection.source!r}, which has no "
                "neurons: only spikes of neurons and of the input have a delay for each channel"
            )


def _check_loops(network: Network) -> None:
    """Refuse feedback to what cannot have it."""
    for node in network.nodes:
        if not any(p.recurrent for p in network.incoming(node.name)):
            continue
        if not isinstance(node, Population) or node.norm != "none":
            raise NetworkError(
                f"node {node.name!r} feeds back to itself, which only a population without "
                "batch norm can"
            )
        if node.levels is not None:
            raise NetworkError(
                f"population {node.name!r}: levels {node.levels} go with no memory from step "
                "to step, but it feeds back to itself"
            )


def _check_readouts(network: Network) -> None:
    """Refuse read-outs that are none."""
    if network.readout not in {p.name for p in network.populations}:
        raise NetworkError(f"readout {network.readout!r} is not a population of the network")
    silent = {p.name for p in network.populations if p.threshold is None}
    for name in network.auxiliaries:
        if name not in silent or name == network.readout:
            raise NetworkError(
                f"auxiliary read-out {name!r} must be another population that never fires "
                "(threshold None)"
            )
