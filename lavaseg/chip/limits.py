"""Limits of Loihi 2 and its compiler that a network may break, each with what mends it.

What a number may be is refused wherever an integer network is made (`lavaseg/network/integers.py`,
`lavaseg/network/ranges.py`). Here are the limits of a whole network, most of which give no error
message on the chip. They come from public notebooks, logs and reports; none was tried on a chip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from lavaseg.chip.boards import BOARDS, Board
from lavaseg.chip.known import (
    LARGEST_COMPILED,
    LARGEST_OLD,
    LIMITS,
    LINK_RATES,
    QUICK_STEP,
    WIDEST,
)
from lavaseg.chip.mapping import Mapping, map_net
from lavaseg.chip.period import padded
from lavaseg.chip.profiles import TITLES
from lavaseg.errors import LavasegError
from lavaseg.network.graph import Network
from lavaseg.network.integers import IntegerNetwork, RangeError
from lavaseg.network.interleave import factors, sends_columns
from lavaseg.network.nodes import Relay
from lavaseg.network.operators import Dense
from lavaseg.network.ranges import check_loops, check_ranges

Severity = Literal["refuses", "warns", "repaired"]


@dataclass(frozen=True)
class Finding:
    """A limit that a network meets.

    Args:
        kind: the limit, a key of `LIMITS`.
        layer: the node, projection or part that it concerns.
        number: what it has.
        limit: what is allowed.
        severity: "refuses": exactness or the compilation ends there; "warns": nobody knows, or it
            costs time; "repaired": done by what runs the network.
        remedy: what to do, or what is done.
    """

    kind: str
    layer: str
    number: int | str
    limit: int | str
    severity: Severity
    remedy: str

    @property
    def source(self) -> str:
        """The public text that the limit comes from."""
        return LIMITS[self.kind].source

    def __str__(self) -> str:
        return f"{self.layer}: {self.number}; the limit is {self.limit}: {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "source": self.source}


Described = Network | IntegerNetwork


def find_limits(
    net: Described,
    mapping: Mapping | None = None,
    *,
    board: Board | None = None,
    steps: int | None = None,
) -> tuple[Finding, ...]:
    """Every limit that a network meets, in the order of `LIMITS`.

    Args:
        net: an integer network, or a description without `Current`s.
        mapping: how it lies on the chip; made with the newest compiler's profile if left out.
        board: where it is to run; by default the smallest that holds it.
        steps: T, of a description; an integer network has its own.

    Raises:
        LavasegError: the description has a `Current`.
    """
    network = net.network if isinstance(net, IntegerNetwork) else net
    if isinstance(net, IntegerNetwork):
        steps = net.steps
    if mapping is None:
        mapping = map_net(net) if steps is None else map_net(net, steps=steps)
    found: list[Finding] = []
    if steps is not None:
        found += _reset_interval(steps)
    found += _columns(network)
    found += _convolutions(network, mapping.profile.name)
    if isinstance(net, IntegerNetwork):
        found += _ranges(net)
    found += _cores(mapping, board)
    found += _port_views(network)
    found += _host_processes(network)
    found += _host_input(network)
    return tuple(found)


def legal(findings: Iterable[Finding]) -> bool:
    """Whether nothing is refused."""
    return all(finding.severity != "refuses" for finding in findings)


def grouped(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with one remark where several layers have the same: their names in a row."""
    found: dict[object, Finding] = {}
    for finding in findings:
        apart = finding.layer if finding.severity == "refuses" else ""
        key = finding.kind, finding.limit, finding.remedy, apart
        before = found.get(key)
        if before is None:
            found[key] = finding
        elif finding.layer not in before.layer.split(", "):
            found[key] = replace(before, layer=f"{before.layer}, {finding.layer}")
    return tuple(found.values())


def _reset_interval(steps: int) -> Iterator[Finding]:
    period = padded(steps)
    if period != steps:
        yield Finding(
            "reset interval",
            "time steps",
            f"T = {steps}",
            "a power of two between resets",
            "repaired",
            f"each sample takes {period} steps there, of which {period - steps} are silent",
        )


def _columns(network: Network) -> Iterator[Finding]:
    names = (network.input.name, *(node.name for node in network.ordered))
    wide = [n for n in names if network.shape(n)[2] > WIDEST and sends_columns(network, n)]
    if not wide:
        return
    try:
        parts, reason = factors(network, WIDEST), ""
    except LavasegError as error:
        parts, reason = {}, str(error)
    for name in wide:
        channels, _, width = network.shape(name)
        remedy = reason or (
            f"`--widest {WIDEST}` of `lavaseg export` or `import` makes {width // parts[name]} "
            f"columns of {channels * parts[name]} channels of them, spike for spike the same"
        )
        needed = math.ceil(width / WIDEST)
        if parts and parts[name] > 2 * needed:
            remedy = (
                f"crop or pad the input so that these are a multiple of {needed}, such as "
                f"{width // needed * needed}; `--widest {WIDEST}` could only make "
                f"{width // parts[name]} columns of {channels * parts[name]} channels of them"
            )
        number = f"{width} columns, and a convolution reads them"
        yield Finding("columns", name, number, WIDEST, "refuses", remedy)


def _convolutions(network: Network, profile: str) -> Iterator[Finding]:
    convolved = {p.target: None for p in network.projections if not isinstance(p.operator, Dense)}
    for name in convolved:
        shape = network.shape(name)
        text = f"a convolution that writes {'x'.join(map(str, shape))} (channels x height x width)"
        if profile == "2022" and min(shape[1:]) > LARGEST_OLD:
            yield Finding(
                "convolution",
                name,
                text,
                f"{LARGEST_OLD}x{LARGEST_OLD} where the compiler is of 2022 or 2023",
                "refuses",
                "make the sheet smaller by a stride or a pool on the host, or take the newer "
                "compiler",
            )
        elif math.prod(shape) > math.prod(LARGEST_COMPILED):
            yield Finding(
                "convolution",
                name,
                text,
                f"{'x'.join(map(str, LARGEST_COMPILED))}, the largest that is known to compile",
                "warns",
                "try to compile it before you rely on it",
            )


def _ranges(net: IntegerNetwork) -> Iterator[Finding]:
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_ranges(net),
        lambda: check_loops(net, padded(net.steps)),
    )
    for check in checks:
        try:
            check()
        except RangeError as error:
            yield Finding(
                "ranges",
                str(error).split(":", 1)[0],
                "its sums",
                "24 bits",
                "refuses",
                str(error).split(": ", 1)[1],
            )
            return


def _cores(mapping: Mapping, board: Board | None) -> Iterator[Finding]:
    for layer in mapping.layers:
        for register, used in layer.violations.items():
            yield Finding(
                "core",
                layer.name,
                f"{used:,} of {TITLES[register]} in its smallest tile",
                f"{mapping.profile.capacities[register]:,} a core (compiler of "
                f"{mapping.profile.name})",
                "refuses",
                "give it fewer inputs: fewer channels, a smaller kernel, or a stride or pool "
                "before it",
            )
    if not mapping.placed:
        return  # how many cores it would take nobody can say
    largest = max(mapping.layers, key=lambda layer: layer.cores)
    room = board or BOARDS[-1]
    if mapping.cores > room.cores:
        yield Finding(
            "cores",
            largest.name,
            f"the layer with most cores, {largest.cores:,} of the network's {mapping.cores:,}, "
            f"which fill {mapping.chips:,} chips",
            f"{room.cores:,} cores, all that {room.name} has",
            "refuses",
            f"spare {mapping.cores - room.cores:,} cores by fewer channels or a smaller input"
            + ("" if mapping.board is None else f", or take {mapping.board.name}"),
        )


def _port_views(network: Network) -> Iterator[Finding]:
    for projection in network.projections:
        geometry = network.geometry(projection)
        if max(geometry.enlarges) == 1:
            continue
        if all(axis.wanted % axis.up == 0 for axis in (geometry.rows, geometry.columns)):
            yield Finding(
                "port views",
                projection.name,
                "phases of a larger sheet behind a view of their port",
                "what public runs on the chip show, and none shows such a view",
                "warns",
                "try to compile it before you rely on it",
            )


def _host_processes(network: Network) -> Iterator[Finding]:
    for node in network.nodes:
        if isinstance(node, Relay):
            yield Finding(
                "host processes",
                node.name,
                "Lava's GradedVec",
                "a process with a model for neuro-cores, and nothing public says that it has one",
                "warns",
                "if it falls back to the host, train with pooling that the next convolution can "
                "take over",
            )


def _host_input(network: Network) -> Iterator[Finding]:
    kind = "graded" if network.input.graded else "binary"
    limit, size = round(LINK_RATES[kind] * QUICK_STEP), math.prod(network.input.shape)
    if size > limit:
        yield Finding(
            "host input",
            network.input.name,
            f"up to {size:,} {kind} spikes at each step",
            f"{limit:,} in {QUICK_STEP * 1e6:.0f} µs over one link between chips",
            "warns",
            "replay the input from the chip's buffer, or let fewer neurons spike",
        )
