"""Plans of how spikes wait on hardware where paths differ in length or a projection has a delay.

There are two ways. Relays: neurons that pass a spike on one step later; projections that leave the
same node share their chain. Delay synapses: each synapse of a projection holds its spikes back;
they are not shared over the sheet, as weights of a convolution are. `plan` takes what needs
fewer neurons and synapses together, unless the chip has no place for it.

A projection whose channels differ in delay waits in one of these ways, too: in synapses behind one
sheet of relays, the gate, which lets no spike pass that would arrive after the sample; or in a row
of relays for each neuron, whose last ones make up a sheet again, the gathering, which is the gate.
Behind either the weights stand once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lavaseg.network.graph import Network
from lavaseg.network.grids import fan_out
from lavaseg.network.nodes import LONGEST_DELAY, Projection, Relay

MOST_AXONS = 16_000
"""Axons that reach a core of Loihi 2 (docs/loihi2.md): delay synapses, which are not shared over
the sheet, need one for each neuron of their source."""
MOST_RELAYS = 2_000
"""Relays of rows that are one process on a chip: they hear one another by lists of axons, which
every core of a process holds all of, so that each group is to fit one core."""

Delay = int | tuple[int, ...]
"""Steps that all channels of a source are late, or each of them."""
Chain = tuple[str, Delay]
"""A source, and the own delay of the projections that its chain of relays serves."""


@dataclass(frozen=True)
class Rows:
    """Rows of relays, one for each neuron of a source, as long as its channel is late.

    Args:
        lag: steps that the gathering behind them is late beyond the delay of each channel.
        links: sheets of relays, the gathering the first: projections with longer lags tap later.
    """

    lag: int
    links: int

    def lengths(self, delays: tuple[int, ...]) -> np.ndarray:
        """Relays in front of the gathering for each channel, int (C,)."""
        return np.array(delays) + self.lag - 1


def row_groups(lengths: np.ndarray, places: int, most: int | None) -> list[np.ndarray]:
    """The neurons whose rows are one group of relays; those without a row are left out.

    Args:
        lengths: relays in the row of each channel, (C,).
        places: neurons of a channel; neurons are numbered place by place.
        most: relays in a group, after which the next row begins another one; None: any number.
    """
    each = np.tile(lengths, places)
    long = np.flatnonzero(each)
    if most is None or not len(long):
        return [long] if len(long) else []
    begins = (np.cumsum(each) - each)[long] // most
    return np.split(long, np.flatnonzero(np.diff(begins)) + 1)


@dataclass(frozen=True)
class DelayPlan:
    """The places where spikes wait.

    Args:
        chains: relays in a row behind each (source, delay), for the projections from `source`
            whose own delay is `delay`; where that is one for each channel, the first is the gate.
        synapses: steps that each projection with delay synapses waits in them; one number, or one
            for each channel.
        echoes: populations that send to themselves one step later, which leaves no place for a
            relay: a second population with the same input, whose last spikes of a sample are held
            back, sends it.
        rows: of each (source, delays) whose channels wait in relays.
    """

    chains: Mapping[Chain, int]
    synapses: Mapping[str, Delay]
    echoes: tuple[str, ...] = ()
    rows: Mapping[Chain, Rows] = field(default_factory=dict)

    def relays(self, network: Network, chain: Chain) -> int:
        """Neurons that make the spikes of a chain or of rows wait."""
        source, delay = chain
        neurons = network.neurons(source)
        if chain not in self.rows:
            return self.chains[chain] * neurons
        rows, (channels, *_) = self.rows[chain], network.shape(source)
        assert isinstance(delay, tuple)
        return rows.links * neurons + int(rows.lengths(delay).sum()) * (neurons // channels)


def plan(network: Network, steps: int, *, delay_synapses: bool = True) -> DelayPlan:
    """The cheapest way for every projection of a network without `Current`s.

    A chain of w relays takes w neurons and w synapses for each neuron of its source. Delay
    synapses take as many synapses as the projection has connections, less those that it would
    store anyway: none more for a dense projection. A projection with a delay of its own always
    uses relays, since its last spikes of a sample must be held back (a clock does that at the
    first relay), and so does one that waits longer than a synapse can. Spikes of the input need
    neither: they are played later.

    Args:
        steps: T of one sample; a delay of T or more is a delay of T.
        delay_synapses: False where synapses cannot hold spikes back: relays everywhere.
    """
    chains: dict[Chain, int] = {}
    synapses: dict[str, Delay] = {}
    rows: dict[Chain, Rows] = {}
    flexible: list[tuple[Projection, int]] = []
    echoes: dict[str, None] = {}
    for projection in network.projections:
        if projection.source == network.input.name:
            continue
        if projection.by_channel:
            _plan_channels(network, projection, steps, delay_synapses, chains, synapses, rows)
            continue
        wait = waiting(network, projection, steps)
        if wait == 0 and projection.recurrent:
            echoes[projection.source] = None
        if wait == 0:
            continue
        if not delay_synapses or projection.delay or isinstance(network[projection.source], Relay):
            key = projection.source, projection.within(steps)
            chains[key] = max(chains.get(key, 0), wait)
        else:
            flexible.append((projection, wait))
    # the longest waits first: where they need a chain, the others tap it for nothing
    for projection, wait in sorted(flexible, key=lambda item: -item[1]):
        key = projection.source, 0
        missing = wait - chains.get(key, 0)
        neurons = network.neurons(projection.source)
        cheaper = 2 * missing * neurons <= _additional(network, projection)
        if cheaper or neurons > MOST_AXONS or wait > LONGEST_DELAY:
            chains[key] = max(chains.get(key, 0), wait)
        else:
            synapses[projection.name] = wait
    return DelayPlan(chains, synapses, tuple(echoes), rows)


def _plan_channels(
    network: Network,
    projection: Projection,
    steps: int,
    delay_synapses: bool,
    chains: dict[Chain, int],
    synapses: dict[str, Delay],
    rows: dict[Chain, Rows],
) -> None:
    """Where the spikes of a projection wait whose channels differ in delay."""
    delays, lag = projection.within(steps), network.lag(projection)
    assert isinstance(delays, tuple)
    key, neurons = (projection.source, delays), network.neurons(projection.source)
    channels = network.shape(projection.source)[0]
    waits = np.array(delays) + lag
    gates = max(1, int(waits.max()) - LONGEST_DELAY)
    relays = int((waits - 1).sum()) * (neurons // channels)
    cheaper = 2 * relays <= _additional(network, projection)
    if not delay_synapses or cheaper or neurons > MOST_AXONS or gates > waits.min():
        found = rows.get(key, Rows(lag, 1))
        least = min(found.lag, lag)
        rows[key] = Rows(least, max(found.lag + found.links, lag + 1) - least)
    else:
        chains[key] = max(chains.get(key, 0), gates)
        synapses[projection.name] = tuple((waits - gates).tolist())


def waiting(network: Network, projection: Projection, steps: int) -> int:
    """Steps that a projection's spikes wait on hardware when a sample has `steps` steps.

    Those of its latest channel, where channels differ in delay.
    """
    late = projection.longest - min(projection.longest, steps)  # T or more: it never arrives
    return network.waits[projection.name] - late


def _additional(network: Network, projection: Projection) -> int:
    """Synapses that a projection needs once none of them is shared over the sheet."""
    connections = int(fan_out(projection.operator, network.shape(projection.source)).sum())
    return connections - network.synapse_count(projection)
