"""What is wrong with a call, in one sentence; and the options that may stand anywhere in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from lavaseg.system.words import meant, or_like

EVERYWHERE = ("--quiet", "-q", "--verbose", "-v", "--debug")
"""Flags of all commands, which stand before the command or behind it."""
_END = "--"
"""Behind it nothing is an option."""
_NO_COMMAND = re.compile(r"No such command '(.*?)'\.")
_NO_VALUE = re.compile(r"Option '(.*)' requires an argument")
_EXTRA = re.compile(r"Got unexpected extra argument\(s\) \((.*)\)", re.S)


def hoisted(words: Sequence[str]) -> list[str]:
    """The words of a call, flags of all commands first."""
    end = words.index(_END) if _END in words else len(words)
    flags = [word for word in words[:end] if word in EVERYWHERE]
    return [*flags, *(word for word in words[:end] if word not in EVERYWHERE), *words[end:]]


def sentence(error: typer.TyperException) -> str:
    """What typer found wrong with a call, and what was probably meant or can be done."""
    context = getattr(error, "ctx", None)
    if found := _NO_VALUE.match(error.format_message()):
        return f"{found[1]} needs a value behind it"
    if context is None:
        return _lower(error.format_message())
    path, message = context.command_path, error.format_message()
    known = f"; `{path} --help` lists them"
    if name := getattr(error, "option_name", None):
        if hasattr(error, "possibilities"):
            return f"`{path}` has no option {name}{meant(name, _options(context)) or known}"
        return f"`{path}`: {_lower(message)}"
    if found := _NO_COMMAND.match(message):
        name, names = found[1], [*context.command.commands]
        return f"`{path}` has no command {name!r}{meant(name, names) or known}"
    if message == "Missing command.":
        return f"`{path}` needs a command: {', '.join(context.command.commands)}"
    if found := _EXTRA.match(message):
        return f"`{path}` has no place for {found[1]!r}; `{path} --help` shows what it takes"
    parameter = getattr(error, "param", None)
    if parameter is None:
        return f"`{path}`: {_lower(message)}"
    if hasattr(error, "param_type"):
        return f"`{path}` needs {_name(parameter)}: {_first(parameter.help or '')}"
    return f"{_name(parameter)}{_value(error, parameter)}"


def _value(error: Any, parameter: Any) -> str:
    """What is wrong with a value, and the value."""
    found: list[Any] = getattr(error.__cause__, "errors", list)()
    if not found:
        return f": {_lower(error.message)}"
    value, choices = str(found[0]["input"]), parameter.type_descriptor.choices
    if choices is not None:
        names = [str(getattr(choice, "value", choice)) for choice in choices]
        return f" {value!r}{or_like(value, names)}"
    fault = found[0]["msg"].replace("Input", "it", 1).replace("valid integer", "whole number")
    return f" {value!r}: {_lower(fault.partition(',')[0])}"


def _options(context: Any) -> Iterable[str]:
    """Options that may stand in a call of a command."""
    for parameter in context.command.get_params(context):
        yield from (word for word in parameter.opts if word.startswith("--"))
    yield from (word for word in EVERYWHERE if word.startswith("--"))


def _name(parameter: Any) -> str:
    """How the help calls a parameter: --limit, or RUN."""
    longest = str(max(parameter.opts, key=len))
    return longest if longest.startswith("-") else parameter.get_error_hint().strip("'[]").upper()


def _lower(text: str) -> str:
    """A sentence as the end of another one."""
    return text[:1].lower() + text[1:].rstrip(".")


def _first(text: str) -> str:
    """The first sentence of a help text, as the end of another one."""
    return re.split(r"[.;](?:\s|$)", text.strip(), maxsplit=1)[0]
