"""What fits is taken: values of the same layer and shape, of other T by the rule of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import DECAY_UNITY, Population
from lavaseg.network.steps import clock_at, steps_taken
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.slayer.delays import ChannelDelays
from lavaseg.training.transfer.given import Given
from lavaseg.training.transfer.layers import (
    Key,
    Model,
    is_synaptic,
    keys_of,
    layer_of,
    layers_of,
    network_of,
    targets_of,
)

_MERGED = "merged with other layers by export"


@dataclass(frozen=True)
class Taken:
    """What a model has taken, and what not.

    Args:
        layers: that were taken.
        partly: what is new in layers that were taken for the rest, in words.
        new: layers that were drawn, and why.
        unused: layers that were given and that the model does not have.
        shifts: of nodes whose norm was folded away where the values come from, what it added:
            (channels,), or (T, channels).
    """

    layers: tuple[str, ...]
    partly: Mapping[str, str]
    new: Mapping[str, str]
    unused: tuple[str, ...]
    shifts: Mapping[str, np.ndarray]


def take(model: Model, given: Given, classes: Sequence[str], drawn: Sequence[str]) -> Taken:
    """Give a model what fits of other weights.

    A layer none of whose synaptic weights fits is drawn as a whole, its norm included.

    Args:
        classes: names of the model's classes; with other names, what tells classes apart is drawn.
        drawn: layers that are drawn though they fit.

    Raises:
        LavasegError: not one layer fits.
    """
    return _Taking(model, given, classes, drawn).done()


class _Taking:
    def __init__(
        self, model: Model, given: Given, classes: Sequence[str], drawn: Sequence[str]
    ) -> None:
        self.model, self.given = model, given
        self.network = network_of(model)
        self.names, self.state = keys_of(model), model.state_dict()
        self.drawn = set(drawn)
        self.other = given.classes is not None and tuple(given.classes) != tuple(classes)
        self.heads = heads(model, len(classes)) if self.other else ()

    def done(self) -> Taken:
        partly: dict[str, str] = {}
        new: dict[str, str] = {}
        shifts: dict[str, np.ndarray] = {}
        layers = layers_of(self.model)
        found: dict[str, torch.Tensor] = {}
        for layer, keys in layers.items():
            fitting = self._whole_norms({key: self._fitted(key) for key in keys})
            why = self._why_new(layer, fitting)
            if why:
                new[layer] = why
                continue
            found |= {self.names[k]: v for k, v in fitting.items() if v is not None}
            missing = [k for k, v in fitting.items() if v is None and not _counts(k)]
            if self._is_folded(layer):
                shifts[layer] = self._shift(layer)
                found.pop(self.names.get(("bias", layer), ""), None)  # the shift holds it
                missing = [key for key in missing if not key[0].startswith("norm.")]
            if missing:
                parts = dict.fromkeys(_part(key) for key in missing)
                partly[layer] = f"without its {', '.join(parts)}"
        taken = tuple(layer for layer in layers if layer not in new)
        if not taken:
            self._refuse(new)
        self.model.load_state_dict(found, strict=False)
        for module in self.model.modules():
            if isinstance(module, ChannelDelays):
                module.clamp()  # longer ones than this network may have
        return Taken(taken, partly, new, self._unused(layers), shifts)

    @staticmethod
    def _whole_norms(
        fitting: dict[Key, torch.Tensor | None],
    ) -> dict[Key, torch.Tensor | None]:
        """The same, but for a norm of which a part is missing: statistics go with its factors."""
        norm = [key for key in fitting if key[0].startswith("norm.") and not _counts(key)]
        if any(fitting[key] is None for key in norm):
            return {**fitting, **dict.fromkeys(norm)}
        return fitting

    def _why_new(self, layer: str, fitting: Mapping[Key, torch.Tensor | None]) -> str:
        """Why a layer is drawn; empty if it is taken."""
        if layer in self.drawn:
            return "as init.new says"
        if layer in self.given.merged:
            return _MERGED
        synaptic = [k for k in fitting if is_synaptic(k, self.state[self.names[k]])]
        needed = synaptic or [k for k in fitting if not _counts(k)]
        if all(fitting[key] is None for key in needed):
            known = [key for key in needed if key in self.given.values]
            return self._shapes(known[0]) if known else "not there"
        return "other classes" if layer in self.heads else ""

    def _shapes(self, key: Key) -> str:
        own = self.state[self.names[key]].shape
        plain = own[:-1] if len(own) == 5 else own  # SLAYER's axis of time
        there = self.given.values[key].shape
        return f"{_by(plain)} here, {_by(there[:-1] if len(there) == 5 else there)} there"

    def _fitted(self, key: Key) -> torch.Tensor | None:
        """A given value in the shape that the model has; None if it does not fit."""
        array, wanted = self.given.values.get(key), self.state[self.names[key]]
        if array is None:
            return None
        shape = tuple(wanted.shape)
        if array.shape != shape and (*array.shape, 1) == shape:
            array = array.reshape(shape)
        if array.shape != shape and array.shape == (*shape, 1):
            array = array.reshape(shape)
        if array.shape != shape and self._differs_in_steps(key, array.shape, shape):
            array = self._at_steps(key, array, shape[0])
        if array.shape != shape:
            return None
        return torch.from_numpy(np.array(array)).to(wanted.dtype)

    def _differs_in_steps(self, key: Key, shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
        by_step = key[0] == "clock" or key[0].startswith("norm.")
        return by_step and len(shape) == len(wanted) == 2 and shape[1] == wanted[1]

    def _at_steps(self, key: Key, array: np.ndarray, steps: int) -> np.ndarray:
        node = None if self.network is None else self.network[key[1]]
        if key[0] == "clock" and isinstance(node, Population):
            return clock_at(array, steps, node.current_decay)
        return array[steps_taken(len(array), steps)]

    def _is_folded(self, layer: str) -> bool:
        """Whether a layer has a norm here, and had none, or a folded one, where it comes from."""
        there, here = self.given.network, self.network
        if not isinstance(self.model, SpikingNetwork) or here is None or there is None:
            return False
        if here[layer].norm not in ("batch", "bntt_shift"):
            return False
        return self.given.folded or (layer in there.shapes and there[layer].norm == "none")

    def _shift(self, layer: str) -> np.ndarray:
        """What is added to the current of a node where no norm is left."""
        assert self.network is not None
        bias = self.given.values.get(("bias", layer))
        shift = np.zeros(self.network.shape(layer)[0]) if bias is None else np.asarray(bias)
        node = self.network[layer]
        clock = self.given.values.get(("clock", layer))
        if clock is None or not isinstance(node, Population) or node.clock:
            return shift
        kept = 1 - node.current_decay / DECAY_UNITY
        current, sums = np.zeros(clock.shape[1:]), []
        for added in clock:  # a clock enters the filtered current, a shift what follows it
            current = kept * current + added
            sums.append(current)
        return shift + np.array(sums)

    def _unused(self, layers: Mapping[str, Sequence[Key]]) -> tuple[str, ...]:
        targets = targets_of(self.given.network)
        there = (layer_of(key, targets) for key in self.given.values)
        return tuple(dict.fromkeys(n for n in (*there, *self.given.others) if n not in layers))

    def _refuse(self, new: Mapping[str, str]) -> None:
        misfits = ", ".join(f"{layer} ({why})" for layer, why in list(new.items())[:3])
        unused = ", ".join(self._unused(layers_of(self.model))[:3])
        there = f"; what is there is called {unused}" if unused else ""
        raise LavasegError(
            f"init.weights: {self.given.title} has no layer that fits the network: {misfits}{there}"
        )


def heads(model: Model, classes: int) -> tuple[str, ...]:
    """The layers whose channels are the classes: read-outs, auxiliary ones included."""
    network = network_of(model)
    if network is not None:
        outputs = (network.readout, *network.auxiliaries)
        return tuple(name for name in outputs if network.shape(name)[0] == classes)
    assert isinstance(model, AnalogNetwork)
    state, names = model.state_dict(), keys_of(model)
    weighted = {  # a transposed convolution has its outputs second, and none is a read-out
        layer: len(state[names[key]])
        for layer, keys in layers_of(model).items()
        for key in keys
        if is_synaptic(key, state[names[key]])
    }
    last = [layer for layer, channels in weighted.items() if channels == classes][-1:]
    beside = last[0].partition(".")[0] if last else ""
    return tuple(n for n, c in weighted.items() if c == classes and n.partition(".")[0] == beside)


def _counts(key: Key) -> bool:
    """Whether a value is how many batches a norm has seen, which changes nothing."""
    return key[0].endswith("num_batches_tracked")


def _part(key: Key) -> str:
    """What a value is, in a word or two."""
    kind, owner = key
    if kind.startswith("norm."):
        return "norm"
    return f"weights of {owner}" if kind == "weight" else kind


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"
