"""Every table and figure of the papers: which study or command reproduces it, or why none does.

The list is `lavaseg/studies/papers.yaml`. What stands there is known from the papers' text and
their public code; where not even that there is such a figure is known for certain, it says so.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lavaseg.system.settings import read_yaml

FILE = Path(__file__).with_name("papers.yaml")
"""Stands beside the studies and is none."""


@dataclass(frozen=True)
class Paper:
    """One of the papers, as cited everywhere here.

    Args:
        key: a short name.
        cite: authors and year.
        title: of the paper, or what it is about.
        published: journal, volume and article.
    """

    key: str
    cite: str
    title: str
    published: str


@dataclass(frozen=True)
class Item:
    """A table, a figure or a claim of a paper; one of study, command and why_not is given.

    Args:
        paper: where it stands.
        item: as the paper numbers it ("Table 1"), several alike ("Figures 8 to 10"), or what it is
            about where it has no number or none is known.
        shows: what it shows.
        study: name of the study that reproduces it.
        command: command that shows the same of any network or run.
        why_not: why nothing reproduces it.
        certain: whether it is known to exist under that number.
    """

    paper: Paper
    item: str
    shows: str
    study: str | None = None
    command: str | None = None
    why_not: str | None = None
    certain: bool = True

    @property
    def label(self) -> str:
        """The item as lists name it, with a mark if it is not certain."""
        return self.item if self.certain else f"{self.item} (?)"

    @property
    def how(self) -> str:
        """What reproduces it, as a command line, or why nothing does."""
        if self.study is not None:
            return f"lavaseg study run {self.study}"
        return self.command or f"not reproduced: {self.why_not}"

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "paper": self.paper.cite,
            "item": self.item,
            "shows": self.shows,
            "study": self.study,
            "command": self.command,
            "why_not": self.why_not,
            "certain": self.certain,
        }

    def numbers(self, kind: Literal["Table", "Figure"]) -> tuple[int, ...]:
        """Its numbers, if it is of that kind: (8, 9, 10) of "Figures 8 to 10"."""
        found = re.fullmatch(rf"{kind}s? (\d+)(?: to (\d+))?", self.item)
        if not found:
            return ()
        first, last = int(found[1]), int(found[2] or found[1])
        return tuple(range(first, last + 1))


@functools.cache
def items() -> tuple[Item, ...]:
    """All tables and figures, paper by paper, in the papers' order."""
    found: list[Item] = []
    for key, paper in _read().items():
        listed = paper.pop("items")
        about = Paper(key, **paper)
        found += [Item(about, **item) for item in listed]
    return tuple(found)


def _read() -> dict[str, Any]:
    data: dict[str, Any] = read_yaml(FILE.read_text("utf-8"))
    return data
