"""Recipes as YAML for people: what was chosen alone, or every field with what it means."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from lavaseg.guide.reference import Entry, data_functions, model_functions, sections
from lavaseg.recipes import Recipe
from lavaseg.system.settings import write_yaml

_COLUMNS = 100


def chosen(recipe: Recipe) -> str:
    """A recipe as YAML, without the fields that have their defaults."""
    return _text(recipe.model_dump(exclude_defaults=True))


def commented(recipe: Recipe) -> str:
    """A recipe as YAML with every field, and above each what it means.

    Options of the data set and the model that the recipe leaves at their defaults are there, too.
    """
    known = _entries(recipe)
    fields = recipe.model_dump()
    for section in ("data", "model"):
        options = fields[section]["options"]
        defaults = _defaults(section, fields[section]["name"])
        fields[section]["options"] = {**defaults, **options}
    return "\n".join(_lines(fields, known, "", 0)) + "\n"


def _defaults(section: str, name: str) -> dict[str, Any]:
    """Options of a data set or model with their defaults; none of one that must be given."""
    functions = data_functions() if section == "data" else model_functions()
    parameters = inspect.signature(functions[name]).parameters if name in functions else {}
    return {
        option: parameter.default
        for option, parameter in parameters.items()
        if parameter.default is not parameter.empty
    }


def _entries(recipe: Recipe) -> dict[str, Entry]:
    """What is known of each dotted field of a recipe."""
    wanted = {
        "data": recipe.data.name,
        "model": recipe.model.name,
        "encoder": recipe.encoder["kind"],
    }
    return {
        entry.path: entry
        for section in sections()
        if section.kind == "recipe" or wanted.get(section.kind) == section.name
        for entry in section.entries
    }


def _lines(
    fields: Mapping[str, Any], known: Mapping[str, Entry], prefix: str, depth: int
) -> Iterator[str]:
    margin = "  " * depth
    for name, value in fields.items():
        path, entry = f"{prefix}{name}", known.get(f"{prefix}{name}")
        if depth == 0 and isinstance(value, dict):
            yield ""
        if entry is not None:
            kind = "" if entry.type.endswith("section") else f" ({entry.type})"
            yield from textwrap.wrap(
                entry.words + kind,
                _COLUMNS,
                initial_indent=f"{margin}# ",
                subsequent_indent=f"{margin}# ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        nested = isinstance(value, dict) and any(p.startswith(f"{path}.") for p in known)
        if nested and value:
            yield f"{margin}{name}:"
            yield from _lines(value, known, f"{path}.", depth + 1)
        else:
            single = not isinstance(value, (dict, list, tuple))
            text = write_yaml({name: value}) if single else _text({name: value})
            yield textwrap.indent(text, margin).rstrip("\n")


def _text(fields: Mapping[str, Any]) -> str:
    """YAML with lists and small mappings on one line, as people write them."""
    return write_yaml(_listed(fields), default_flow_style=None, width=_COLUMNS)


def _listed(value: Any) -> Any:
    """Plain data for YAML: tuples become lists."""
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return value
