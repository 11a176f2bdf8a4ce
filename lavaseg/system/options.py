"""Options that users give as plain data, held against the types that a function declares for them.

A wrong one is named in the words of a recipe, before the function sees it.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from lavaseg.system.json_types import fits

_WORDS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false each"),
    str: ("text", "texts"),
    type(None): ("null", "null"),
    Any: ("a value", "values"),
}


def wrong_option(
    declared: Callable[..., Any], options: Mapping[str, Any]
) -> tuple[str, str] | None:
    """The first option whose value is of another type than declared, and what was expected.

    Args:
        declared: a function, or a class whose annotations are its fields.
        options: some of its arguments; those that it does not have are left to its caller.
    """
    names = inspect.signature(declared).parameters
    hints = get_type_hints(declared)
    for name, value in options.items():
        if name in names and name in hints and not _fits(hints[name], value):
            return name, f"{in_words(hints[name])}, got {value!r}"
    return None


def _fits(hint: Any, value: Any) -> bool:
    try:
        plain = json.loads(json.dumps(value, default=_plain))
    except (TypeError, ValueError, RecursionError):
        return True  # an object of Python, which no recipe holds: the function judges it
    alone = get_origin(hint) is tuple and get_args(hint)[-1:] == (...,)
    return fits(plain, hint) or (alone and fits([plain], hint))  # one stands for a list of one


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def in_words(hint: Any, *, several: bool = False) -> str:
    """A type in words: 'a whole number or null'.

    Args:
        several: in the plural.
    """
    if hint in _WORDS:
        return _WORDS[hint][several]
    kind, items = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return in_words(items[0], several=several)
    if kind is Literal:
        return "one of " + ", ".join(map(str, items))
    if hasattr(hint, "model_fields"):  # a section of pydantic's, which need not be imported
        return "sections" if several else "a section"
    if kind in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(item, several=several) for item in items))
    if kind is tuple and items[-1:] != (...,):
        return f"a list of {len(items)} {in_words(items[0], several=True)}"
    if kind is tuple or (isinstance(kind, type) and issubclass(kind, Sequence)):
        return f"a list of {in_words(items[0], several=True)}"
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return "a mapping"
    return "another value"
