"""A spiking residual network whose residual stream never spikes, as MFS-Seg's backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    Current,
    Input,
    Network,
    Node,
    OneToOne,
    Population,
    Projection,
    Upsample,
)


def _conv3x3(channels: int, stride: int = 1) -> Conv:
    return Conv(channels, (3, 3), (stride, stride), (1, 1))


def spiking_resnet(
    input_: Input,
    classes: int,
    *,
    channels: Sequence[int] = (16, 32),
    blocks: int = 2,
    threshold: float = 1.0,
    voltage_decay: int | None = None,
    levels: int | None = None,
) -> Network:
    """Stages of residual blocks that add membrane currents, and logits from every stage.

    A block is stream + norm(conv(spikes(stream))). Each stage halves the sheet; the spikes at its
    end are enlarged again, and a 1x1 of each stage accumulates in the read-out. Training computes
    the stream once; export unrolls it into direct projections.

    Args:
        channels: of each stage; the sheet must be divisible by 2 for each stage but the first.
        blocks: residual blocks of a stage.
        threshold: firing threshold of every spiking population.
        voltage_decay: in 1/4096; 0 by default.
        levels: 1 .. 15, makes integer neurons of all spiking populations, without memory.

    Source: Hu et al. 2024 (MS-ResNet), Su et al. 2024 (MFS-Seg): residuals at membrane level.
    """
    if not channels or min(channels) < 1 or blocks < 1:
        raise LavasegError(
            f"spiking_resnet: channels {tuple(channels)} and blocks {blocks} must be positive"
        )
    reduction = 2 ** (len(channels) - 1)
    if any(side % reduction for side in input_.shape[1:]):
        raise LavasegError(
            f"spiking_resnet: {len(channels)} stages need sides divisible by {reduction}, the "
            f"input has {input_.shape[1:]}"
        )
    neuron: dict[str, Any] = {"voltage_decay": voltage_decay, "levels": levels}
    nodes: list[Node] = []
    projections: list[Projection] = []

    def fire(stream: str, name: str) -> str:
        nodes.append(Population(name, threshold, **neuron))
        projections.append(Projection(stream, name, OneToOne()))
        return name

    source = input_.name
    ends = []
    for stage, width in enumerate(channels):
        stream = f"stream{stage}"
        nodes.append(Current(stream, norm="batch"))
        conv = _conv3x3(width, 2 if stage else 1)
        projections.append(Projection(source, stream, conv))
        for block in range(blocks):
            spikes = fire(stream, f"fire{stage}_{block}")
            branch, longer = f"branch{stage}_{block}", f"stream{stage}_{block}"
            nodes += [Current(branch, norm="batch"), Current(longer)]
            projections += [
                Projection(spikes, branch, _conv3x3(width)),
                Projection(stream, longer, OneToOne()),
                Projection(branch, longer, OneToOne()),
            ]
            stream = longer
        source = fire(stream, f"end{stage}")
        ends.append(source)
    nodes.append(Population("readout", threshold=None))
    for stage, end in enumerate(ends):
        logits = end
        if stage:
            logits = f"enlarged{stage}"
            nodes.append(Current(logits))
            projections.append(Projection(end, logits, Upsample((1 << stage, 1 << stage))))
        projections.append(Projection(logits, "readout", Conv(classes, (1, 1))))
    return Network(input_, tuple(nodes), tuple(projections), readout="readout")
