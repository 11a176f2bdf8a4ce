"""Report data to one HTML page: figures inline, no request to anywhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from lavaseg.chip.profiles import TITLES
from lavaseg.chip.timing import ERROR
from lavaseg.report import tables
from lavaseg.report.animation import player
from lavaseg.report.contents import ReportData
from lavaseg.report.diagram.drawing import inline
from lavaseg.report.figures import figures
from lavaseg.report.tiles import tiles
from lavaseg.report.wording import cell, format_count, format_percent, format_points

ANIMATION = 140_000
"""Bytes that an animation adds to the page, at most."""


def render(data: ReportData) -> str:
    """The page as one HTML string; everything from users is escaped."""
    environment = Environment(
        loader=PackageLoader("lavaseg.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "count": format_count,
        "percent": format_percent,
        "points": format_points,
        "value": cell,
    }
    page = environment.get_template("report.html")
    return page.render(
        data=data,
        tiles=tiles(data),
        layers=tables.layer_rows(data),
        projections=tables.projection_rows(data),
        fits=tables.fit_rows(data.calibration),
        class_rows=tables.class_rows(data),
        compared=tables.comparison_rows(data),
        energies=[tables.estimate_row(estimate) for estimate in data.estimates],
        verified=tables.verified_rows(data.verification),
        chip_titles=list(TITLES.values()),
        time_error=ERROR,
        board=tables.board_table(data.board),
        figures=figures(data),
        drawing=inline(data.network, data.steps),
        animation=None if data.animation is None else player(data.animation, ANIMATION),
    )
