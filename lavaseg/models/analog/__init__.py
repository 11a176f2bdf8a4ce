"""Artificial networks, as baselines: torch modules by name, with the sizes that papers compare.

An `AnalogModel` is to them what `Network` is to spiking models: plain data from which the module
is built and its tables are computed. torch is imported when a module is needed.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lavaseg.errors import LavasegError
from lavaseg.models.analog.plan import AnalogPlan, Layer
from lavaseg.network import Input, Network, Shape

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lavaseg.models.analog.network_torch import AnalogNetwork

ANALOG = {
    "ann_deeplab": "rectified",
    "ann_fcn": "rectified",
    "unet": "unet",
    "segnet": "segnet",
    "mimo_unet": "mimo_unet",
    "ann_mfs_seg": "rectified_mfs_seg",
}
"""Artificial networks, and the module of this folder that holds the function of that name."""

RECTIFIED = tuple(name for name, module in ANALOG.items() if module == "rectified")
"""Artificial networks that are a description with ReLUs, which conversion makes spiking."""


@dataclass(frozen=True)
class AnalogModel:
    """An artificial network as data: it trains and is measured, and cannot be exported.

    Args:
        name: one of `ANALOG`.
        input: shape and message bits of what it sees.
        classes: channels of its logits.
        options: keyword arguments of its function.
    """

    name: str
    input: Input
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def module(self) -> AnalogNetwork:
        """The torch module, with fresh weights."""
        from lavaseg.models.analog.network_torch import AnalogNetwork

        return AnalogNetwork(self.plan.build(), self.input, self.kim_macs())

    @cached_property
    def plan(self) -> AnalogPlan:
        """The model's layers, and how to build it.

        Raises:
            LavasegError: an option is out of range, or the input too small.
        """
        return constructor(self.name)(self.input, self.classes, **self.options)

    @property
    def description(self) -> Network | None:
        """The description that it is a pass through; None if it is a torch module of its own."""
        return self.plan.arguments.get("network")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer with trained numbers, in the order of a pass."""
        return self.plan.layers

    @cached_property
    def sheets(self) -> Mapping[str, tuple[str, Shape, int]]:
        """Kind of submodule, shape of its output, and MACs, of every layer that a pass shows.

        In the order of a pass, with the names of `lavaseg.models.analog.network_torch.watching`.
        """
        from lavaseg.models.analog.network_torch import Unfilled, numbered, pass_shapes, watching

        uses: Counter[str] = Counter()
        macs: dict[str, int] = {}
        for layer in self.layers:
            uses[layer.name] += 1
            macs[numbered(layer.name, uses[layer.name])] = layer.macs
        found: dict[str, tuple[str, Shape, int]] = {}

        def see(name: str, module: nn.Module, output: torch.Tensor) -> None:
            _, channels, height, width = output.shape
            found[name] = type(module).__name__, (channels, height, width), macs.get(name, 0)

        with Unfilled():
            body = self.plan.build()
        with watching(body, see):
            pass_shapes(body, self.input.shape)
        return found

    def parameter_count(self, steps: int = 1) -> int:
        """All trained numbers, the same for any number of steps."""
        return self.plan.parameters

    def macs(self) -> int:
        """Multiply-accumulates of one pass."""
        return sum(layer.macs for layer in self.layers)

    def kim_macs(self) -> int:
        """The same by Kim et al.'s formula: transposed convolutions by their outputs."""
        return sum(layer.macs * layer.enlarges for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` is its inverse."""
        return {**dataclasses.asdict(self), "options": dict(self.options)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AnalogModel:
        """The model that `to_dict` wrote.

        Raises:
            LavasegError: `data` describes none.
        """
        try:
            fields = dict(data)
            return cls(input=Input(**fields.pop("input")), **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise LavasegError(f"not an artificial network's description: {error}") from error


def constructor(name: str) -> Callable[..., AnalogPlan]:
    """The function (input, classes, **options) -> plan of an artificial network."""
    module = importlib.import_module(f"lavaseg.models.analog.{ANALOG[name]}")
    found: Callable[..., AnalogPlan] = getattr(module, name)
    return found
