"""Descriptions of options, as docstrings give them: sections Args, and the lines below a field."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import docstring_parser

_AS = re.compile(r"as (?:of )?`([\w.]+)`", re.S)
"""What stands in place of a description that another function's docstring gives."""


def descriptions(documented: Callable[..., Any]) -> dict[str, str]:
    """The words on each argument of a function, or field of a class and of those it extends.

    Names that share a description, `train, test: ...`, have it both.
    """
    found: dict[str, str] = {}
    classes = documented.__mro__ if isinstance(documented, type) else ()
    for part in reversed(classes or (documented,)):
        if part.__module__.partition(".")[0] == "lavaseg":
            found |= _own(part)
    return found


def resolved(words: str, name: str, others: Mapping[str, Callable[..., Any]]) -> str:
    """A description, that of another function in place of "as `other`".

    Args:
        name: of the option that it describes.
        others: functions that may be meant, by the last part of their names.
    """
    reference = _AS.match(words)
    other = others.get(reference[1]) if reference else None
    if reference is None or other is None:
        return words
    rest = words[reference.end() :].lstrip(" ;,.")
    there = resolved(descriptions(other).get(name, ""), name, others)
    if not there or not rest:
        return there or words
    return f"{there.rstrip('.')}; {rest}"


def summary(documented: Callable[..., Any]) -> tuple[str, str]:
    """The first line of a docstring, and the paragraphs between it and its sections."""
    parsed = docstring_parser.parse(_docstring(documented))
    return _flowing(parsed.short_description or ""), parsed.long_description or ""


def source(documented: Callable[..., Any]) -> str:
    """The papers that a docstring names under Source; empty if it names none."""
    found = re.search(r"^Source: (.*?)(?:\n\n|\Z)", _docstring(documented), re.M | re.S)
    return _flowing(found[1]) if found else ""


def _docstring(documented: Callable[..., Any]) -> str:
    return inspect.cleandoc(documented.__doc__ or "")


def _own(part: Callable[..., Any]) -> dict[str, str]:
    found = {}
    for parameter in docstring_parser.parse_from_object(part).params:
        words = _flowing(parameter.description or "")
        for name in parameter.arg_name.split(","):
            if words:
                found[name.strip()] = words
    return found


def _flowing(text: str) -> str:
    """A text on one line, in YAML's words for what Python calls None, True and False."""
    words = " ".join(text.split())
    for python, yaml in (("None", "null"), ("True", "true"), ("False", "false")):
        words = re.sub(rf"\b{python}\b", yaml, words)
    return words
