"""Finding fields, options and what they belong to by a word that a user gives."""

from __future__ import annotations

from dataclasses import dataclass

from lavaseg.errors import LavasegError
from lavaseg.guide.reference import Entry, Section, sections
from lavaseg.system.words import meant


@dataclass(frozen=True)
class Found:
    """What a word stands for.

    Args:
        sections: those of that name.
        entries: (section, field or option) of that name.
    """

    sections: tuple[Section, ...]
    entries: tuple[tuple[Section, Entry], ...]


def find(word: str) -> Found:
    """What is called so: a section, a data set, a model, an encoder, a measure, a field, an option.

    Args:
        word: a name, or the last parts of a dotted one: `epochs`, `surrogate.width`,
            `model.options.width`.

    Raises:
        LavasegError: nothing is; the closest names are given.
    """
    named = tuple(section for section in sections() if section.name == word)
    within = {id(entry) for section in named for entry in section.entries}
    entries = tuple(
        (section, entry)
        for section in sections()
        for entry in section.entries
        if id(entry) not in within and f".{entry.path}".endswith(f".{word}")
    )
    if named:  # a field that holds a section says no more than the section
        entries = tuple((s, entry) for s, entry in entries if not entry.type.endswith("a section"))
    if not named and not entries:
        nothing = f"there is no field, option, data set, model, encoder or measure {word!r}"
        lists = "; `lavaseg help` lists them, section by section"
        raise LavasegError(nothing + (meant(word, words()) or lists))
    return Found(named, entries)


def words() -> list[str]:
    """Everything that `find` knows."""
    found = {section.name for section in sections()}
    for section in sections():
        for entry in section.entries:
            found |= {entry.name, entry.path}
    return sorted(found)
