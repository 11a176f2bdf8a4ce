"""Integer neurons as hardware holds them: a relay that sums, slots that fire, a relay that adds.

Export makes them of a population with levels (`lavaseg/export/lowering/levels.py`), and they are
found here again by what they are, in any network: the description keeps no second record of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lavaseg.network.graph import Network
from lavaseg.network.nodes import Population, Projection, Relay
from lavaseg.network.operators import OneToOne

Form = Literal["binary", "graded"]
FORMS: tuple[Form, ...] = ("binary", "graded")
SUM = "_sum"
"""What the name of the relay that sums ends in."""


@dataclass(frozen=True)
class IntegerNeurons:
    """A sheet of integer neurons, as hardware holds it.

    Args:
        sum: the relay that sums all input currents.
        slots: D memoryless populations, the lowest threshold first. As many of them spike as the
            integer says.
        relays: those that add the slots to one graded message, one for each delay behind them;
            empty where the next projections read the slots themselves.
    """

    sum: str
    slots: tuple[str, ...]
    relays: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the population that it was."""
        return self.relays[0] if self.relays else self.sum.removesuffix(SUM)

    @property
    def form(self) -> Form:
        """How it sends its integers."""
        return "graded" if self.relays else "binary"

    @property
    def members(self) -> tuple[str, ...]:
        """All of its nodes, the sum first."""
        return self.sum, *self.slots, *self.relays


def integer_neurons(
    network: Network, weights: Mapping[str, np.ndarray] | None = None
) -> tuple[IntegerNeurons, ...]:
    """All sheets of integer neurons of a network, in the order of its nodes.

    Args:
        weights: of its projections. Without them, a relay that multiplies what slots send one to
            one is taken for one that adds them up.
    """
    outgoing: dict[str, list[Projection]] = {}
    for projection in network.projections:
        outgoing.setdefault(projection.source, []).append(projection)
    sums = {
        node.name: slots
        for node in network.nodes
        if isinstance(node, Relay)
        and len(slots := _slots(network, outgoing.get(node.name, ()))) > 1
    }
    found = []
    for name, slots in sums.items():
        leaving = outgoing.get(slots[0], ())
        adds = all(p.target not in sums and _hands_on(p, weights) for p in leaving)
        relays = _relays(network, slots, leaving) if adds else ()
        found.append(IntegerNeurons(name, slots, relays))
    return tuple(found)


def _hands_on(projection: Projection, weights: Mapping[str, np.ndarray] | None) -> bool:
    return weights is None or bool((weights[projection.name] == 1).all())


def _slots(network: Network, leaving: Sequence[Projection]) -> tuple[str, ...]:
    """The populations behind a relay, if they are the slots of integer neurons; else none."""
    slots = []
    for p in leaving:
        node = network[p.target]
        plain = isinstance(p.operator, OneToOne) and p.delay == 0
        if not plain or not isinstance(node, Population) or not _is_slot(network, node):
            return ()
        slots.append(node)
    thresholds = [float(slot.threshold or 0) for slot in slots]
    spaced = all(t == (2 * k + 1) * thresholds[0] for k, t in enumerate(thresholds))
    alike = len({(slot.bias, slot.clock) for slot in slots}) == 1
    shared = len({p.stored_as for p in leaving}) == 1
    return tuple(slot.name for slot in slots) if spaced and alike and shared else ()


def _is_slot(network: Network, node: Population) -> bool:
    plain = node.memoryless and node.reset == "hard" and node.norm == "none"
    return plain and node.threshold is not None and len(network.incoming(node.name)) == 1


def _relays(
    network: Network, slots: tuple[str, ...], leaving: Sequence[Projection]
) -> tuple[str, ...]:
    """The relays that read all slots alike and nothing else, if they read all that slots send."""
    found = []
    for p in leaving:
        node, incoming = network[p.target], network.incoming(p.target)
        one = isinstance(p.operator, OneToOne)
        sources = tuple(other.source for other in incoming)
        shared = len({(other.stored_as, other.delay) for other in incoming}) == 1
        if not (isinstance(node, Relay) and one and shared and sources == slots):
            return ()
        found.append(p.target)
    return tuple(found)


def refolded(network: Network, weights: Mapping[str, np.ndarray] | None = None) -> Network:
    """The description in which unrolled integer neurons are populations with levels again.

    Those whose slots are not all read alike are left as they are.

    Args:
        weights: as of `integer_neurons`.
    """
    changed = {node.name: node for node in network.nodes}
    projections = {p.name: p for p in network.projections}
    for item in integer_neurons(network, weights):
        first, taken = network[item.slots[0]], changed.keys() - {*item.members}
        assert isinstance(first, Population)
        if len({_read_by(network, slot) for slot in item.slots}) > 1:
            continue
        name = item.sum if item.name in taken else item.name
        for member in item.members:
            del changed[member]
        changed[name] = dataclasses.replace(
            first, name=name, threshold=2 * (first.threshold or 0), levels=len(item.slots)
        )
        delays = {r: network.incoming(r)[0].delay for r in item.relays}
        for p in [*projections.values()]:
            inside = p.target in (*item.slots, *item.relays)
            if inside or p.source in item.slots[1:]:
                del projections[p.name]
                continue
            if p.target == item.sum:
                p = dataclasses.replace(p, target=name)
            if p.source in (item.slots[0], *item.relays):
                p = dataclasses.replace(p, source=name, delay=delays.get(p.source, p.delay))
            projections[p.name] = p
    return dataclasses.replace(
        network, nodes=tuple(changed.values()), projections=tuple(projections.values())
    )


def _read_by(network: Network, slot: str) -> frozenset[tuple[object, ...]]:
    """What reads a slot: targets, weights and delays."""
    return frozenset((p.target, p.stored_as, p.delay) for p in network.outgoing(slot))


def incoming_by_weights(network: Network, name: str) -> tuple[tuple[Projection, ...], ...]:
    """The projections into a node, those that share weights and delay together.

    What their sources send can be added up before it passes the weights, once.
    """
    found: dict[tuple[object, ...], list[Projection]] = {}
    for p in network.incoming(name):
        found.setdefault((p.stored_as, p.delay, p.recurrent), []).append(p)
    return tuple(map(tuple, found.values()))


def forms_in_words(sheets: Iterable[IntegerNeurons]) -> str:
    """Which integer neurons send their integers how, in words; empty where there are none."""
    found: dict[tuple[Form, int], list[str]] = {}
    for item in sheets:
        found.setdefault((item.form, len(item.slots)), []).append(item.name)
    parts = []
    for (form, levels), names in found.items():
        how = f"as spikes of {levels} slots" if form == "binary" else (
            f"as one graded spike of {levels.bit_length()} bits"
        )  # fmt: skip
        parts.append(f"{how} from {', '.join(names)}")
    return "; ".join(parts)


def slots_of(name: str, levels: int) -> tuple[str, ...]:
    """The names of the slots of a population with more than one level, unless others have them."""
    return tuple(f"{name}_{k}" for k in range(1, levels + 1))
