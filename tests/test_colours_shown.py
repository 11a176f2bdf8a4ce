"""Colours at the terminal are legible on any ground, and are left out where they are not wanted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from terminal_calls import call, invoked
from typer import rich_utils

import lavaseg
from lavaseg.system import styles

SGR = re.compile(r"\x1b\[([0-9;]*)m")
LIGHTEST, DARKEST = 1.0, 0.0


def luminance(number: int) -> float:
    """Relative luminance of a colour of the 256, as WCAG 2 defines it."""
    if number >= 232:
        channels = [8 + 10 * (number - 232)] * 3
    else:
        steps = (0, 95, 135, 175, 215, 255)
        cube = number - 16
        channels = [steps[cube // 36], steps[cube // 6 % 6], steps[cube % 6]]
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def contrast(number: int, ground: float) -> float:
    low, high = sorted((luminance(number), ground))
    return (high + 0.05) / (low + 0.05)


RENDER = """
import sys
from terminal_calls import COMMANDS, LIGHT, call
from typer import rich_utils
rich_utils.FORCE_TERMINAL = True
for name in COMMANDS:
    sys.stdout.write(call(*name.split(), "--help", columns=80).output)
for name in ("help", "info", "map", "data check"):
    sys.stdout.write(call(*LIGHT[name].split()).output)
"""
"""In a process of its own: styles keep the codes of the terminal that they first met."""


def test_every_colour_is_legible_on_light_and_on_dark_grounds(place: Path) -> None:
    paths = os.pathsep.join(map(str, (Path(__file__).parent, Path(lavaseg.__file__).parents[1])))
    text = subprocess.run(
        [sys.executable, "-c", RENDER],
        cwd=place,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    found = {*SGR.findall(text)}
    used = {int(c) for code in found for c in re.findall(r"38;5;(\d+)", code)}
    for code in found:
        rest = {*re.sub(r"38;5;\d+", "", code).split(";")} - {""}
        assert rest <= {"0", "1", "2"}, f"{code}: a colour that each terminal makes of its own"
    assert used, "no colour was found"
    for style in (styles.ACCENT, styles.GOOD, styles.BAD):
        used.add(int(style.removeprefix("color(").removesuffix(")")))
    for number in used:
        assert min(contrast(number, LIGHTEST), contrast(number, DARKEST)) >= 4, number


@pytest.mark.parametrize(
    "environment",
    [
        {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        {"TERM": "dumb", "FORCE_COLOR": "1"},
        {"TERM": "xterm-256color"},
    ],
    ids=["NO_COLOR", "TERM=dumb", "pipe"],
)
def test_there_are_no_escape_codes_where_they_are_not_wanted(
    environment: dict[str, str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rich_utils, "FORCE_TERMINAL", None)  # read once, when it is imported
    for words in (["info", "a.net"], ["help", "training"], ["info", "--help"], ["info", "b.net"]):
        result = invoked(words, environment)
        assert "\x1b" not in result.output, words
    assert "\x1b" in call("info", "a.net").output
