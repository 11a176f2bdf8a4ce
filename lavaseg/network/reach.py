"""Dilations that reach beyond their sheet, so that a kernel is smaller than it looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lavaseg.network.base import Size
from lavaseg.network.graph import Network


@dataclass(frozen=True)
class Beyond:
    """A dilated operator some of whose taps meet nothing but padding, at any place of the sheet.

    Args:
        projection: its name.
        target: node that it feeds.
        dilation, kernel: (height, width), as described.
        sheet: (height, width) that it reads.
        acts_as: (height, width) of the taps that meet a neuron somewhere.
    """

    projection: str
    target: str
    dilation: Size
    kernel: Size
    sheet: Size
    acts_as: Size


def beyond_sheet(network: Network) -> tuple[Beyond, ...]:
    """The dilated operators that act as smaller ones, from input to read-out."""
    found = []
    for node in network.ordered:
        for p in network.incoming(node.name):
            dilation: Size = getattr(p.operator, "dilation", (1, 1))
            if max(dilation) == 1:
                continue
            geometry = network.geometry(p)
            met = [len(np.unique(axis.links()[2])) for axis in (geometry.rows, geometry.columns)]
            acts_as = (met[0], met[1])
            if acts_as != geometry.kernel:
                sheet = network.shape(p.source)[1:]
                found.append(Beyond(p.name, p.target, dilation, geometry.kernel, sheet, acts_as))
    return tuple(found)


def beyond_in_words(network: Network) -> str:
    """One sentence without a full stop on `beyond_sheet`; empty where it is."""
    parts = [
        f"{b.target} (dilation {_rate(b.dilation)}, a {_by(b.kernel)} kernel on a sheet of "
        f"{_by(b.sheet)}) acts as {_by(b.acts_as)}"
        for b in beyond_sheet(network)
    ]
    if not parts:
        return ""
    return "beyond its sheet a dilated kernel meets padding alone: " + ", ".join(parts)


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _rate(dilation: Size) -> str:
    return str(dilation[0]) if dilation[0] == dilation[1] else _by(dilation)
