"""A drawing for terminals: a line for each node, what it reads as rails at the left."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lavaseg.report.diagram.boxes import KINDS, Arrow, Box, Kind, Scheme
from lavaseg.report.diagram.placing import letters
from lavaseg.system.words import shortened

MARKS: dict[Kind, str] = {
    "input": "◇",
    "spikes": "●",
    "integers": "◆",
    "rectified": "◢",
    "relay": "▷",
    "sum": "+",
    "readout": "■",
    "auxiliary": "□",
}
"""What stands for each kind of node."""
_PLAIN = str.maketrans("│─├┤╰╯◇●◆◢▷■□×…", "|-||``<*#^>@ox~")
"""Signs for terminals that have no others: `Scheme`s hold no further ones."""
_NAME = 24
"""Letters that a name has at most."""
_LEAST = 24
"""Letters that are left for words beside the rails, however narrow the terminal is."""


def text(scheme: Scheme, columns: int = 80, *, ascii_only: bool = False) -> str:
    """The drawing in lines of at most `columns` letters, as far as names and rails allow.

    A rail leads from a node down to what reads it: ├ and ┤ are read on the way, ╰ and ╯ at its
    end. Rails that a line passes without a corner have nothing to do with it.

    Args:
        ascii_only: for terminals without line drawing.
    """
    rows = _rows(scheme)
    rails = max(len(row.rails) for row in rows)
    name = max(letters(_name(row.box)) for row in rows)
    shape = max(letters(row.box.shape) for row in rows)
    lines = [*_wrapped(scheme.title, columns), *_wrapped(scheme.summary, columns)]
    lines += _wrapped(scheme.remark, columns)
    legend = (f"{MARKS[k]} {KINDS[k]}".replace(" ", "\0") for k in scheme.kinds)
    lines += [line.replace("\0", " ") for line in _wrapped("  ".join(legend), columns)]
    lines.append("")
    for row in rows:
        lines += _lines(row, rails, name, shape, columns)
    found = "\n".join(line.rstrip() for line in lines)
    return found.translate(_PLAIN) if ascii_only else found


def _wrapped(words: str, columns: int) -> list[str]:
    return textwrap.wrap(words, columns, break_long_words=False, break_on_hyphens=False)


@dataclass
class _Row:
    """A node with the rails of its line, and those that go on below it."""

    box: Box
    rails: str
    below: str
    late: Sequence[Arrow] = field(default_factory=list)


def _name(box: Box) -> str:
    return shortened(box.name, _NAME)


def _lines(row: _Row, rails: int, name: int, shape: int, columns: int) -> Iterator[str]:
    """The line of a node, and further ones for words that it has no room for."""
    head = f"{row.rails:<{rails}} {_name(row.box):<{name}}  {row.box.shape:<{shape}}  "
    words = "; ".join([*row.box.lines, *(_late(arrow, row) for arrow in row.late)])
    room = max(columns - letters(head), _LEAST)
    first, *others = _wrapped(words, room) or [""]
    yield head + first
    for other in others:
        yield f"{row.below:<{rails}}".ljust(letters(head)) + other


def _late(arrow: Arrow, row: _Row) -> str:
    """How late an arrow is; which one, if the node reads several."""
    alone = len(row.late) == 1
    return arrow.late if alone else f"{shortened(arrow.source, _NAME)} {arrow.late}"


def _rows(scheme: Scheme) -> list[_Row]:
    """The nodes in an order that stays on a branch as long as it can, with their rails."""
    arrows = [arrow for arrow in scheme.arrows if not arrow.back]
    reads = {box.name: [a.source for a in arrows if a.target == box.name] for box in scheme.boxes}
    pending = {box.name: {a.target for a in arrows if a.source == box.name} for box in scheme.boxes}
    late = {
        box.name: [a for a in scheme.arrows if a.target == box.name and a.late]
        for box in scheme.boxes
    }
    lanes: list[str | None] = []
    rows: list[_Row] = []
    resting: int | None = None  # below a node that nothing reads, the next one would seem to
    for box in _along_branches(scheme, reads):
        joined = {lanes.index(source) for source in reads[box.name]}
        ended = set()
        for lane in joined:
            source = lanes[lane]
            assert source is not None
            pending[source].discard(box.name)
            if not pending[source]:
                ended.add(lane)
        own = _lane(lanes, ended, resting)
        going = {k for k, source in enumerate(lanes) if source is not None and k not in ended}
        rails = _drawn(MARKS[box.kind], own, joined, going)
        for lane in ended:
            lanes[lane] = None
        lanes[own] = box.name if pending[box.name] else None
        resting = None if pending[box.name] else own
        below = "".join("│ " if source is not None else "  " for source in lanes).rstrip()
        while lanes and lanes[-1] is None:
            lanes.pop()
        rows.append(_Row(box, rails, below, late[box.name]))
    return rows


def _along_branches(scheme: Scheme, reads: dict[str, list[str]]) -> Iterator[Box]:
    """The boxes, sources first, each as soon after what it reads as may be."""
    boxes = {box.name: box for box in scheme.boxes}
    missing = {name: len(set(sources)) for name, sources in reads.items()}
    readers: dict[str, list[str]] = {name: [] for name in boxes}
    for name, sources in reads.items():
        for source in dict.fromkeys(sources):
            readers[source].append(name)
    ready = [name for name, count in reversed(missing.items()) if not count]
    while ready:
        name = ready.pop()
        yield boxes[name]
        for reader in reversed(readers[name]):
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)


def _lane(lanes: list[str | None], ended: set[int], resting: int | None) -> int:
    """The lane of a node: the leftmost that ends at it, or else the leftmost that is free."""
    if ended:
        return min(ended)
    lane = 0
    while lane == resting or (lane < len(lanes) and lanes[lane] is not None):
        lane += 1
    lanes += [None] * (lane + 1 - len(lanes))
    return lane


def _drawn(mark: str, own: int, joined: set[int], going: set[int]) -> str:
    """The rails of a node's line: two letters a lane, its mark in its own."""
    ends = joined | {own}
    first, last = min(ends), max(ends)
    found = ""
    for lane in range(max([last, *going]) + 1):
        if lane == own:
            found += mark
        elif lane in joined:
            right = lane > own
            found += ("┤" if right else "├") if lane in going else ("╯" if right else "╰")
        elif lane in going:
            found += "│"
        else:
            found += "─" if first < lane < last else " "
        found += "─" if first <= lane < last else " "
    return found.rstrip()
