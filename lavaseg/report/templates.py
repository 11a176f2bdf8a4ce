"""Templates of pages: one environment, in which everything from users is escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from lavaseg.report.wording import cell, format_count, format_percent, format_points


@cache
def environment() -> Environment:
    """What renders the templates in this folder and those below it."""
    found = Environment(
        loader=PackageLoader("lavaseg.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters |= {
        "count": format_count,
        "percent": format_percent,
        "points": format_points,
        "value": cell,
    }
    return found
