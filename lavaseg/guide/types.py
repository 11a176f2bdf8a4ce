"""Types, limits and defaults of fields and options, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

from lavaseg.system.options import in_words

_BOUNDS = {"ge": "{} or more", "gt": "above {}", "le": "{} or less", "lt": "below {}"}
"""Attributes that a declaration's metadata may have, in words."""


def type_in_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """'a number, above 0 and below 1'; 'a list of whole numbers, each 1 or more'.

    Args:
        annotation: the declared type.
        metadata: its limits, as pydantic keeps them.
    """
    inner = _inner(annotation)
    parts = [in_words(annotation), _length([*metadata, *inner]), _bounds(metadata)]
    each = _bounds(inner)
    return ", ".join(part for part in [*parts, each and f"each {each}"] if part)


def value_in_words(value: Any) -> str:
    """A value as YAML spells it: true, null, [1, 2], 0.001."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(value_in_words, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {value_in_words(v)}' for key, v in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value) if value != "" else '""'


def _flat(metadata: Sequence[Any]) -> list[Any]:
    """Metadata, those of a field among them taken apart."""
    return [part for item in metadata for part in (item, *_flat(getattr(item, "metadata", ())))]


def _bounds(metadata: Sequence[Any]) -> str:
    """'0 to 1', 'above 0 and below 1'; empty if there are none."""
    found = {
        name: value_in_words(getattr(item, name))
        for item in _flat(metadata)
        for name in _BOUNDS
        if getattr(item, name, None) is not None
    }
    if {"ge", "le"} <= found.keys():
        return f"{found['ge']} to {found['le']}"
    return " and ".join(_BOUNDS[name].format(value) for name, value in found.items())


def _length(metadata: Sequence[Any]) -> str:
    """'2 or more of them'; empty if any number may be."""
    least = [item.min_length for item in _flat(metadata) if hasattr(item, "min_length")]
    return f"{least[0]} or more of them" if least and least[0] else ""


def _inner(annotation: Any) -> list[Any]:
    """Metadata of what a list or a union is made of."""
    found: list[Any] = []
    for item in get_args(annotation):
        if get_origin(item) is Annotated:
            found += getattr(item, "__metadata__", ())
        found += _inner(item)
    return found
