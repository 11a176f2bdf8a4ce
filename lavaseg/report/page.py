"""Report data to one HTML page: figures inline, no request to anywhere."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from lavaseg.chip.profiles import TITLES
from lavaseg.chip.timing import ERROR
from lavaseg.report import tables
from lavaseg.report.animation import player
from lavaseg.report.confusion import TABLED, matrix, worst_pairs
from lavaseg.report.contents import ReportData
from lavaseg.report.diagram.drawing import inline
from lavaseg.report.figures import figures
from lavaseg.report.plots import class_colours
from lavaseg.report.slider import slider
from lavaseg.report.templates import environment
from lavaseg.report.tiles import tiles

ANIMATION = 140_000
"""Bytes that an animation adds to the page, at most."""


def render(data: ReportData) -> str:
    """The page as one HTML string; everything from users is escaped."""
    page = environment().get_template("report.html")
    return page.render(
        data=data,
        tiles=tiles(data),
        layers=tables.layer_rows(data),
        projections=tables.projection_rows(data),
        fits=tables.fit_rows(data.calibration),
        class_rows=tables.class_rows(data),
        energies=[tables.estimate_row(estimate) for estimate in data.estimates],
        verified=tables.verified_rows(data.verification),
        chip_titles=list(TITLES.values()),
        time_error=ERROR,
        board=tables.board_table(data.board),
        figures=figures(data),
        drawing=inline(data.network, data.steps),
        animation=None if data.animation is None else player(data.animation, ANIMATION),
        many_classes=TABLED,
        **_confusion(data),
        **_slider(data),
    )


def _confusion(data: ReportData) -> dict[str, Any]:
    """The worst pairs of classes, and the matrix."""
    found = data.evaluation
    if found is None:
        return {"pairs": [], "matrix": None}
    return {
        "pairs": worst_pairs(found.confusion),
        "matrix": matrix(found.confusion, data.classes),
    }


def _slider(data: ReportData) -> dict[str, Any]:
    """The slider over T with its script, and what the page's policy allows for it alone."""
    if data.over_steps is None:
        return {"slider": None, "script": "", "allowed": ""}
    script = files("lavaseg.report").joinpath("slider.js").read_text("utf-8")
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "slider": slider(data.over_steps, class_colours(data.classes, data.colours)),
        "script": script,
        "allowed": f"; script-src 'sha256-{known}'",
    }
