"""What shells offer for the arguments of commands, when Tab is pressed.

Nothing is said or raised here: where there is nothing to offer, shells complete file names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from typing import TypeAlias

Offer: TypeAlias = "list[tuple[str, str]]"
"""(word, what it is) of each completion."""
OF_RECIPES = ("recipe", "data", "model", "encoder")
"""Kinds of sections whose fields a recipe has."""


def _quietly(known: Callable[[], Iterable[tuple[str, str]]]) -> Callable[[str], Offer]:
    """A completion that offers those of the words `known` that begin as the incomplete one."""

    @wraps(known)
    def complete(incomplete: str) -> Offer:
        with suppress(Exception):
            return [(word, what) for word, what in known() if word.startswith(incomplete)]
        return []

    complete.__annotations__ = {"incomplete": str, "return": list}
    del complete.__wrapped__
    return complete


@_quietly
def complete_recipes() -> Iterable[tuple[str, str]]:
    """Names of recipes that ship."""
    from lavaseg.recipes import load, names

    return [(name, load(name).title) for name in names()]


@_quietly
def complete_studies() -> Iterable[tuple[str, str]]:
    """Names of studies that ship."""
    from lavaseg.studies import load, names

    return [(name, load(name).title) for name in names()]


@_quietly
def complete_data() -> Iterable[tuple[str, str]]:
    """Names of data sets."""
    from lavaseg.data import DATASETS, summary

    return [(name, summary(name)) for name in DATASETS]


@_quietly
def complete_systems() -> Iterable[tuple[str, str]]:
    """Names of systems and models."""
    from lavaseg.models import MODELS
    from lavaseg.models.analog import ANALOG
    from lavaseg.models.systems import SYSTEMS

    systems = [(key, system.title) for key, system in SYSTEMS.items()]
    return [*systems, *((name, "a model") for name in (*MODELS, *ANALOG) if name not in SYSTEMS)]


@_quietly
def complete_shown() -> Iterable[tuple[str, str]]:
    """Names of recipes, systems and models."""
    return [*complete_recipes(""), *complete_systems("")]


@_quietly
def complete_plots() -> Iterable[tuple[str, str]]:
    """Kinds of figures."""
    from lavaseg.report.plotting import KINDS

    return [(name, "") for name in KINDS]


@_quietly
def complete_words() -> Iterable[tuple[str, str]]:
    """Fields, options, and what has them."""
    from lavaseg.guide.lookup import words

    return [(word, "") for word in words()]


def complete_fields(incomplete: str) -> Offer:
    """Fields of recipes with an equals sign, as `--set` takes them, or what may follow it."""
    with suppress(Exception):
        return [(word, what) for word, what in _fields(incomplete) if word.startswith(incomplete)]
    return []


def _fields(incomplete: str) -> Iterable[tuple[str, str]]:
    from lavaseg.guide.reference import sections

    field, equals, _ = incomplete.partition("=")
    seen = set()
    for section in sections():
        for entry in section.entries if section.kind in OF_RECIPES else ():
            if equals and entry.path == field:
                yield from ((f"{field}={value}", "") for value in _values(entry.type))
            elif not equals and entry.path not in seen and not entry.type.endswith("section"):
                seen.add(entry.path)
                yield f"{entry.path}=", entry.type


def _values(type_: str) -> list[str]:
    """The words that a type names: of 'one of a, b', and of 'true or false'."""
    if type_ == "true or false":
        return ["true", "false"]
    _, one, words = type_.partition("one of ")
    return [word.partition(" or ")[0] for word in words.split(", ")] if one else []
