"""A network as boxes and arrows: what a drawing shows, before anything has a place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lavaseg.network import Current, Network, Node, OneToOne, Population, Projection, Relay
from lavaseg.network.levels import IntegerNeurons, integer_neurons
from lavaseg.report.diagram.words import (
    Words,
    by,
    delay_words,
    integer_words,
    neuron_words,
    operator_words,
    other_words,
    usual,
)
from lavaseg.system.words import counted, shortened

Kind = Literal["input", "spikes", "integers", "rectified", "readout", "auxiliary", "sum", "relay"]
KINDS: dict[Kind, str] = {
    "input": "input",
    "spikes": "spiking neurons",
    "integers": "integer neurons",
    "rectified": "rectified units",
    "relay": "relay: sends a sum on",
    "sum": "sum of currents, without neurons",
    "readout": "read-out",
    "auxiliary": "read-out that only trains",
}
"""What each kind of box is, in the words of a legend."""
_NAMED = 4
"""Sources that a line names."""
_ONE_LINE = 44
"""Letters that a line with operator and neurons has at most."""
_LONGEST = 32
"""Letters of a name that are shown."""
_SOURCE = 20
"""The same of a source that a line names."""


@dataclass(frozen=True)
class Box:
    """One node of a network.

    Args:
        name: of the node; of integer neurons as hardware holds them, of the population they were.
        shape: (channels, height, width), in words.
        lines: operators with what they read, and neurons where they are not the usual ones.
        about: all of it, in a sentence.
    """

    name: str
    kind: Kind
    shape: str
    lines: tuple[str, ...] = ()
    about: str = ""

    @property
    def label(self) -> str:
        """The name, its middle left out where it is long."""
        return shortened(self.name, _LONGEST)


@dataclass(frozen=True)
class Arrow:
    """What one node reads of another.

    Args:
        late: how late it is, in words that stand beside it, or ''.
        about: operator and weights, in a sentence.
    """

    source: str
    target: str
    late: str = ""
    about: str = ""

    @property
    def back(self) -> bool:
        """Whether it leads from a population to itself."""
        return self.source == self.target


@dataclass(frozen=True)
class Scheme:
    """All boxes and arrows of a network, sources first.

    Args:
        title: what is drawn, such as the name of a file.
        summary: sizes of the whole.
        remark: what all boxes share that say nothing else, or ''.
        boxes: in the order of computation.
    """

    title: str
    summary: str
    remark: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of boxes that there are, in the order of a legend."""
        there = {box.kind for box in self.boxes}
        return tuple(kind for kind in KINDS if kind in there)


def scheme(
    network: Network,
    title: str,
    *,
    steps: int | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
    slots: bool = False,
    rectified: bool = False,
) -> Scheme:
    """The boxes and arrows of a network.

    Args:
        title: what is drawn.
        steps: T of a sample, where it is known.
        weights: of a network in integers, by which its integer neurons are told.
        slots: show the parts of integer neurons as hardware holds them, each as a box.
        rectified: an artificial network, which has rectified units in place of neurons.
    """
    integers = () if slots else integer_neurons(network, weights)
    made = _Maker(network, integers, rectified=rectified, deployed=weights is not None)
    boxes = [made.input(), *(made.box(node) for node in network.ordered if made.shows(node.name))]
    parts = [
        f"input {by(network.input.shape)}",
        counted(len(boxes) - 1, "node"),
        counted(network.weight_count(), "weight"),
        *([] if steps is None else [f"T = {steps}"]),
    ]
    title = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in title)
    return Scheme(title, ", ".join(parts), made.remark(), tuple(boxes), tuple(made.arrows()))


class _Maker:
    """Makes the boxes of one network, integer neurons that are in parts as one box each."""

    def __init__(
        self,
        network: Network,
        integers: Sequence[IntegerNeurons],
        *,
        rectified: bool,
        deployed: bool,
    ) -> None:
        self.network, self.rectified, self.deployed = network, rectified, deployed
        self.sheets = {item.sum: item for item in integers}
        self.called = {member: item.name for item in integers for member in item.members}
        firing = [n for n in network.nodes if self.shows(n.name) and self._fires(n)]
        self.usual = {} if rectified else usual([self._words(node) for node in firing])

    def shows(self, name: str) -> bool:
        """Whether a node has a box of its own; of the parts of integer neurons, the first has."""
        return name not in self.called or name in self.sheets

    def _fires(self, node: Node) -> bool:
        """Whether spikes leave a node; of integer neurons in parts, the first stands for all."""
        return node.name in self.sheets or (
            isinstance(node, Population) and node.threshold is not None
        )

    def remark(self) -> str:
        shared = ", ".join(self.usual.values())
        return f"Neurons that say nothing else: {shared}" if shared else ""

    def input(self) -> Box:
        sheet = self.network.input
        lines = (f"graded spikes of {sheet.message_bits} bits",) if sheet.graded else ()
        about = f"input {sheet.name}, {by(sheet.shape)}"
        return Box(sheet.name, "input", by(sheet.shape), lines, ", ".join([about, *lines]))

    def box(self, node: Node) -> Box:
        name, item = self.called.get(node.name, node.name), self.sheets.get(node.name)
        shape = by(self.network.shape(node.name))
        reads, own = self._reads(node.name), self._own(node)
        kind: Kind = "integers" if item is not None else self._kind(node)
        lines = (*reads, ", ".join(own)) if own else (*reads,)
        if len(lines) == 2 and len("; ".join(lines)) <= _ONE_LINE:
            lines = ("; ".join(lines),)
        about = ", ".join([KINDS[kind], shape, *self._words(node).values()])
        return Box(name, kind, shape, lines, f"{name}: {'; '.join([about, *reads])}")

    def _kind(self, node: Node) -> Kind:
        if isinstance(node, Relay):
            return "relay"
        if isinstance(node, Current):
            return "sum"
        if node.threshold is not None:
            if self.rectified:
                return "rectified"
            return "spikes" if node.levels is None else "integers"
        return "auxiliary" if node.name in self.network.auxiliaries else "readout"

    def _words(self, node: Node) -> Words:
        """All that can be said of a node's neurons."""
        item = self.sheets.get(node.name)
        if item is not None:
            first = self.network[item.slots[0]]
            assert isinstance(first, Population)
            return integer_words(len(item.slots), item.form, 2 * (first.threshold or 0))
        found = neuron_words(node)
        return {k: v for k, v in found.items() if k in ("norm", "bias") or not self.rectified}

    def _own(self, node: Node) -> list[str]:
        """The words of a node that are not those of all."""
        words = self._words(node)
        if not self._fires(node) or self.rectified:
            return [*words.values()]
        incoming = self.network.incoming(node.name)
        gathers = all(isinstance(p.operator, OneToOne) for p in incoming)
        return other_words(words, self.usual, gathers=gathers)

    def _reads(self, name: str) -> list[str]:
        """A line for each operator that a node reads by, with its sources and weights."""
        incoming = self._distinct(name)
        several = len({self._source(p) for p in incoming}) > 1
        if all(isinstance(p.operator, OneToOne) and not p.recurrent for p in incoming):
            return []
        groups: dict[tuple[str, bool], list[Projection]] = {}
        for p in incoming:
            words = operator_words(p.operator, self.network.shape(p.source))
            groups.setdefault((words, p.recurrent), []).append(p)
        return [self._line(words, group, several) for (words, _), group in groups.items()]

    def _line(self, words: str, group: Sequence[Projection], several: bool) -> str:
        sources = list(dict.fromkeys(self._source(p) for p in group))
        if group[0].recurrent:
            words += f" of itself, {delay_words(group[0])}"
        elif several:
            words += f" of {_listed([shortened(name, _SOURCE) for name in sources])}"
        own = [p for p in group if self.network.weight_shape(p) is not None]
        count = sum(self.network.synapse_count(p) for p in own if p.shares is None)
        shared = [shortened(p.stored_as, _SOURCE) for p in own if p.shares is not None]
        if shared and not count:
            return f"{words}, weights of {shared[0]}"
        return f"{words}, {count:,} weights" if own else words

    def _distinct(self, name: str) -> list[Projection]:
        """The projections into a node; of those that slots of one sheet share, the first."""
        found: dict[tuple[object, ...], Projection] = {}
        for p in self.network.incoming(name):
            sheet = self.called.get(p.source)
            key = (p.name,) if sheet is None else (sheet, p.stored_as, p.delay)
            found.setdefault(key, p)
        return list(found.values())

    def _source(self, projection: Projection) -> str:
        return self.called.get(projection.source, projection.source)

    def arrows(self) -> Iterable[Arrow]:
        """One arrow from node to node, those that are late beside it."""
        drawn: dict[tuple[str, str, str], list[str]] = {}
        for node in self.network.ordered:
            if not self.shows(node.name):
                continue
            target = self.called.get(node.name, node.name)
            for p in self._distinct(node.name):
                words = operator_words(p.operator, self.network.shape(p.source)) + self._waits(p)
                key = (self._source(p), target, delay_words(p))
                drawn.setdefault(key, []).append(words)
        for (source, target, late), parts in drawn.items():
            about = ", ".join([*dict.fromkeys(parts), *([late] if late else [])])
            beside = "" if source == target else late  # the box of a loop says it
            yield Arrow(source, target, beside, f"{source} to {target}: {about}")

    def _waits(self, projection: Projection) -> str:
        """How long spikes wait on hardware for those of longer paths, of a network in integers."""
        steps = self.network.lag(projection) if self.deployed and not projection.by_channel else 0
        return f", waits {counted(steps, 'step')} on hardware" if steps > 0 else ""


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} others"]
    return ", ".join(names)
