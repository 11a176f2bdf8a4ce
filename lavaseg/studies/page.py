"""Blocks of a page that are made of a study's results, so that no figure in them is typed.

A block begins with `<!-- study: NAME -->` and ends with `<!-- end -->`. What stands between them
is made of NAME.csv in the folder `results` beside the page.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.studies.figure import draw
from lavaseg.studies.showing import shown
from lavaseg.studies.table import markdown
from lavaseg.system.faults import reading
from lavaseg.system.files import write_atomically

FOLDER = "results"
_BLOCK = re.compile(
    r"^<!-- study: (?P<name>[^\s]+) -->\n(?P<body>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL
)
_BEGIN = re.compile(r"^<!-- study: .*$", re.MULTILINE)


def blocks(page: Path) -> list[str]:
    """Names of the studies whose results a page shows.

    Raises:
        LavasegError: it cannot be read, or a block has no end.
    """
    text = _text(page)
    found = [match["name"] for match in _BLOCK.finditer(text)]
    if len(found) != len(_BEGIN.findall(text)):
        raise LavasegError(f"{page}: a block `<!-- study: NAME -->` has no `<!-- end -->`")
    return found


def filled(page: Path) -> str:
    """The page with its blocks as the results have them.

    Raises:
        LavasegError: results are missing or damaged.
    """
    blocks(page)
    return _BLOCK.sub(lambda match: _block(page, match["name"]), _text(page))


def refresh(page: Path) -> list[str]:
    """Write a page's blocks and pictures anew; the names of its studies."""
    names = blocks(page)
    text = filled(page)
    for name in names:
        study, results = shown(_csv(page, name))
        for number, spec in enumerate(study.figure):
            draw(study, results, spec, page.parent / _picture(name, number))
    write_atomically(page, text)
    return names


def _block(page: Path, name: str) -> str:
    study, results = shown(_csv(page, name))
    pictures = [
        f"![{spec.title or study.title}]({_picture(name, number)})"
        for number, spec in enumerate(study.figure)
    ]
    command = f"    lavaseg study run {name}"
    if study.size != "standard":
        command += f" --{study.size}"
    for word in results.settings.split("; ")[1:]:
        command += f" --set {shlex.quote(word)}"
    if (seeds := {value.seed for value in results.values}) != {*study.seeds}:
        command += f" --seeds {','.join(map(str, sorted(seeds)))}"
    parts = [command, markdown(study, results).rstrip("\n"), *pictures]
    return f"<!-- study: {name} -->\n" + "\n\n".join(parts) + "\n<!-- end -->"


def _csv(page: Path, name: str) -> Path:
    return page.parent / FOLDER / f"{name}.csv"


def _picture(name: str, number: int) -> str:
    behind = "" if number == 0 else f"-{number + 1}"
    return f"{FOLDER}/{name}{behind}.png"


def _text(page: Path) -> str:
    with reading(page):
        return page.read_text("utf-8")
