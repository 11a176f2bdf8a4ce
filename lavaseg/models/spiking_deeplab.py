"""Spiking-DeepLab (Kim, Chough, Panda 2022): a dilated VGG9 with an accumulating read-out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    Current,
    Input,
    Network,
    Node,
    Population,
    Projection,
    SumPool,
)

CHANNELS = (1, 1, 2, 2, 4, 4, 4, 16)
"""Channels of the eight 3x3 convolutions, in multiples of `width` (64 as published)."""


def spiking_deeplab(
    input_: Input,
    classes: int,
    *,
    width: int = 64,
    channels: Sequence[int] | None = None,
    dilations: Sequence[int] = (1, 1, 1, 1, 1, 2, 2, 12),
    output_stride: Literal[1, 2, 4] = 4,
    preset: Literal["hardware", "published"] = "hardware",
    threshold: float = 1.0,
    voltage_decay: int | None = None,
) -> Network:
    """Eight 3x3 convolutions, each into spiking neurons, then a 1x1 that accumulates logits.

    Args:
        input_: what the host feeds.
        classes: channels of the read-out.
        width: channels of the first layer; the others keep the published ratios.
        channels: the eight layers' channels, instead of `width`.
        dilations: the eight layers' dilations (padding keeps the size).
        output_stride: how much smaller than the input the read-out is; 4 as published. The
            smaller ones leave out the second, or both, of the size reductions.
        preset: "hardware" runs on Loihi as it is: strided convolutions, hard reset, batch norm
            over time (tdBN). "published" is what Kim et al.'s code trains, but for its norm:
            3x3 stride-2 average pooling of spikes, soft reset, leak 0.99.
        threshold: firing threshold of every spiking population.
        voltage_decay: in 1/4096; by default 0 (hardware) or 41, a leak of 0.99 (published).

    Source: Kim et al. 2022, Table 1, with their published code where the two disagree.
    """
    widths = tuple(channels) if channels is not None else tuple(width * m for m in CHANNELS)
    if len(widths) != len(CHANNELS) or min(widths) < 1:
        raise LavasegError(f"spiking_deeplab: channels must be 8 positive numbers, got {widths}")
    if len(dilations) != len(CHANNELS) or min(dilations) < 1:
        raise LavasegError(
            f"spiking_deeplab: dilations must be 8 positive numbers, got {dilations}"
        )
    if output_stride not in (1, 2, 4):
        raise LavasegError(f"spiking_deeplab: output_stride must be 1, 2 or 4, got {output_stride}")
    if preset not in ("hardware", "published"):
        raise LavasegError(
            f"spiking_deeplab: preset must be 'hardware' or 'published', got {preset!r}"
        )
    published = preset == "published"
    leak = voltage_decay if voltage_decay is not None else (41 if published else 0)
    reduce_before = {4: (2, 4), 2: (2,), 1: ()}[output_stride]

    nodes: list[Node] = []
    projections: list[Projection] = []
    source = input_.name
    for index, (outputs, dilation) in enumerate(zip(widths, dilations, strict=True)):
        name = f"conv{index + 1}"
        reduces = index in reduce_before
        if reduces and published:
            nodes.append(Current(f"pool{index}"))
            pool = SumPool((3, 3), (2, 2), (1, 1), average=True)
            projections.append(Projection(source, f"pool{index}", pool))
            source = f"pool{index}"
        nodes.append(
            Population(
                name,
                threshold=threshold,
                voltage_decay=leak,
                reset="soft" if published else "hard",
                norm="batch",
            )
        )
        stride = 2 if reduces and not published else 1
        around = (dilation, dilation)
        conv = Conv(outputs, (3, 3), (stride, stride), padding=around, dilation=around)
        projections.append(Projection(source, name, conv))
        source = name
    nodes.append(Population("readout", threshold=None))
    projections.append(Projection(source, "readout", Conv(classes, (1, 1))))
    return Network(input_, tuple(nodes), tuple(projections), readout="readout")
