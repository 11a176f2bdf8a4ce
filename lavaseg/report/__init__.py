"""One self-contained HTML page that says what a run achieved and how that was checked."""

from lavaseg.report.collect import collect, write_report
from lavaseg.report.contents import Examples, OtherRun, ReportData
from lavaseg.report.page import render

__all__ = ["Examples", "OtherRun", "ReportData", "collect", "render", "write_report"]
