"""JSON Schema of a recipe, for editors: names, types, limits and descriptions while typing."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from lavaseg.encoders import ENCODERS
from lavaseg.guide.descriptions import descriptions
from lavaseg.guide.reference import (
    Section,
    data_functions,
    model_functions,
    option_hints,
    sections,
)
from lavaseg.recipes import LIKE, Recipe, names

FILE = "lavaseg-recipe.schema.json"
"""What the schema's file is called beside recipes that name it."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCES = "#/$defs/{model}"


def line(file: str = FILE) -> str:
    """The comment at the head of a recipe by which editors find the schema.

    Args:
        file: its path from the recipe.
    """
    return f"# yaml-language-server: $schema={file}"


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe's file: JSON Schema, draft 2020-12."""
    schema = Recipe.model_json_schema(ref_template=_REFERENCES)
    definitions = schema["$defs"]
    _describe(schema, definitions)
    properties = schema["properties"]
    properties["like"] = {"type": "string", "enum": names(), "description": LIKE}
    properties["data"] = _choice(data_functions(), "data")
    properties["model"] = _choice(model_functions(), "model")
    properties["encoder"] = _encoders()
    definitions.pop("Choice", None)
    whole = {"required": schema.pop("required"), "properties": _needed(properties, definitions)}
    return {
        "$schema": DIALECT,
        **schema,
        "title": "Recipe of lavaseg",
        "anyOf": [{"required": ["like"]}, whole],
    }


def _needed(properties: Mapping[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Fields that sections need, taken out of these: a recipe that is like another lacks some."""
    found = {}
    for name, place in properties.items():
        section = definitions.get(place.get("$ref", "").rpartition("/")[2], {})
        if "required" in section:
            found[name] = {"required": section.pop("required")}
    return found


def _describe(schema: dict[str, Any], definitions: Mapping[str, Any]) -> None:
    """Descriptions of the reference at the fields of all sections."""
    for section in sections():
        if section.kind != "recipe":
            continue
        for entry in section.entries:
            place: Any = schema
            for part in entry.path.split("."):
                reference = place.get("$ref", "").rpartition("/")[2]
                place = (definitions[reference] if reference else place).get("properties", {})
                place = place.get(part, {})
            if place and entry.words:
                place["description"] = entry.words


def _choice(functions: Mapping[str, Callable[..., Any]], kind: str) -> dict[str, Any]:
    """A section `name` and `options`, whose options follow from the name."""
    known = {section.name: section for section in sections() if section.kind == kind}
    cases = []
    for name, function in functions.items():
        options = _options(option_hints(function), function, known[name])
        needed = ["options"] if options["required"] else []
        cases.append(_case("name", name, {"properties": {"options": options}, "required": needed}))
    return {
        "description": f"Which {'data set' if kind == 'data' else kind}, and its options.",
        "type": "object",
        "properties": {"name": {"enum": [*functions]}, "options": {"type": "object"}},
        "required": ["name"],
        "additionalProperties": False,
        "allOf": cases,
    }


def _case(field: str, value: str, then: dict[str, Any]) -> dict[str, Any]:
    """What holds where a field has a value."""
    return {"if": {"properties": {field: {"const": value}}, "required": [field]}, "then": then}


def _without_default(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters
    hints = option_hints(function)
    return [name for name in hints if parameters[name].default is inspect.Parameter.empty]


def _options(
    hints: Mapping[str, Any], function: Callable[..., Any], section: Section
) -> dict[str, Any]:
    words = {entry.name: entry.words for entry in section.entries}
    return {
        "type": "object",
        "properties": {name: _typed(hint, words.get(name, "")) for name, hint in hints.items()},
        "required": _without_default(function),
        "additionalProperties": False,
    }


def _encoders() -> dict[str, Any]:
    cases = []
    for kind, encoder in ENCODERS.items():
        words, hints = descriptions(encoder), get_type_hints(encoder)
        own = [f for f in dataclasses.fields(encoder) if f.init and f.name != "interleave"]
        fields = {f.name: _typed(hints[f.name], words.get(f.name, "")) for f in own}
        needed = [f.name for f in own if f.default is dataclasses.MISSING]
        then = {
            "properties": {"kind": {"const": kind}, **fields},
            "required": needed,
            "additionalProperties": False,
        }
        cases.append(_case("kind", kind, then))
    return {
        "description": "How pictures or events become spikes.",
        "type": "object",
        "properties": {"kind": {"enum": [*ENCODERS]}},
        "required": ["kind"],
        "allOf": cases,
    }


def _typed(hint: Any, words: str) -> dict[str, Any]:
    schema = TypeAdapter(hint).json_schema()
    return {**schema, **({"description": words} if words else {})}
