"""JSON Schema of a `.net` file's description, made from the dataclasses that read and write it."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from pydantic import TypeAdapter

from lavaseg.encoders import ENCODERS
from lavaseg.network import OPERATORS, Input, Network, Projection
from lavaseg.network.integers import BIAS_EXPONENT_MAX, SCALE_MAX
from lavaseg.netx.description import NODES
from lavaseg.netx.layout import LAYOUTS
from lavaseg.system.json_types import fits


def description_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `lavaseg/description` in a `.net` file.

    It says which fields there are, their types, and their defaults where they can be left out.
    Conditions on several fields, such as shapes that must agree, only a reader checks. An
    operator that trains only is left out.
    """
    scale = {"type": "number", "exclusiveMinimum": 0, "maximum": SCALE_MAX}
    exponent = {"type": "integer", "minimum": 0, "maximum": BIAS_EXPONENT_MAX}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The description in a .net file of lavaseg",
        **_object(
            layout={"enum": list(LAYOUTS)},
            network={"$ref": "#/$defs/network"},
            encoder={"oneOf": [_dataclass(c, kind=kind) for kind, c in ENCODERS.items()]},
            classes=_list({"type": "string"}),
            scales={"type": "object", "additionalProperties": scale},
            bias_exponents={"type": "object", "additionalProperties": exponent},
        ),
        "$defs": {
            "network": _dataclass(
                Network,
                input=_dataclass(Input),
                nodes=_list({"oneOf": [_dataclass(cls, node=kind) for kind, cls in NODES.items()]}),
                projections=_list({"$ref": "#/$defs/projection"}),
            ),
            "projection": _dataclass(Projection, operator={"$ref": "#/$defs/operator"}),
            "operator": {
                "oneOf": [
                    _dataclass(op, kind=kind)
                    for kind, op in OPERATORS.items()
                    if op.trains_only is None
                ]
            },
        },
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(**properties: Any) -> dict[str, Any]:
    """An object that has just these fields."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _dataclass(cls: type[Any], **given: Any) -> dict[str, Any]:
    """An object with a dataclass's fields; `given` adds or replaces some: schemas or constants."""
    hints = typing.get_type_hints(cls)
    found = _object(**{k: v if isinstance(v, dict) else {"const": v} for k, v in given.items()})
    for part in dataclasses.fields(cls):
        if part.name in found["properties"] or not part.init:
            continue
        found["properties"][part.name] = TypeAdapter(hints[part.name]).json_schema()
        if part.default is dataclasses.MISSING:
            found["required"].append(part.name)
        elif fits(part.default, hints[part.name]):  # else other fields decide
            found["properties"][part.name]["default"] = part.default
    return {"description": _summary(cls), **found}


def _summary(cls: type[Any]) -> str:
    """The first sentence of a docstring."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())
