"""What differs between recipes: only the fields that do, across all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lavaseg.recipes import Recipe

ABSENT = "–"
"""The value of a field that a recipe does not have."""
_WORDS = {"name", "title", "paper"}
"""Fields that say what a recipe is called, and change nothing."""


def differing_fields(recipes: Sequence[Recipe | None]) -> dict[str, list[str]]:
    """Fields in which recipes differ, with the value of each.

    Args:
        recipes: None where there is none, of a network alone.

    Returns:
        By dotted field, one text a recipe, `ABSENT` where it has no such field.
    """
    flat = [None if r is None else flattened(r.model_dump(exclude=_WORDS)) for r in recipes]
    known = [found for found in flat if found is not None]
    names = dict.fromkeys(name for found in known for name in found)
    return {
        name: [ABSENT if found is None else _text(found.get(name, ABSENT)) for found in flat]
        for name in _in_order(names)
        if len({_text(found.get(name, ABSENT)) for found in known}) > 1
    }


def _in_order(names: Mapping[str, None]) -> list[str]:
    """Fields of one section together, sections in the order of a recipe."""
    sections = list(dict.fromkeys(name.partition(".")[0] for name in names))
    return sorted(names, key=lambda name: sections.index(name.partition(".")[0]))


def flattened(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted fields."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _text(value: Any) -> str:
    """A value as a recipe writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    return str(value) or '""'
