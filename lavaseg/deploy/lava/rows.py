"""Rows of relays that make the channels of a source late by different steps.

Each neuron of the source has a row, as long as its channel is late, less the last step: all rows,
or a group of them, are one LIFReset, whose synapses lead from the source to the first relay of each
row, and from each relay to the next. The last ones drive a sheet like the source's, the gathering,
from which projections go on with the weights that they have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from lavaseg.network.delays import row_groups

LINK_WEIGHT = 2
"""The least even weight: one spike passes a link's threshold of 1."""


@dataclass(frozen=True)
class Gathering:
    """Rows and what gathers them.

    Args:
        sheet: the gathering.
        helpers: all processes, `sheet` among them.
        loops: those synapses that lead from relay to relay.
    """

    sheet: AbstractProcess
    helpers: tuple[AbstractProcess, ...]
    loops: tuple[AbstractProcess, ...]


def gathered(
    source: OutPort,
    lengths: np.ndarray,
    link: Callable[[tuple[int, ...]], AbstractProcess],
    most: int | None = None,
) -> Gathering:
    """Spikes of `source` behind rows of relays.

    Args:
        source: a sheet (width, height, channels).
        lengths: relays in the row of each channel, (channels,).
        link: makes relays of a shape.
        most: relays in a group of rows, after which another one begins; None: one holds all.
    """
    sheet, places = link(source.shape), int(np.prod(source.shape[:2]))
    made: list[AbstractProcess] = [sheet]
    loops: list[AbstractProcess] = []
    for neurons in row_groups(lengths, places, most):
        each = lengths[neurons % len(lengths)]
        rows, begins = link((int(each.sum()),)), np.cumsum(each) - each
        made += [
            rows,
            _passing(source, rows.a_in, begins, neurons),
            _passing(rows.s_out, sheet.a_in, neurons, begins + each - 1),
        ]
        later = np.setdiff1d(np.arange(each.sum()), begins)
        if len(later):
            loops.append(_passing(rows.s_out, rows.a_in, later, later - 1))
    if not lengths.all():
        none = np.flatnonzero(np.tile(lengths, places) == 0)
        made.append(_passing(source, sheet.a_in, none, none))
    return Gathering(sheet, (*made, *loops), tuple(loops))


class RowsParts(NamedTuple):
    """Numbers of processes of neurons and of synapses."""

    neurons: int
    synapses: int


def rows_parts(lengths: np.ndarray) -> RowsParts:
    """How many processes `gathered` makes for rows of such lengths, all in one group."""
    synapses = 2 * int(lengths.any()) + int(not lengths.all()) + int((lengths > 1).any())
    return RowsParts(1 + int(lengths.any()), synapses)


def _passing(source: OutPort, target: InPort, to: np.ndarray, by: np.ndarray) -> Sparse:
    """Synapses from the neurons `by` of one process to `to` of another, one each."""
    shape = int(np.prod(target.shape)), int(np.prod(source.shape))
    weights = csr_matrix((np.full(len(to), LINK_WEIGHT, np.int32), (to, by)), shape)
    synapse = Sparse(weights=weights, sign_mode=SignMode.MIXED)
    source.flatten().connect(synapse.s_in)
    synapse.a_out.reshape(target.shape).connect(target)
    return synapse
