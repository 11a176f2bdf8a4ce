"""Results as people see them: a self-contained HTML page about a run, and single figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.report.contents import Examples, OtherRun, ReportData
    from lavaseg.report.diagram import Diagram, show
    from lavaseg.report.gather import collect, write_report
    from lavaseg.report.page import render
    from lavaseg.report.plotting import plot

__all__ = [
    "Diagram",
    "Examples",
    "OtherRun",
    "ReportData",
    "collect",
    "plot",
    "render",
    "show",
    "write_report",
]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Diagram": "diagram",
        "Examples": "contents",
        "OtherRun": "contents",
        "ReportData": "contents",
        "collect": "gather",
        "plot": "plotting",
        "render": "page",
        "show": "diagram",
        "write_report": "gather",
    },
)
