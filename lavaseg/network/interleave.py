"""Interleaving: sheets that are too wide become narrower ones with more channels, exactly.

Column factor * j + phase of channel c becomes column j of channel factor * c + phase: space to
depth along the width, as pixel unshuffling does it along both axes. Every neuron and connection
stays; what was a column is a channel now. So nothing is computed twice, feedback and delays stay as
they are, and padding still ends where the sheet does. The kernel between two such sheets has places
without a synapse, which hold a weight of zero.

Along the columns an operator connects output o with input i where o * down = i * up + tap. With
o = t * k + q and i = s * j + p that is k * (t * down) = j * (s * up) + (tap + p * up - q * down):
another operator of that kind, unless the sheet scales by a fraction.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping

import numpy as np

from lavaseg.network.base import NetworkError
from lavaseg.network.geometry import Axis, Geometry
from lavaseg.network.graph import Network
from lavaseg.network.grids import conv_axis, fitted_conv, fitted_transpose, transposed_axis
from lavaseg.network.integers import Bias, IntegerNetwork
from lavaseg.network.levels import integer_neurons
from lavaseg.network.nodes import Population, Projection
from lavaseg.network.operators import Dense, Operator

Factors = Mapping[str, int]
"""How many channels each channel of a node becomes, by the node's name; 1: it stays."""


def interleaved(sheets: np.ndarray, factor: int) -> np.ndarray:
    """Sheets (..., C, H, W) as (..., C * factor, H, W / factor)."""
    if factor == 1:
        return sheets
    *more, channels, height, width = sheets.shape
    split = sheets.reshape(*more, channels, height, width // factor, factor)
    moved = np.moveaxis(split, -1, -3)
    return moved.reshape(*more, channels * factor, height, width // factor)


def restored(sheets: np.ndarray, factor: int) -> np.ndarray:
    """What `interleaved` was given."""
    *more, channels, height, width = sheets.shape
    split = sheets.reshape(*more, channels // factor, factor, height, width)
    moved = np.moveaxis(split, -3, -1)
    return moved.reshape(*more, channels // factor, height, width * factor)


def sends_columns(network: Network, name: str) -> bool:
    """Whether a node's spikes, or its clock's, reach neurons by their column.

    All-to-all synapses tell no columns unless the spikes wait: relays hear them one to one. The
    membrane of a read-out is not sent.
    """
    outgoing = network.outgoing(name)
    if any(not isinstance(p.operator, Dense) for p in outgoing):
        return True
    if name == network.input.name:
        return False
    node = network[name]
    waits = any(network.waits[p.name] for p in outgoing)
    return waits or (isinstance(node, Population) and node.clock)


def factors(network: Network, widest: int) -> Factors:
    """The fewest channels with which no sheet that sends columns is wider than `widest`.

    The read-out stays whole, and so does what sends no columns, if it can.

    Args:
        network: without `Current`s.

    Raises:
        NetworkError: the read-out is too wide and sends, or the sheets along a projection cannot
            both be interleaved; names it and says what to change.
    """
    if widest < 1:
        raise NetworkError(f"sheets must be allowed at least 1 column, got {widest}")
    names = (network.input.name, *(node.name for node in network.ordered))
    widths = {name: network.shape(name)[2] for name in names}
    if widths[network.readout] > widest and sends_columns(network, network.readout):
        raise NetworkError(
            f"population {network.readout!r}: the read-out has {widths[network.readout]} columns "
            f"and sends them, or its clock does; it must stay whole, so that its membrane can be "
            f"read, and {widest} columns are allowed"
        )
    failure: NetworkError | None = None
    for most in _column_counts(widths.values(), widest):
        try:
            return _assigned(network, most)
        except NetworkError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _column_counts(widths: Iterable[int], widest: int) -> list[int]:
    """Numbers of columns to try, the largest first."""
    found = {
        width // divisor
        for width in set(widths)
        for divisor in _divisors(width)
        if width // divisor <= widest
    }
    return sorted(found, reverse=True)


def _divisors(width: int) -> list[int]:
    return [n for n in range(1, width + 1) if width % n == 0]


def _assigned(network: Network, most: int) -> Factors:
    """Factors with at most `most` columns where columns are sent, sources first.

    Raises:
        NetworkError: a projection between two sheets becomes no operator.
    """
    found: dict[str, int] = {}
    together = {name: item.sum for item in integer_neurons(network) for name in item.members[1:]}
    for name in (network.input.name, *(node.name for node in network.ordered)):
        width = network.shape(name)[2]
        free = not sends_columns(network, name)
        choices = [n for n in _divisors(width) if width // n <= most or free]
        if name == network.readout:
            choices = [1]
        if name in together:  # what hands on must stay one to one
            choices = [found[together[name]]]
        incoming = () if name == network.input.name else network.incoming(name)
        for choice in choices:
            found[name] = choice
            wrong = next((p for p in incoming if not _fits(network, p, found)), None)
            if wrong is None:
                break
        else:
            assert wrong is not None
            raise NetworkError(
                f"projection {wrong.name!r} leads from {network.shape(wrong.source)[2]} to {width} "
                "columns: they cannot be interleaved alike; crop or pad the input so that widths "
                "divide without a rest"
            )
    return found


def _scaling(axis: Axis, source: int, target: int) -> tuple[int, int]:
    """By how much interleaved columns shrink and grow."""
    down, up = axis.down * target, axis.up * source
    common = math.gcd(down, up)
    return down // common, up // common


def _fits(network: Network, projection: Projection, found: Factors) -> bool:
    """Whether the projection is an operator between its interleaved sheets."""
    if isinstance(projection.operator, Dense):
        return True
    geometry = network.geometry(projection)
    down, up = _scaling(geometry.columns, found[projection.source], found[projection.target])
    return 1 in (max(down, geometry.rows.down), max(up, geometry.rows.up))


def interleave(net: IntegerNetwork, widest: int) -> tuple[IntegerNetwork, Factors]:
    """The network with no sheet that sends columns wider than `widest`, spike for spike the same.

    Its nodes keep their names; `restored` turns what a node did into the sheet that it was. Its
    encoder interleaves the input, so that it takes the same stimuli. The read-out stays whole.

    Returns:
        The network, and the factor of each of its nodes and of the input.

    Raises:
        NetworkError: as of `factors`, or the network was interleaved before.
    """
    network = net.network
    found = factors(network, widest)
    if set(found.values()) <= {1}:
        return net, found
    if net.encoder.interleave > 1:
        raise NetworkError(
            f"the network was interleaved before: interleave the original to {widest} columns"
        )
    projections, weights = [], {}
    between = {
        p.name: _between(network, p, net.weights[p.name], found)
        for p in network.projections
        if p.shares is None
    }
    for projection in network.projections:
        source, delay = found[projection.source], projection.delay
        operator, weight = between[projection.stored_as]
        if isinstance(delay, tuple):
            delay = tuple(np.repeat(delay, source).tolist())
        projections.append(dataclasses.replace(projection, operator=operator, delay=delay))
        weights[projection.name] = weight
    channels, height, width = network.input.shape
    factor = found[network.input.name]
    sheet = dataclasses.replace(network.input, shape=(channels * factor, height, width // factor))
    changed = dataclasses.replace(network, input=sheet, projections=tuple(projections))
    return (
        dataclasses.replace(
            net,
            network=changed,
            weights=weights,
            biases={
                name: Bias(np.repeat(bias.mantissa, found[name]), bias.exponent)
                for name, bias in net.biases.items()
            },
            clocks={
                name: np.repeat(clock, found[name], axis=1) for name, clock in net.clocks.items()
            },
            encoder=dataclasses.replace(net.encoder, interleave=factor),
        ),
        found,
    )


def _between(
    network: Network, projection: Projection, weight: np.ndarray, found: Factors
) -> tuple[Operator, np.ndarray]:
    """A projection's operator and weights between its interleaved sheets."""
    operator, geometry = projection.operator, network.geometry(projection)
    source, target = found[projection.source], found[projection.target]
    if source == target == 1:
        return operator, weight
    if isinstance(operator, Dense):
        return operator, interleaved(weight, source)
    if geometry.one_to_one and source == target:
        return operator, np.repeat(weight, source)
    return _fitted(geometry, geometry.expand(weight), source, target)


def _fitted(
    geometry: Geometry, form: np.ndarray, source: int, target: int
) -> tuple[Operator, np.ndarray]:
    """The operator between interleaved sheets; `form` is as `Geometry.expand` gives it."""
    rows, columns = geometry.rows, geometry.columns
    down, up = _scaling(columns, source, target)
    width, wanted = columns.size // source, columns.wanted // target
    taps = _taps(columns, source, target)
    used = Axis(width, wanted, sorted(set(taps.values())), down, up)
    connected = {used.taps[tap] for tap in set(used.links()[2].tolist())} or {0}
    grows = max(up, rows.up) > 1
    across = (transposed_axis if grows else conv_axis)(
        sorted(connected), up if grows else down, width, wanted
    )
    along = (transposed_axis if grows else conv_axis)(
        sorted(rows.taps), rows.up if grows else rows.down, rows.size, rows.wanted
    )
    groups, outputs, inputs = form.shape[:3]
    spread = np.zeros(
        (groups, outputs, target, inputs, source, along.kernel, across.kernel), form.dtype
    )
    places = [along.places[tap] for tap in rows.taps]
    for (phase, lane, x), tap in taps.items():
        if tap in connected:
            column = spread[:, :, lane, :, phase, :, across.places[tap]]
            column[..., places] = form[..., x]
    fit = fitted_transpose if grows else fitted_conv
    found = fit(groups * outputs * target, groups, along, across)
    sheet = geometry.source[0] * source, rows.size, width
    joined = spread.reshape(groups, outputs * target, inputs * source, along.kernel, across.kernel)
    return found, found.geometry(sheet).collapse(joined)


def _taps(columns: Axis, source: int, target: int) -> dict[tuple[int, int, int], int]:
    """The tap that each (phase of the input, phase of the output, place in the kernel) becomes."""
    common = math.gcd(columns.down * target, columns.up * source)
    found = {}
    for phase, lane, (x, tap) in itertools.product(
        range(source), range(target), enumerate(columns.taps)
    ):
        moved, rest = divmod(tap + phase * columns.up - lane * columns.down, common)
        if not rest:
            found[phase, lane, x] = moved
    return found
