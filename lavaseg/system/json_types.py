"""Whether JSON values have exactly the types that a dataclass or a function declares.

A constructor turns 3.7 into 3, or true into 1, before anything can object; so the values are
looked at as they stand in the file.
"""

from __future__ import annotations

import dataclasses
import functools
import reprlib
import types
import typing
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, cast

from lavaseg.errors import LavasegError


def check_object(data: Any, cls: type[Any], where: str, besides: Iterable[str] = ()) -> None:
    """Refuse a JSON object that is not one of `cls`: an unknown field, or another type.

    Missing fields and values out of range are left to the constructor to refuse.

    Args:
        data: what JSON gave.
        cls: a dataclass.
        where: what to call the object.
        besides: fields that it has in JSON and that are checked elsewhere.

    Raises:
        LavasegError: names the field, its value and the type expected.
    """
    if not isinstance(data, dict):
        raise LavasegError(f"{where} must be a JSON object")
    expected = _declared(cast(Hashable, cls))
    for name, value in data.items():
        if name in besides:
            continue
        if name not in expected:
            known = ", ".join([*besides, *(n for n in expected if n not in besides)])
            raise LavasegError(f"{where} has an unknown field {name!r}; expected {known}")
        if not fits(value, expected[name]):
            found, words = reprlib.repr(value), _words(expected[name])
            raise LavasegError(f"{where}: {name} is {found}, expected {words}")


@functools.cache
def _declared(cls: Any) -> dict[str, Any]:
    """Annotation of each field that the constructor of a dataclass takes."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value has the type of an annotation; a list stands for a tuple.

    Whole numbers are numbers; booleans are none, and a float is no int, be it whole.
    """
    if hint is Any:
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin is tuple:
        if not isinstance(value, list):
            return False
        if arguments[-1] is Ellipsis:
            return all(fits(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    if origin in (list, Sequence):
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if origin in (dict, Mapping):  # keys are text in JSON
        return isinstance(value, dict) and all(fits(v, arguments[1]) for v in value.values())
    return type(value) in (int, float) if hint is float else type(value) is hint


def _words(hint: Any) -> str:
    """An annotation as it is written in code."""
    return str(hint).replace("typing.", "") if typing.get_origin(hint) else hint.__name__
