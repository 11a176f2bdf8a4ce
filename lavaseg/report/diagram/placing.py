"""Places for boxes and arrows, by graphlay's layered layout: from the top down, at right angles."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from lavaseg.report.diagram.boxes import Arrow, Box, Scheme

LETTER, SMALL = 7.3, 6.7
"""Widths of a letter of the name and of the other words in pixels; the font has one width."""
ROW, PAD = 16.0, 9.0
"""Height of a line, and what is left free around the words of a box."""
LABEL = 14.0
"""Height of a label at an arrow."""
Point = tuple[float, float]


@dataclass(frozen=True)
class PlacedBox:
    """A box with its upper left corner and size."""

    box: Box
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class PlacedArrow:
    """An arrow as a line of points, and where the middle of its label is."""

    arrow: Arrow
    points: tuple[Point, ...]
    label: Point | None


@dataclass(frozen=True)
class Placed:
    """A drawing: boxes and arrows within (0, 0) and (width, height)."""

    boxes: tuple[PlacedBox, ...]
    arrows: tuple[PlacedArrow, ...]
    width: float
    height: float


def letters(text: str) -> int:
    """Widths of a letter that a text takes: two for each wide sign, none for combining ones."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def size(box: Box) -> tuple[float, float]:
    """Width and height that the words of a box take."""
    head = LETTER * letters(box.label) + SMALL * (2 + letters(box.shape))
    widest = max([head, *(SMALL * letters(line) for line in box.lines)])
    return widest + 2 * PAD, ROW * (1 + len(box.lines)) + PAD


def place(scheme: Scheme) -> Placed:
    """The places of all boxes and arrows; the same for the same scheme."""
    import graphlay

    graph = graphlay.Graph()
    for box in scheme.boxes:
        width, height = size(box)
        graph.node(box.name, width=width, height=height)
    for arrow in scheme.arrows:
        number = graph.edge(arrow.source, arrow.target)
        if arrow.late:
            label = {"width": SMALL * letters(arrow.late) + 6, "height": LABEL}
            graph.edges[number]["label_size"] = label
    late = any(arrow.late for arrow in scheme.arrows)
    spacing = {**_SPACING, "layer_gap": _LATE_GAP} if late else _SPACING
    made = graphlay.layout(graph, options={"direction": "topbottom", "spacing": spacing})
    left, top = made.bounds["min"]["x"], made.bounds["min"]["y"]
    boxes = tuple(
        PlacedBox(
            box,
            _tidy(node["center"]["x"] - node["size"]["width"] / 2 - left),
            _tidy(node["center"]["y"] - node["size"]["height"] / 2 - top),
            _tidy(node["size"]["width"]),
            _tidy(node["size"]["height"]),
        )
        for box, node in zip(scheme.boxes, made.nodes, strict=True)
    )
    arrows = tuple(
        PlacedArrow(
            arrow,
            tuple((_tidy(p["x"] - left), _tidy(p["y"] - top)) for p in edge["points"]),
            _anchor(edge["label_anchor"], left, top) if arrow.late else None,
        )
        for arrow, edge in zip(scheme.arrows, made.edges, strict=True)
    )
    extent = made.bounds["max"]
    return Placed(boxes, arrows, _tidy(extent["x"] - left), _tidy(extent["y"] - top))


_SPACING = {"layer_gap": 30.0, "node_gap": 26.0, "dummy_gap": 20.0, "edge_label_margin": 10.0}
_LATE_GAP = 48.0
"""Between layers, where a label must stand within it and leave its arrow in sight."""


def _anchor(point: dict[str, float] | None, left: float, top: float) -> Point | None:
    return None if point is None else (_tidy(point["x"] - left), _tidy(point["y"] - top))


def _tidy(number: float) -> float:
    """A tenth of a pixel: the same digits on every machine."""
    return round(number, 1) + 0.0
