"""The JSON text that says what the numbers of a `.net` file mean: written, and read strictly."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from lavaseg.encoders import ENCODERS, Encoder, encoder_from_dict
from lavaseg.errors import LavasegError
from lavaseg.network import OPERATORS, Input, Network, Node, Projection
from lavaseg.network.integers import BIAS_EXPONENT_MAX, SCALE_MAX, IntegerNetwork
from lavaseg.netx.layout import DESCRIPTION, LAYOUTS
from lavaseg.netx.limits import (
    MAX_DESCRIPTION,
    MAX_NODES,
    MAX_PROJECTIONS,
    check_count,
    check_limits,
)
from lavaseg.system.json_types import check_object, fits

NODES: dict[str, type[Any]] = {cls.__name__.lower(): cls for cls in typing.get_args(Node)}
"""The kinds of nodes, by their names in the description."""

_FIELDS = ("layout", "network", "encoder", "classes", "scales", "bias_exponents")


@dataclass(frozen=True)
class Description:
    """The content of the text, checked; its fields are as those of `IntegerNetwork`.

    Args:
        layout: a key of `LAYOUTS`.
        bias_exponents: node to exponent, for each node that has a bias.
    """

    layout: str
    network: Network
    encoder: Encoder
    classes: tuple[str, ...]
    scales: dict[str, float]
    bias_exponents: dict[str, int]


# --------------------------------------------------------------------------------------------
# Writing


def description_text(net: IntegerNetwork, layout: str) -> bytes:
    """The description of `net` as UTF-8.

    Raises:
        LavasegError: it is too long, or a value is no plain data.
    """
    data = {
        "layout": layout,
        "network": net.network.to_dict(),
        "encoder": net.encoder.to_dict(),
        "classes": list(net.classes),
        "scales": dict(net.scales),
        "bias_exponents": {name: int(bias.exponent) for name, bias in net.biases.items()},
    }
    try:
        text = json.dumps(data, allow_nan=False, default=_plain, indent=1).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise LavasegError(f"the network's description cannot be written: {error}") from None
    if len(text) > MAX_DESCRIPTION:
        raise LavasegError(
            f"the network's description has {len(text)} bytes, a file holds {MAX_DESCRIPTION}"
        )
    return text


def _plain(value: Any) -> Any:
    """`value` with NumPy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not plain data")


# --------------------------------------------------------------------------------------------
# Reading


def parse_description(text: bytes) -> Description:
    """The description that a file holds, which may be anything.

    Raises:
        LavasegError: a field is missing, unknown, of the wrong type or out of range; names it.
    """
    data = _json(text)
    if not isinstance(data, dict):
        raise LavasegError(f"{DESCRIPTION} must be a JSON object")
    for key in _FIELDS:
        if key not in data:
            raise LavasegError(f"{DESCRIPTION} has no field {key!r}")
    for key in data:
        if key not in _FIELDS:
            raise LavasegError(f"{DESCRIPTION} has an unknown field {key!r}")
    network = parse_network(data["network"])
    return Description(
        _layout(data["layout"], network),
        network,
        _encoder(data["encoder"]),
        _classes(data["classes"]),
        _scales(data["scales"], network),
        _exponents(data["bias_exponents"], network),
    )


def _json(text: bytes) -> Any:
    try:
        return json.loads(
            text.decode("utf-8"),
            parse_float=_finite,
            parse_constant=_not_a_number,
            object_pairs_hook=_without_repeats,
        )
    except (ValueError, RecursionError) as error:
        raise LavasegError(f"{DESCRIPTION} is not valid JSON ({error})") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; Python's reader would take the last of two values without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a field stands twice among {', '.join(map(repr, found))}")
    return found


def parse_network(data: Any) -> Network:
    """The network that `Network.to_dict` gave, from JSON that may hold anything.

    Raises:
        LavasegError: a field is missing, unknown, of the wrong type or out of range; names it.
    """
    if not isinstance(data, dict):
        raise LavasegError("network must be a JSON object")
    check_count(data.get("nodes"), "nodes", MAX_NODES)
    check_count(data.get("projections"), "projections", MAX_PROJECTIONS)
    check_object(data, Network, "network", ("input", "nodes", "projections"))
    check_object(data.get("input"), Input, "network.input")
    for i, node in enumerate(data["nodes"]):
        _check_kind(node, "node", NODES, _where("node", node, f"network.nodes[{i}]"))
    for i, projection in enumerate(data["projections"]):
        where = _where("projection", projection, f"network.projections[{i}]")
        check_object(projection, Projection, where, ("operator",))
        if projection.get("name") == "":
            raise LavasegError(f"network.projections[{i}]: its name is empty")
        _check_kind(projection.get("operator"), "kind", OPERATORS, where)
    network = Network.from_dict(data)
    check_limits(network)
    return network


def _where(what: str, data: Any, place: str) -> str:
    """How messages refer to an object of the network: by its name, if it has one."""
    name = data.get("name") if isinstance(data, dict) else None
    return f"{what} {name!r}" if isinstance(name, str) else place


def _check_kind(data: Any, key: str, classes: Mapping[str, type[Any]], where: str) -> None:
    """Check an object of one of several classes; `Network.from_dict` refuses an unknown one."""
    if not isinstance(data, dict):
        raise LavasegError(f"{where}: a JSON object with a field {key!r} is expected")
    kind = data.get(key)
    if isinstance(kind, str) and kind in classes:
        check_object(data, classes[kind], where, (key,))


def _layout(name: Any, network: Network) -> str:
    if not isinstance(name, str) or name not in LAYOUTS:
        raise LavasegError(f"layout is {name!r}, expected one of {', '.join(LAYOUTS)}")
    if name == "sequence" and not network.is_sequence:
        raise LavasegError("layout is 'sequence', but the network has branches")
    return name


def _encoder(data: Any) -> Encoder:
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise LavasegError("encoder must be a JSON object with a field 'kind'")
    if data["kind"] in ENCODERS:
        check_object(data, ENCODERS[data["kind"]], f"encoder {data['kind']!r}", ("kind",))
    try:
        return encoder_from_dict(data)
    except (TypeError, ValueError) as error:
        raise LavasegError(f"encoder: {error}") from None


def _classes(data: Any) -> tuple[str, ...]:
    if not fits(data, tuple[str, ...]):
        raise LavasegError("classes must be a list of names")
    return tuple(data)


def _scales(data: Any, network: Network) -> dict[str, float]:
    for name, scale in _by_node(data, "scales", network).items():
        if not fits(scale, float) or not 0 < scale <= SCALE_MAX:
            raise LavasegError(f"scales.{name} is {scale!r}, expected a positive number")
    return dict(data)


def _exponents(data: Any, network: Network) -> dict[str, int]:
    for name, exponent in _by_node(data, "bias_exponents", network).items():
        if not fits(exponent, int) or not 0 <= exponent <= BIAS_EXPONENT_MAX:
            raise LavasegError(
                f"bias_exponents.{name} is {exponent!r}, expected an integer from 0 to "
                f"{BIAS_EXPONENT_MAX}"
            )
    return dict(data)


def _by_node(data: Any, where: str, network: Network) -> dict[str, Any]:
    """`data`, once each of its keys is a population, current or relay of the network."""
    if not isinstance(data, dict):
        raise LavasegError(f"{where} must be a JSON object")
    for name in data:
        if name == network.input.name or name not in network.shapes:
            raise LavasegError(f"{where} names {name!r}, which is no population of the network")
    return data
