"""A network where Python or a notebook shows it: what it is in a line, its layers in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.network.nodes import Population
from lavaseg.system.shown import by, html_table
from lavaseg.system.words import counted

if TYPE_CHECKING:
    from lavaseg.network.graph import Network


def in_brief(network: Network) -> str:
    """Input, populations, read-out and weights, in one line."""
    spiking = sum(population.threshold is not None for population in network.populations)
    readout = f"read-out {network.readout!r} {by(network.shape(network.readout))}"
    return (
        f"input {by(network.input.shape)}, {counted(spiking, 'spiking population')}, {readout}, "
        f"{counted(network.weight_count(), 'weight')}"
    )


def html(network: Network, title: str) -> str:
    """A table of the layers, in the order of computation."""
    rows = []
    for node in network.ordered:
        incoming = network.incoming(node.name)
        threshold = node.threshold if isinstance(node, Population) else None
        weights = sum(network.synapse_count(p) for p in incoming if network.weight_shape(p))
        sources = ", ".join(f"{p.operator.kind} of {p.source}" for p in incoming)
        shape = by(network.shape(node.name))
        fires = "-" if threshold is None else f"{threshold:g}"
        rows.append((node.name, sources, shape, fires, f"{weights:,}"))
    columns = ["layer", "computed by", "channels x height x width", ">threshold", ">weights"]
    return html_table(title, columns, rows)
