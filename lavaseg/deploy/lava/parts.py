"""How many processes and channels a network's graph has, counted without making them.

Lava takes half a minute to make the processes of a network of two hundred layers, and what the
machine lacks for them is to be said at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lavaseg.deploy.lava.rows import RowsParts, rows_parts
from lavaseg.network import Projection
from lavaseg.network.delays import Chain, Delay, Rows, plan
from lavaseg.network.integers import IntegerNetwork


class Parts(NamedTuple):
    """Numbers of Lava's processes, and of the channels between them."""

    processes: int
    channels: int


def count_parts(net: IntegerNetwork) -> Parts:
    """What `lavaseg/deploy/lava/graph.py` makes of a network."""
    network, delays = net.network, plan(net.network, net.steps)
    played = {p.name: _played(net, p) for p in network.outgoing(network.input.name)}
    sources = set(played.values())
    links = sum(delays.chains.values())
    held = len(delays.echoes) + sum(delay != 0 for _, delay in delays.chains) + len(delays.rows)
    rows = [_rows(*item) for item in delays.rows.items()]
    clocks = len(net.clocks)
    beats = clocks + sum(name in net.clocks for name in delays.echoes)  # an echo hears it, too
    into_echoes = sum(len(network.incoming(name)) for name in delays.echoes)
    synapses = len(network.projections) + into_echoes + links + held + beats
    synapses += _joins(net, played, sources) + sum(part.synapses for part in rows)
    others = len(sources) + len(network.nodes) + len(delays.echoes) + links + held + clocks
    others += sum(part.neurons for part in rows)
    return Parts(synapses + others, 2 * synapses)  # one channel into each synapse, one out of it


Played = tuple[Delay, int]
"""Which source plays the input to a projection: steps of its delay, and those its path is short."""


def _played(net: IntegerNetwork, projection: Projection) -> Played:
    return projection.within(net.steps), net.network.lag(projection)


def _rows(chain: Chain, rows: Rows) -> RowsParts:
    """The parts of rows of relays and of the links that follow their gathering."""
    _, delays = chain
    assert isinstance(delays, tuple)
    found = rows_parts(rows.lengths(delays))
    return RowsParts(found.neurons + rows.links - 1, found.synapses + rows.links - 1)


def _joins(net: IntegerNetwork, played: Mapping[str, Played], sources: Set[Played]) -> int:
    """Synapse processes without synapses, which join what one source does not reach."""
    network = net.network
    names: list[object] = [*sources, *(node.name for node in network.nodes)]
    place = {name: index for index, name in enumerate(names)}
    edges = [(place[played.get(p.name, p.source)], place[p.target]) for p in network.projections]
    rows, columns = np.array(edges, int).reshape(-1, 2).T
    shape = (len(names), len(names))
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=shape)
    return int(connected_components(graph, directed=False)[0]) - 1
