"""Spiking-DeepLab (Kim, Chough, Panda 2022): a dilated VGG9 with an accumulating read-out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from lavaseg.errors import LavasegError
from lavaseg.models.blocks import AVERAGE_3_2, Sketch, conv1x1, conv3x3, rep_conv
from lavaseg.models.logic import if_pool, spike_or_pool
from lavaseg.network import Input, Network

CHANNELS = (1, 1, 2, 2, 4, 4, 4, 16)
"""Channels of the eight 3x3 convolutions, in multiples of `width` (64 as published)."""

Reset = Literal["hard", "soft"]
Norm = Literal["none", "batch", "bntt", "bntt_shift"]
Pool = Literal["strided", "average", "if", "or"]
POOLS = ("strided", "average", "if", "or")


def spiking_deeplab(
    input_: Input,
    classes: int,
    *,
    width: int | None = None,
    channels: Sequence[int] | None = None,
    dilations: Sequence[int] = (1, 1, 1, 1, 1, 2, 2, 12),
    output_stride: Literal[1, 2, 4] = 4,
    aspp: Sequence[int] = (),
    classifier_layers: Literal[2, 3] = 2,
    preset: Literal["hardware", "published"] = "hardware",
    threshold: float = 1.0,
    voltage_decay: int | None = None,
    reset: Reset | None = None,
    norm: Norm = "batch",
    pool: Pool | None = None,
    levels: int | None = None,
    branches: bool = False,
) -> Network:
    """Eight 3x3 convolutions, each into spiking neurons, then a 1x1 that accumulates logits.

    Args:
        input_: what the host feeds.
        classes: channels of the read-out.
        width: channels of the first layer, 64 by default; the others keep the published ratios.
        channels: the eight layers' channels, instead of `width`.
        dilations: the eight layers' dilations (padding keeps the size).
        output_stride: how much smaller than the input the read-out is; 4 as published. The
            smaller ones leave out the second, or both, of the size reductions.
        aspp: dilations of branches that share the eighth layer's channels, instead of that layer;
            1 is a 1x1 convolution. Each branch has a classifier of its own, and the read-out is
            their sum: a mean over branches has its divisor inside these weights. Kim et al. 2022,
            Section 4.3, with DeepLabv3's (1, 6, 12, 18).
        classifier_layers: layers behind the seven of the backbone. 2 as in Kim et al.'s code and
            Table 1: the eighth and the read-out. 3 as their text says: a 1x1 convolution of as
            many channels between them, as in DeepLab-LargeFOV (Chen et al. 2018); with `aspp` one
            in each branch. Its kernel is not printed.
        preset: "hardware" runs on Loihi as it is: strided convolutions, hard reset, batch norm
            over time (tdBN). "published" is what Kim et al.'s code trains, but for its norm:
            3x3 stride-2 average pooling of spikes, soft reset, leak 0.99.
        threshold: firing threshold of every spiking population.
        voltage_decay: in 1/4096; by default 0 (hardware) or 41, a leak of 0.99 (published).
        reset: instead of the preset's.
        norm: of every spiking population.
        pool: instead of the preset's: "average" pools spikes to ninths, "if" lets neurons
            integrate them to spikes again, "or" is their maximum, "strided" leaves pooling to the
            next convolution. With levels "if" is the mean, rounded, and "or" the normalised sum.
        levels: 1 .. 15, makes integer neurons of all spiking populations; they keep nothing from
            step to step, so neither a voltage_decay nor a soft reset goes with them.
        branches: 1x1, and where it fits identity, beside each of the 3x3 convolutions, each with
            its norm; export makes one 3x3 of them (RepVGG). Only with norm "batch".

    Source: Kim et al. 2022, Table 1, with their published code where the two disagree.
    """
    if width is not None and channels is not None:
        raise LavasegError(
            f"spiking_deeplab: width {width} and channels {list(channels)} are given, expected one "
            "of them: null leaves the other out"
        )
    first = 64 if width is None else width
    widths = tuple(channels) if channels is not None else tuple(first * m for m in CHANNELS)
    if len(widths) != len(CHANNELS) or min(widths) < 1:
        raise LavasegError(f"spiking_deeplab: channels must be 8 positive numbers, got {widths}")
    if len(dilations) != len(CHANNELS) or min(dilations) < 1:
        raise LavasegError(
            f"spiking_deeplab: dilations must be 8 positive numbers, got {dilations}"
        )
    if output_stride not in (1, 2, 4):
        raise LavasegError(f"spiking_deeplab: output_stride must be 1, 2 or 4, got {output_stride}")
    if aspp and (min(aspp) < 1 or len(set(aspp)) < len(aspp) or len(aspp) > widths[-1]):
        raise LavasegError(
            f"spiking_deeplab: aspp must be different positive dilations, at most as many as the "
            f"eighth layer has channels, got {tuple(aspp)}"
        )
    if classifier_layers not in (2, 3):
        raise LavasegError(
            f"spiking_deeplab: classifier_layers must be 2 or 3, got {classifier_layers}"
        )
    if branches and norm != "batch":
        raise LavasegError(f"spiking_deeplab: branches need norm 'batch', got {norm!r}")
    _, neuron, pool = kim_defaults(
        "spiking_deeplab", preset, threshold, voltage_decay, reset, norm, pool, levels
    )
    reduce_before = {4: (2, 4), 2: (2,), 1: ()}[output_stride]

    sketch = Sketch(input_, **neuron)
    source = input_.name
    trunk = len(widths) - bool(aspp)
    for index, (outputs, dilation) in enumerate(zip(widths[:trunk], dilations, strict=False)):
        stride = 1
        if index in reduce_before:
            source, stride = reduced(sketch, source, f"pool{index}", pool)
        conv = conv3x3(outputs, stride, dilation)
        name = f"conv{index + 1}"
        if branches:
            source = rep_conv(sketch, name, source, conv)
        else:
            source = sketch.population(name, (source, conv))
    ends = [source]
    if aspp:
        each = widths[-1] // len(aspp)
        ends = [
            sketch.population(
                f"branch{rate}",
                (source, conv1x1(each) if rate == 1 else conv3x3(each, dilation=rate)),
            )
            for rate in aspp
        ]
    if classifier_layers == 3:
        ends = [
            sketch.population(f"{end}_classifier", (end, conv1x1(sketch.shapes[end][0])))
            for end in ends
        ]
    sketch.readout("readout", *((end, conv1x1(classes)) for end in ends))
    return sketch.network("readout")


def kim_defaults(
    model: str,
    preset: str,
    threshold: float,
    voltage_decay: int | None,
    reset: Reset | None,
    norm: Norm,
    pool: Pool | None,
    levels: int | None = None,
) -> tuple[bool, dict[str, Any], Pool]:
    """Whether the preset is "published", and its neuron and pooling where nothing else is given."""
    if preset not in ("hardware", "published"):
        raise LavasegError(f"{model}: preset must be 'hardware' or 'published', got {preset!r}")
    if pool is not None and pool not in POOLS:
        raise LavasegError(f"{model}: pool must be one of {', '.join(POOLS)}, got {pool!r}")
    published = preset == "published"
    neuron = {
        "threshold": threshold,
        "voltage_decay": 41 if published and voltage_decay is None else voltage_decay,
        "reset": reset or ("soft" if published else "hard"),
        "norm": norm,
        "levels": levels,
    }
    return published, neuron, pool or ("average" if published else "strided")


def reduced(sketch: Sketch, source: str, name: str, pool: Pool) -> tuple[str, int]:
    """Halve a sheet; returns the name of the node to read next, and the stride to read it with."""
    if pool == "strided":
        return source, 2
    if pool == "average":
        return sketch.current(name, (source, AVERAGE_3_2)), 1
    gather = if_pool if pool == "if" else spike_or_pool
    return gather(sketch, name, source, kernel=3, stride=2, padding=1), 1
