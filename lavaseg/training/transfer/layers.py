"""Layers of a model by name, each with its values; and layers that training leaves as they are.

A value is known by its kind and what it belongs to, `("weight", "input_to_conv1")` or
`("norm.running_mean", "conv1")`, so that a spiking network and its artificial twin, which call
their modules otherwise, have the same names for the same values. A layer of a description is a
node with all that arrives there; of a torch module of its own, a submodule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from lavaseg.errors import LavasegError
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import Network
from lavaseg.system.words import or_like
from lavaseg.training.network import SpikingNetwork

Model = SpikingNetwork | AnalogNetwork
Key = tuple[str, str]
"""Kind of a value, and the projection, node or submodule that it belongs to."""

_BODY = "body."
_PREFIXES = ("module.", "model.", "_orig_mod.")
"""What others put in front of names: data-parallel training, lightning, compilation."""
_KINDS = (
    (re.compile(r"synapses\.([^.]+)\.synapse\.(weight)"), ""),
    (re.compile(r"synapses\.([^.]+)\.(gain)"), ""),
    (re.compile(r"delays\.([^.]+)\.(delay)"), ""),
    (re.compile(r"(?:body\.)?convolutions\.([^.]+)\.(weight)"), ""),
    (re.compile(r"(?:body\.)?norms\.([^.]+)\.(\w+)"), "norm."),
)
_OF_NODES = re.compile(r"(?:body\.)?(bias|clock)(?:e?s)\.([^.]+)")
_OF_PROJECTIONS = frozenset({"weight", "gain", "delay"})
_NEURONS, _CONFUSION = "neurons.", "confusion."


def key_of(name: str) -> Key | None:
    """What an entry of a state dict is; None of what the description says, such as decays."""
    while prefix := next((p for p in _PREFIXES if name.startswith(p)), None):
        name = name.removeprefix(prefix)
    if name.startswith((_NEURONS, _CONFUSION)):
        return None
    for pattern, kind in _KINDS:
        if found := pattern.fullmatch(name):
            return kind + found[2], found[1]
    if found := _OF_NODES.fullmatch(name):
        return found[1], found[2]
    owner, _, kind = name.removeprefix(_BODY).rpartition(".")
    return kind, owner


def is_synaptic(key: Key, value: torch.Tensor) -> bool:
    """Whether a value is what inputs are multiplied with and added up, and no norm's factor."""
    return key[0] == "weight" and value.ndim > 1


def network_of(model: Model) -> Network | None:
    """The description that a model interprets; None of a torch module of its own."""
    found = getattr(model if isinstance(model, SpikingNetwork) else model.body, "network", None)
    return found if isinstance(found, Network) else None


def targets_of(network: Network | None) -> dict[str, str]:
    """The node that each projection leads to; none where there is no description."""
    return {} if network is None else {p.name: p.target for p in network.projections}


def layer_of(key: Key, targets: Mapping[str, str]) -> str:
    """The layer that a value belongs to, by the nodes that projections lead to.

    One that is not known leads where its name says, as it does unless a model names it itself.
    """
    kind, owner = key
    if kind not in _OF_PROJECTIONS:
        return owner
    return targets.get(owner) or owner.rpartition("_to_")[2]


def keys_of(model: nn.Module) -> dict[Key, str]:
    """The name in the state dict of each of a model's values."""
    known = ((key_of(name), name) for name in model.state_dict())
    return {key: name for key, name in known if key is not None}


def layers_of(model: Model) -> dict[str, list[Key]]:
    """The values of each layer, in the order of a pass."""
    network = network_of(model)
    targets = targets_of(network)
    found: dict[str, list[Key]] = {n.name: [] for n in (network.ordered if network else ())}
    for key in keys_of(model):
        found.setdefault(layer_of(key, targets), []).append(key)
    return {name: keys for name, keys in found.items() if keys}


def matching(layers: Iterable[str], patterns: Sequence[str], field: str) -> tuple[str, ...]:
    """The layers that names or patterns with *, ? and [] mean, in their own order.

    Raises:
        LavasegError: a pattern means none; names the field and the layer that was probably meant.
    """
    layers = tuple(layers)
    for pattern in patterns:
        if not any(fnmatchcase(layer, pattern) for layer in layers):
            raise LavasegError(
                f"{field} names {pattern!r}, which no layer is called"
                f"{or_like(pattern, layers, 'the layers are')}"
            )
    return tuple(n for n in layers if any(fnmatchcase(n, pattern) for pattern in patterns))


def frozen_layers(model: Model, patterns: Sequence[str]) -> tuple[str, ...]:
    """The layers that `init.frozen` means.

    Raises:
        LavasegError: a pattern that means no layer, or nothing would be left to train.
    """
    layers = layers_of(model)
    found = matching(layers, patterns, "init.frozen")
    rest = (key for name, keys in layers.items() if name not in found for key in keys)
    names, trained = keys_of(model), {name for name, _ in model.named_parameters()}
    if not any(names[key] in trained for key in rest):
        raise LavasegError("init.frozen names every layer, so that there is nothing to train")
    return found


def freeze(model: Model, layers: Sequence[str]) -> tuple[nn.Module, ...]:
    """Let no gradient reach the values of layers.

    Returns:
        The submodules that hold them, which must stay in eval mode: there a norm takes the
        statistics that it has, and does not gather any.
    """
    names, known = keys_of(model), layers_of(model)
    held = {names[key] for layer in layers for key in known[layer]}
    for name, parameter in model.named_parameters():
        if name in held:
            parameter.requires_grad_(False)
    owners = {name.rpartition(".")[0] for name in held}
    # lists of parameters are no submodules with a mode, and belong to all nodes
    norms = (module for name, module in model.named_modules() if name in owners)
    return tuple(m for m in norms if not isinstance(m, (nn.ParameterDict, nn.ModuleDict)))
