"""A network as a drawing: boxes and arrows as SVG, rails in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.report.diagram.drawing import Diagram, show
    from lavaseg.report.diagram.opening import Shown, find_network

__all__ = ["Diagram", "Shown", "find_network", "show"]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Diagram": "drawing",
        "Shown": "opening",
        "find_network": "opening",
        "show": "drawing",
    },
)
