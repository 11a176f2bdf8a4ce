"""The reference as a page of Markdown: `docs/reference.md`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lavaseg.guide.reference import KINDS, Entry, Section, sections

COMMAND = "lavaseg help --page docs/reference.md"
"""What writes the page."""
_HEAD = (
    "# Reference\n",
    "Every field and option of recipes, data sets, models, encoders and studies. This page is made "
    f"of the code by `{COMMAND}`, and a test compares the two. `lavaseg help FIELD` shows the same "
    "at the terminal, and `lavaseg recipes schema` writes it for editors.\n",
    "Fields of a recipe stand here as `--set` of `lavaseg train` takes them: "
    "`--set training.epochs=3`. Values are YAML; `null` stands for none.\n",
)


def page() -> str:
    """The whole page."""
    parts = [*_HEAD]
    for kind, found in groupby(sections(), key=lambda section: section.kind):
        parts.append(f"## {KINDS[kind]}\n")
        parts += [part for section in found for part in _section(section)]
    return "\n".join(parts).rstrip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"### {heading(section)}\n"
    yield f"{section.title}.\n"
    if section.text:
        yield f"{section.text}\n"
    if section.source:
        yield f"Source: {section.source}\n"
    if section.entries:
        rows = ["| field | what it may be | default | |", "|---|---|---|---|"]
        yield "\n".join(rows + [_row(entry) for entry in section.entries]) + "\n"


def heading(section: Section) -> str:
    """What a section is called: 'model spiking_fcn', 'training', 'study: table'."""
    if section.kind == "recipe":
        return section.name if section.name != "recipe" else "The recipe itself"
    if section.kind == "study":
        return "The study itself" if section.name == "study" else f"study: {section.name}"
    return f"{'data set' if section.kind == 'data' else section.kind} {section.name}"


def _row(entry: Entry) -> str:
    default = entry.default if entry.default in ("required", "as below") else f"`{entry.default}`"
    cells = (f"`{entry.path}`", entry.type, default, sentence(entry.words))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def sentence(words: str) -> str:
    """A description with a full stop."""
    return words if not words or words[-1] in ".!?" else f"{words}."
