"""Finds the residual blocks of a network: where each begins, where it ends, what lies between."""

from __future__ import annotations

from dataclasses import dataclass

from lavaseg.network import Current, Network, OneToOne


@dataclass(frozen=True)
class ResidualBlock:
    """A part of a network from one residual stream to the next.

    Args:
        begin, end: currents, the stream before and behind the block.
        identity: whether the stream before is a part of the one behind.
    """

    begin: str
    end: str
    identity: bool

    @property
    def stage(self) -> str:
        """Its name without its number: blocks of one stage follow each other."""
        stage, _, number = self.end.rpartition("_")
        return stage if number.isdigit() else self.end


def residual_blocks(network: Network) -> tuple[ResidualBlock, ...]:
    """The blocks of a network, from input to read-out.

    A block ends in a sum of currents: that of its branches and the stream that they begin at, or,
    in a network that was built without identities, of currents called as the sum with `_branch`
    behind it.
    """
    before: dict[str, set[str]] = {network.input.name: set()}
    found = []
    for node in network.ordered:
        sources = [p.source for p in network.incoming(node.name) if not p.recurrent]
        before[node.name] = {*sources}.union(*(before[source] for source in sources))
        if not _sums_currents(network, node.name):
            continue
        streams = [s for s in sources if any(s in before[other] for other in sources)]
        if streams:
            found.append(ResidualBlock(streams[0], node.name, True))
        elif all(source.startswith(f"{node.name}_branch") for source in sources):
            begin = _stream_before(network, sources[0])
            if begin is not None:
                found.append(ResidualBlock(begin, node.name, False))
    return tuple(found)


def _sums_currents(network: Network, name: str) -> bool:
    """Whether a node is a plain sum of currents."""
    return isinstance(network[name], Current) and all(
        isinstance(p.operator, OneToOne)
        and p.source != network.input.name
        and isinstance(network[p.source], Current)
        for p in network.incoming(name)
    )


def _stream_before(network: Network, branch: str) -> str | None:
    """The current at which a branch begins, along the first projection into each node; or None."""
    name = branch
    while True:
        first = network.incoming(name)
        name = first[0].source
        if name == network.input.name:
            return None
        if isinstance(network[name], Current):
            return name


def inner_nodes(network: Network, block: ResidualBlock) -> frozenset[str]:
    """Nodes on a path from a block's beginning, which is none of them, to its end, which is."""
    reached = {block.begin}
    for node in network.ordered:
        if any(p.source in reached for p in network.incoming(node.name) if not p.recurrent):
            reached.add(node.name)
    reached.discard(block.begin)
    needed, waiting = set(), [block.end]
    while waiting:
        name = waiting.pop()
        if name in reached and name not in needed:
            needed.add(name)
            waiting += [p.source for p in network.incoming(name)]
    return frozenset(needed)
