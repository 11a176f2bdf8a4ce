"""One self-contained HTML page about the results of a run and how they were checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.report.contents import Examples, OtherRun, ReportData
    from lavaseg.report.gather import collect, write_report
    from lavaseg.report.page import render

__all__ = ["Examples", "OtherRun", "ReportData", "collect", "render", "write_report"]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Examples": "contents",
        "OtherRun": "contents",
        "ReportData": "contents",
        "collect": "gather",
        "render": "page",
        "write_report": "gather",
    },
)
