"""Report data to one HTML page: figures inline, no request to anywhere."""

from __future__ import annotations

from lavaseg.chip.profiles import TITLES
from lavaseg.chip.timing import ERROR
from lavaseg.report import tables
from lavaseg.report.contents import ReportData
from lavaseg.report.figures import figures
from lavaseg.report.templates import environment
from lavaseg.report.tiles import tiles


def render(data: ReportData) -> str:
    """The page as one HTML string; everything from users is escaped."""
    page = environment().get_template("report.html")
    return page.render(
        data=data,
        tiles=tiles(data),
        layers=tables.layer_rows(data),
        fits=tables.fit_rows(data.calibration),
        class_rows=tables.class_rows(data),
        energies=[tables.estimate_row(estimate) for estimate in data.estimates],
        verified=tables.verified_rows(data.verification),
        chip_titles=list(TITLES.values()),
        time_error=ERROR,
        board=tables.board_table(data.board),
        figures=figures(data),
    )
