"""Results as people see them: pages about one run or several, and single figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.report.comparing import Comparison, compare
    from lavaseg.report.contents import Examples, ReportData
    from lavaseg.report.diagram import Diagram, show
    from lavaseg.report.gather import collect, write_report
    from lavaseg.report.page import render
    from lavaseg.report.plotting import plot

__all__ = [
    "Comparison",
    "Diagram",
    "Examples",
    "ReportData",
    "collect",
    "compare",
    "plot",
    "render",
    "show",
    "write_report",
]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Comparison": "comparing",
        "Diagram": "diagram",
        "Examples": "contents",
        "ReportData": "contents",
        "collect": "gather",
        "compare": "comparing",
        "plot": "plotting",
        "render": "page",
        "show": "diagram",
        "write_report": "gather",
    },
)
