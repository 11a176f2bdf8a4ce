"""One self-contained HTML page that says what a run achieved and how that was checked."""

from lavaseg.report.collect import collect, write_report
from lavaseg.report.page import Comparison, Examples, ReportData, render

__all__ = ["Comparison", "Examples", "ReportData", "collect", "render", "write_report"]
