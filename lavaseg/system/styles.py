"""Colours at the terminal that are legible on light and on dark grounds, and the terminal itself.

The first sixteen colours are what each terminal makes of them: its cyan may vanish on white, its
blue on black. The others of the 256 are fixed, and those here have a contrast of 4 or more on
white and on black. Where a terminal has sixteen alone, the nearest of them is shown.
"""

from __future__ import annotations

import os

from rich.console import Console
from rich.theme import Theme

ACCENT = "color(30)"
"""Headings and names."""
GOOD = "color(28)"
"""That all is well."""
BAD = "color(161)"
"""That something is wrong."""

_THEME = Theme(
    {
        "bar.back": "dim",
        "bar.complete": ACCENT,
        "bar.finished": GOOD,
        "bar.pulse": ACCENT,
        "progress.download": "",
        "progress.elapsed": "",
        "progress.remaining": "",
    }
)

HELP_STYLES = {
    "STYLE_OPTION": f"bold {ACCENT}",
    "STYLE_SWITCH": f"bold {ACCENT}",
    "STYLE_NEGATIVE_OPTION": f"bold {ACCENT}",
    "STYLE_NEGATIVE_SWITCH": f"bold {ACCENT}",
    "STYLE_COMMANDS_TABLE_FIRST_COLUMN": f"bold {ACCENT}",
    "STYLE_TYPES": "",
    "STYLE_TYPES_SEPARATOR": "",
    "STYLE_USAGE": "bold",
    "STYLE_HELPTEXT": "",
    "STYLE_OPTION_DEFAULT": "",
    "STYLE_OPTION_ENVVAR": "",
    "STYLE_REQUIRED_SHORT": BAD,
    "STYLE_REQUIRED_LONG": BAD,
}
"""Styles of the help, by the names that typer gives them."""


def without_styles() -> bool:
    """Whether the user wants neither colours nor bold letters (NO_COLOR, set to anything)."""
    return bool(os.environ.get("NO_COLOR"))


def terminal(*, stderr: bool = False) -> Console:
    """What stdout, or stderr, shows: a terminal in colours, a file or a pipe in plain text."""
    return Console(
        stderr=stderr,
        theme=_THEME,
        highlight=False,
        color_system=None if without_styles() else "auto",
    )
