"""`lavaseg help`: what a field or an option means, its type, limits and default."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.complete import complete_words
from lavaseg.cli.console import print_json, say, width
from lavaseg.cli.inputs import Json
from lavaseg.errors import LavasegError
from lavaseg.system.styles import ACCENT
from lavaseg.system.wrapping import filled

if TYPE_CHECKING:
    from lavaseg.guide.reference import Entry, Section

WIDEST = 100
"""Columns that running text takes at most."""


def help_(
    ctx: typer.Context,
    field: Annotated[
        str | None,
        typer.Argument(
            metavar="[FIELD]",
            help="A field, option, section, data set, model, encoder or measure; the last parts "
            "of a dotted name are enough.",
            autocompletion=complete_words,
        ),
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write the whole reference as Markdown.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what a field of a recipe, or an option of a data set, model or encoder, means.

    Without FIELD, list the sections, data sets, models, encoders and measures that have fields.

    Example: `lavaseg help training.class_weights`
    """
    from lavaseg.guide.lookup import find, words
    from lavaseg.guide.reference import sections

    if page is not None:
        if field is not None or json:
            raise LavasegError("--page writes the whole reference: leave FIELD and --json out")
        _write(page)
        return
    if field is None:
        if json:
            print_json([asdict(section) for section in sections()])
        else:
            _list(sections())
        return
    commands = getattr(ctx.find_root().command, "commands", {})
    if field in commands and field not in words():
        commands[field].main(["--help"], prog_name=f"lavaseg {field}")
    found = find(field)
    if json:
        print_json(
            {
                "sections": [asdict(section) for section in found.sections],
                "fields": [
                    {"of": f"{section.kind} {section.name}", **asdict(entry)}
                    for section, entry in found.entries
                ],
            }
        )
        return
    for section in found.sections:
        _show(section)
    _show_entries(found.entries)
    if field in commands:
        say(f"A command has that name, too: `lavaseg {field} --help`")


def _write(path: Path) -> None:
    from lavaseg.guide.page import page
    from lavaseg.system.files import write_atomically

    write_atomically(path, page())
    say(f"written: {path}")


def _list(known: Iterable[Section]) -> None:
    from lavaseg.guide.reference import KINDS

    for kind, found in groupby(known, key=lambda section: section.kind):
        say(KINDS[kind].replace("`", ""), "bold")
        for section in found:
            _wrapped(f"{section.title}.", f"  {section.name:<20} ", 23)
        say("")
    say("Next: `lavaseg help NAME`, of any of these or of a field such as training.epochs")


def _show(section: Section) -> None:
    from lavaseg.guide.page import heading

    say(heading(section), "bold")
    _wrapped(f"{section.title}.")
    for paragraph in section.text.split("\n\n") if section.text else ():
        say("")
        if paragraph.lstrip().startswith("- "):
            say(paragraph)
        else:
            _wrapped(paragraph)
    if section.source:
        say("")
        _wrapped(f"Source: {section.source}")
    say("")
    for entry in section.entries:
        _show_entry(entry, entry.path)
    if not section.entries:
        say("It has no options.")


def _show_entries(entries: Iterable[tuple[Section, Entry]]) -> None:
    """Fields, those that are the same in several sections once."""
    same: dict[Any, tuple[Entry, list[str]]] = {}
    for section, entry in entries:
        key = (entry.path, entry.type, entry.default, entry.words)
        _, owners = same.setdefault(key, (entry, []))
        owners += [section.name] if section.kind not in ("recipe", "measure") else []
    for entry, owners in same.values():
        _show_entry(entry, entry.path + (f"  ({', '.join(owners)})" if owners else ""))


def _show_entry(entry: Entry, title: str) -> None:
    from lavaseg.guide.page import sentence
    from lavaseg.guide.reference import REQUIRED

    _wrapped(title, style=ACCENT)
    default = REQUIRED if entry.default == REQUIRED else f"default {entry.default}"
    _wrapped(f"{entry.type}; {default}", "    ", 4)
    _wrapped(sentence(entry.words), "    ", 4)
    say("")


def _wrapped(text: str, first: str = "", indent: int = 0, style: str = "") -> None:
    """A paragraph that breaks between words alone."""
    say(
        filled(
            " ".join(text.split()),
            min(width(), WIDEST) - 1,
            first=first,
            rest=" " * indent,
        ),
        style,
    )
