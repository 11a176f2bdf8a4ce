"""One self-contained HTML page about the results of a run and how they were checked."""

from lavaseg.report.collect import collect, write_report
from lavaseg.report.contents import Examples, OtherRun, ReportData
from lavaseg.report.page import render

__all__ = ["Examples", "OtherRun", "ReportData", "collect", "render", "write_report"]
