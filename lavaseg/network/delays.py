"""Plans of how spikes wait on hardware where paths differ in length or a projection has a delay.

There are two ways. Relays: neurons that pass a spike on one step later; projections that leave the
same node share their chain. Delay synapses: each synapse of a projection holds its spikes back;
they are not shared over the sheet, as weights of a convolution are. `plan` takes what needs
fewer neurons and synapses together, unless the chip has no place for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lavaseg.network.graph import Network
from lavaseg.network.grids import fan_out
from lavaseg.network.nodes import LONGEST_DELAY, Projection, Relay

MOST_AXONS = 16_000
"""Axons that reach a core of Loihi 2 (docs/loihi2.md): delay synapses, which are not shared over
the sheet, need one for each neuron of their source."""


@dataclass(frozen=True)
class DelayPlan:
    """The places where spikes wait.

    Args:
        chains: relays in a row behind each (source, delay), for the projections from `source`
            whose own delay is `delay`.
        synapses: steps that each projection with delay synapses waits in them.
        echoes: populations that send to themselves one step later, which leaves no place for a
            relay: a second population with the same input, whose last spikes of a sample are held
            back, sends it.
        channels: the channels that a chain's relays have, for chains that need not have all of
            their source.
    """

    chains: Mapping[tuple[str, int], int]
    synapses: Mapping[str, int]
    echoes: tuple[str, ...] = ()
    channels: Mapping[tuple[str, int], tuple[int, ...]] = field(default_factory=dict)

    def neurons(self, network: Network, source: str, delay: int) -> int:
        """Number of neurons of each relay of a chain."""
        channels, height, width = network.shape(source)
        kept = self.channels.get((source, delay))
        return (channels if kept is None else len(kept)) * height * width


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
    chains: dict[tuple[str, int], int] = {}
    synapses: dict[str, int] = {}
    flexible: list[tuple[Projection, int]] = []
    echoes: dict[str, None] = {}
    for projection in network.projections:
        wait = waiting(network, projection, steps)
        if wait == 0 and projection.recurrent:
            echoes[projection.source] = None
        if wait == 0 or projection.source == network.input.name:
            continue
        if not delay_synapses or projection.delay or isinstance(network[projection.source], Relay):
            key = projection.source, min(projection.delay, steps)
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
    return DelayPlan(chains, synapses, tuple(echoes), _narrow(network, chains, steps))


def _narrow(
    network: Network, chains: Mapping[tuple[str, int], int], steps: int
) -> dict[tuple[str, int], tuple[int, ...]]:
    """The channels of each chain all of whose projections see the same ones, but not all."""
    found = {}
    for source, delay in chains:
        seen = {
            p.channels
            for p in network.outgoing(source)
            if delay and min(p.delay, steps) == delay and waiting(network, p, steps)
        }
        if len(seen) == 1 and (channels := seen.pop()) is not None:
            found[source, delay] = channels
    return found


def waiting(network: Network, projection: Projection, steps: int) -> int:
    """Steps that a projection's spikes wait on hardware when a sample has `steps` steps."""
    late = projection.delay - min(projection.delay, steps)  # T or more: it never arrives
    return network.waits[projection.name] - late


def _additional(network: Network, projection: Projection) -> int:
    """Synapses that a projection needs once none of them is shared over the sheet."""
    source = network.shape(projection.source)
    connections = int(fan_out(projection.operator, source, projection.channels).sum())
    return connections - network.synapse_count(projection)
