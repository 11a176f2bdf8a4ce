"""A drawing as SVG: readable on light and dark screens, with title and description."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from lavaseg.report.diagram.boxes import KINDS, Kind, Scheme
from lavaseg.report.diagram.placing import (
    LABEL,
    LETTER,
    PAD,
    ROW,
    SMALL,
    PlacedArrow,
    PlacedBox,
    letters,
    place,
)
from lavaseg.system.words import shortened

_Entry = tuple[str, str, float, float]
"""Kind, words, left and right of an entry of the legend."""
_TITLE = 90
"""Letters of the title that are shown."""
_MARGIN = 18.0
_FONT = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'
_LIGHT: dict[str, tuple[str, str]] = {
    "input": ("#e8ecf0", "#52606d"),
    "spikes": ("#ddeefb", "#005a91"),
    "integers": ("#d9f2e6", "#006b4f"),
    "rectified": ("#e9e5f6", "#5b3f99"),
    "relay": ("#f6efd9", "#7a5c00"),
    "sum": ("#ffffff", "#8a949e"),
    "readout": ("#fde6d8", "#a83f00"),
    "auxiliary": ("#f9e7f2", "#94467c"),
}
"""Fill and line of each kind of box on white."""
_DARK: dict[str, tuple[str, str]] = {
    "input": ("#333d47", "#a9b5c0"),
    "spikes": ("#123a55", "#7cc4f2"),
    "integers": ("#12402f", "#6fdcb4"),
    "rectified": ("#322a4a", "#bda9f0"),
    "relay": ("#443810", "#e3c766"),
    "sum": ("#1e252c", "#8a949e"),
    "readout": ("#4a2a17", "#ffab87"),
    "auxiliary": ("#46283c", "#eaa6d3"),
}
"""The same on black."""


def _style() -> str:
    """The style sheet; every class begins with lvs-, since pages share theirs with a drawing."""
    words = f".lvs-svg text{{font-family:{_FONT};fill:#1f2933}}"
    rules = [
        words,
        ".lvs-svg .lvs-page{fill:#fff}.lvs-svg .lvs-name{font-size:12px;font-weight:600}",
        ".lvs-svg .lvs-word,.lvs-svg .lvs-shape{font-size:11px}",
        ".lvs-svg .lvs-soft{font-size:11px;fill:#52606d}",
        ".lvs-svg .lvs-title{font-size:14px;font-weight:600}",
        ".lvs-svg .lvs-arrow{fill:none;stroke:#52606d;stroke-width:1.3}",
        ".lvs-svg .lvs-late{stroke:#a83f00;stroke-dasharray:5 3}",
        ".lvs-svg .lvs-head{fill:#52606d}.lvs-svg .lvs-behind{fill:#fff}",
        *_boxes(_LIGHT),
    ]
    dark = [
        ".lvs-svg text{fill:#e7ecf0}.lvs-svg .lvs-page,.lvs-svg .lvs-behind{fill:#14191e}",
        ".lvs-svg .lvs-soft{fill:#a9b5c0}.lvs-svg .lvs-arrow{stroke:#a9b5c0}",
        ".lvs-svg .lvs-late{stroke:#ffab87}.lvs-svg .lvs-head{fill:#a9b5c0}",
        *_boxes(_DARK),
    ]
    return "".join([*rules, "@media (prefers-color-scheme:dark){", *dark, "}"])


def _boxes(colours: dict[str, tuple[str, str]]) -> Iterator[str]:
    for kind, (fill, line) in colours.items():
        yield f".lvs-svg .lvs-{kind}{{fill:{fill};stroke:{line};stroke-width:1.3}}"


def svg(scheme: Scheme) -> str:
    """The drawing of a scheme, the same bytes for the same network."""
    placed = place(scheme)
    heading = [shortened(scheme.title, _TITLE), scheme.summary]
    heading += [scheme.remark] if scheme.remark else []
    legend = _legend(scheme.kinds, any(arrow.late or arrow.back for arrow in scheme.arrows))
    widest = max([1.2 * LETTER * letters(heading[0]), *(SMALL * letters(h) for h in heading[1:])])
    top = _MARGIN + 20.0 + ROW * (len(heading) - 1) + ROW * len(legend) + 12.0
    width = max(placed.width, widest, *(end for row in legend for *_, end in row)) + 2 * _MARGIN
    height = top + placed.height + _MARGIN
    left = max((width - placed.width) / 2, _MARGIN)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="lvs-svg" role="img" '
            f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
            f'aria-label="{escape(scheme.title)}">',
            f"<title>{escape(scheme.title)}</title>",
            f"<desc>{escape(_described(scheme))}</desc>",
            f"<style>{_style()}</style>",
            f'<rect class="lvs-page" fill="#fff" width="{width:g}" height="{height:g}"/>',
            *_heading(heading, legend),
            f'<g transform="translate({left:g} {top:g})">',
            *(line for arrow in placed.arrows for line in _arrow(arrow)),
            *(line for box in placed.boxes for line in _box(box)),
            *(line for arrow in placed.arrows for line in _label(arrow)),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _described(scheme: Scheme) -> str:
    """The network in words, for readers who do not see it."""
    lines = [f"{scheme.summary}.", scheme.remark and f"{scheme.remark}."]
    lines += [f"{box.about}." for box in scheme.boxes]
    return " ".join(filter(None, lines))


def _heading(lines: list[str], legend: list[list[_Entry]]) -> Iterator[str]:
    y = _MARGIN + 12
    yield f'<text class="lvs-title" x="{_MARGIN:g}" y="{y:g}">{escape(lines[0])}</text>'
    for line in lines[1:]:
        y += ROW
        yield f'<text class="lvs-soft" x="{_MARGIN:g}" y="{y:g}">{escape(line)}</text>'
    for row in legend:
        y += ROW
        for kind, words, x, _ in row:
            at = _MARGIN + x
            if kind in KINDS:
                yield (
                    f'<rect class="lvs-{kind}" x="{at:g}" y="{y - 9:g}" width="14" height="10" '
                    'rx="3"/>'
                )
            else:
                yield f'<path class="lvs-arrow lvs-late" d="M{at:g} {y - 4:g}h14"/>'
            yield f'<text class="lvs-soft" x="{at + 20:g}" y="{y:g}">{words}</text>'


def _legend(kinds: tuple[Kind, ...], late: bool) -> list[list[_Entry]]:
    """What the colours mean, in rows."""
    entries: list[tuple[str, str]] = [(kind, KINDS[kind]) for kind in kinds]
    entries += [("late", "late by steps")] * late
    rows: list[list[_Entry]] = [[]]
    x = 0.0
    for kind, words in entries:
        end = x + 20 + SMALL * letters(words)
        if rows[-1] and end > 560:
            rows.append([])
            x, end = 0.0, 20 + SMALL * letters(words)
        rows[-1].append((kind, words, x, end))
        x = end + 18
    return rows


def _box(placed: PlacedBox) -> Iterator[str]:
    box, x, y = placed.box, placed.x, placed.y
    yield f"<g><title>{escape(box.about)}</title>"
    radius = 11 if box.kind in ("sum", "input") else 4
    yield (
        f'<rect class="lvs-{box.kind}" x="{x:g}" y="{y:g}" width="{placed.width:g}" '
        f'height="{placed.height:g}" rx="{radius}"/>'
    )
    line = y + PAD / 2 + 12
    yield f'<text class="lvs-name" x="{x + PAD:g}" y="{line:g}">{escape(box.label)}</text>'
    yield (
        f'<text class="lvs-shape" x="{x + placed.width - PAD:g}" y="{line:g}" '
        f'text-anchor="end">{box.shape}</text>'
    )
    for words in box.lines:
        line += ROW
        yield f'<text class="lvs-soft" x="{x + PAD:g}" y="{line:g}">{escape(words)}</text>'
    yield "</g>"


def _arrow(placed: PlacedArrow) -> Iterator[str]:
    """A line with a head at its end, which points the way that the line comes in."""
    (x0, y0), (x1, y1) = placed.points[-2:]
    dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
    ends = [*placed.points[:-1], (x1 - 5 * dx, y1 - 5 * dy)]
    late = " lvs-late" * bool(placed.arrow.late or placed.arrow.back)
    yield f"<g><title>{escape(placed.arrow.about)}</title>"
    yield f'<path class="lvs-arrow{late}" d="{_rounded(ends)}"/>'
    yield (
        f'<path class="lvs-head" d="M{x1:g} {y1:g}L{x1 - 7 * dx - 3.5 * dy:g} '
        f'{y1 - 7 * dy + 3.5 * dx:g}L{x1 - 7 * dx + 3.5 * dy:g} {y1 - 7 * dy - 3.5 * dx:g}z"/></g>'
    )


def _rounded(points: list[tuple[float, float]]) -> str:
    """A path along points, its corners rounded."""
    found = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(at, before), _towards(at, after)
        found.append(f"L{near[0]:g} {near[1]:g}Q{at[0]:g} {at[1]:g} {far[0]:g} {far[1]:g}")
    found.append(f"L{points[-1][0]:g} {points[-1][1]:g}")
    return "".join(found)


def _towards(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """The point at most 5 pixels, and half of the way, from `start` towards `end`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    part = min(5.0 / max(abs(dx), abs(dy), 1e-9), 0.5)
    return round(start[0] + part * dx, 1), round(start[1] + part * dy, 1)


def _label(placed: PlacedArrow) -> Iterator[str]:
    if placed.label is None:
        return
    x, y = placed.label
    width = SMALL * letters(placed.arrow.late) + 6
    yield (
        f'<rect class="lvs-behind" x="{x - width / 2:g}" y="{y - LABEL / 2:g}" '
        f'width="{width:g}" height="{LABEL:g}"/>'
    )
    yield (
        f'<text class="lvs-word" x="{x:g}" y="{y + 4:g}" text-anchor="middle">'
        f"{escape(placed.arrow.late)}</text>"
    )
