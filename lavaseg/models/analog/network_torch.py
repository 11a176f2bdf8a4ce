"""An artificial network behind the interface of a spiking one, and what its layers give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lavaseg.errors import LavasegError
from lavaseg.network import Conv, ConvTranspose, Input, Shape

Outputs = torch.Tensor | Sequence[torch.Tensor]
"""Logits (N, K, h, w), or those of several scales, the last of which counts."""


class AnalogNetwork(nn.Module):
    """An artificial network that takes what a spiking one takes, and answers alike.

    It sees the mean over time of the encoded input, scaled to 0 .. 1, or, where its body takes
    frames, each step as one frame. Its logits are multiplied by
    T, as a read-out that got them at every step would have gathered them; so one loop, one loss
    and one metric serve both.

    Args:
        body: pictures (N, C, H, W) to `Outputs`; with an attribute `frames` above 1, frames
            (N * frames, C, H, W), those of a sample one after the other.
        input_: what the encoder gives.
        macs: multiply-accumulates of one pass, as its energy is estimated from.
    """

    def __init__(self, body: nn.Module, input_: Input, macs: int) -> None:
        super().__init__()
        self.body = body
        self.macs = macs
        self.input_scale = 1.0 / input_.max_message
        self.frames = frames_of(body)

    def check_steps(self, steps: int) -> None:
        """Refuse an input of as many steps, unless the body takes it.

        Raises:
            LavasegError: it takes another number of frames.
        """
        if self.frames not in (1, steps):
            raise LavasegError(
                f"the network averages the features of {self.frames} frames (model option "
                f"'frames'), one a step, and the encoder has {steps} steps: set both alike"
            )

    def forward(
        self,
        messages: torch.Tensor,
        auxiliary: Callable[[torch.Tensor], None] | None = None,
    ) -> torch.Tensor:
        """T times the logits, (N, K, h, w).

        Args:
            messages: encoded input (N, C, H, W, T).
            auxiliary: called with T times the logits of each further scale.
        """
        steps = messages.shape[-1]
        self.check_steps(steps)
        if self.frames > 1:
            picture = messages.movedim(-1, 1).flatten(0, 1)
        else:
            constant = messages.stride(-1) == 0 or steps == 1
            picture = messages[..., 0] if constant else messages.mean(-1)
        outputs: Outputs = self.body(picture * self.input_scale)
        if isinstance(outputs, torch.Tensor):
            outputs = [outputs]
        if auxiliary is not None:
            for logits in outputs[:-1]:
                auxiliary(logits * steps)
        return outputs[-1] * steps


def frames_of(body: nn.Module) -> int:
    """How many pictures a body takes for one sample."""
    frames: int = getattr(body, "frames", 1)
    return frames


CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def pass_shapes(body: nn.Module, source: Shape) -> None:
    """One pass over a picture of shape `source` that only gives every layer's shape to its hooks.

    Convolutions answer with zeros and norms with what they get. On torch's meta device, which
    would do that by itself, the first norm or concatenation imports torch's compiler, for 2 s.
    """
    shortened = [m for m in body.modules() if isinstance(m, (*CONVOLUTIONS, nn.BatchNorm2d))]
    try:
        for module in shortened:
            vars(module)["forward"] = partial(_shape_only, module)
        with torch.no_grad():
            body.eval()(torch.zeros((frames_of(body), *source)))
    finally:
        for module in shortened:
            vars(module).pop("forward", None)


class Unfilled(TorchFunctionMode):
    """While active, modules are made without drawing their weights: memory that is not touched."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> torch.Tensor:
        kwargs = kwargs or {}
        draws = (torch.Tensor.normal_, torch.Tensor.uniform_)
        if func in draws or getattr(func, "__module__", "") == "torch.nn.init":
            tensor: torch.Tensor = args[0] if args else kwargs["tensor"]
            return tensor
        result: torch.Tensor = func(*args, **kwargs)
        return result


def _shape_only(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Zeros in the shape of what a convolution gives; a norm's input."""
    if not isinstance(module, CONVOLUTIONS):
        return x
    operator: type[Conv | ConvTranspose] = Conv
    geometry = {name: getattr(module, name) for name in ("stride", "padding", "dilation", "groups")}
    geometry |= {"channels": module.out_channels, "kernel": module.kernel_size}
    if isinstance(module, nn.ConvTranspose2d):
        operator = ConvTranspose
        geometry["output_padding"] = module.output_padding
    channels, height, width = x.shape[1:]
    return x.new_zeros((len(x), *operator(**geometry).output_shape((channels, height, width))))


def numbered(name: str, use: int) -> str:
    """Name that `watching` gives a submodule when it is used for the `use`-th time, from 1."""
    return name if use == 1 else f"{name}#{use}"


See = Callable[[str, nn.Module, torch.Tensor], None]
"""Called with the name of a layer, its submodule, and its output (N, C, H, W)."""


@contextmanager
def watching(body: nn.Module, see: See) -> Iterator[None]:
    """While open, each pass shows every layer to `see`.

    A layer is a submodule without children. A norm or a nonlinearity that takes nothing but the
    output of the submodule before it, and keeps its shape, is a part of that layer: `see` is called
    again with its output, and the last call is what the layer gives. One that takes something else,
    such as a sum of several, is a layer of its own. What a pass does without submodules is not
    seen. A submodule that is used again has its number of uses behind its name: "conv#2".
    """
    uses: Counter[str] = Counter()
    last: tuple[str, nn.Module, torch.Tensor] | None = None

    def start(*_: Any) -> None:
        nonlocal last
        uses.clear()
        last = None

    def hook(name: str) -> Callable[..., None]:
        def record(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            nonlocal last
            weighted = any(p.ndim > 1 for p in module.parameters())
            follows = last is not None and inputs[0] is last[2] and output.shape == last[2].shape
            if last is not None and follows and not weighted:
                last = (*last[:2], output)
            else:
                uses[name] += 1
                last = numbered(name, uses[name]), module, output
            see(*last)

        return record

    handles = [body.register_forward_pre_hook(start)]
    handles += [
        module.register_forward_hook(hook(name))
        for name, module in body.named_modules()
        if not list(module.children())
    ]
    try:
        yield
    finally:
        last = None
        for handle in handles:
            handle.remove()
