"""Three branches, detail, context and boundary, and a pyramid of pools, as in Spike-BRGNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lavaseg.errors import LavasegError
from lavaseg.models.blocks import Arriving, Sketch, conv1x1, conv3x3, rep_branches, rep_conv
from lavaseg.models.logic import spike_and
from lavaseg.network import Conv, Input, Network, OneToOne, SumPool, Upsample

PYRAMID = ((5, 2), (9, 4), (17, 8))
"""Kernel and stride of the pools; one over the whole sheet stands beside them."""
STRIDES = {8: (2, 2, 2), 4: (2, 2, 1), 2: (2, 1, 1), 1: (1, 1, 1)}
"""Strides of the two convolutions of the stem and of the second stage, by `output_stride`."""


def spike_brgnet(
    input_: Input,
    classes: int,
    *,
    width: int = 32,
    blocks: Sequence[int] = (2, 3),
    output_stride: Literal[1, 2, 4, 8] = 8,
    pyramid_width: int | None = None,
    head_width: int | None = None,
    boundary: bool = True,
    auxiliary: bool = True,
    branches: bool = False,
    threshold: float | None = None,
    voltage_decay: int | None = None,
    levels: int | None = None,
) -> Network:
    """A trunk that splits into three branches of residual blocks, which meet in one head.

    The detail branch keeps the size at which they split, the context branch halves it three times
    more and ends in a pyramid of pools, the boundary branch keeps it, too, and decides where the
    other two count. Sheets of any size come back to their own.

    What Loihi cannot do stands here otherwise than in Spike-BRGNet. Products with similarities and
    with sigmoids of membranes: sums through a norm, and, where the boundary selects, AND of spikes
    (with levels, normalised sums). Bilinear resizing of membranes: nearest upsampling of spikes.
    Pools of membranes: pools of spikes.

    Args:
        input_: what the host feeds, events or pictures.
        width: channels of the stem; 32 as published.
        blocks: residual blocks of a stage at the size of the detail branch, and of a stage of the
            context branch; (2, 3) as published.
        output_stride: how much smaller than the input the detail branch and the read-out are; 8 as
            published. The smaller ones are for small sheets.
        pyramid_width, head_width: channels of a pyramid's branch and of the head; 3 and 4 times
            `width` by default, 96 and 128 as published.
        boundary: False leaves the boundary branch out.
        auxiliary: a second read-out in the detail branch, and one of a single channel in the
            boundary branch, which is trained on where classes meet; both are dropped by export.
        branches: 1x1 and identity beside the 3x3 convolutions of residual blocks, each with its
            norm; export makes one 3x3 of them (RepVGG).
        threshold: of every spiking population; 0.5 as in the published code, or 1 with levels, so
            that a spike that skips a block is one level.
        voltage_decay: of every spiking population, in 1/4096; by default 3072, which keeps a
            fourth, as published.
        levels: 1 .. 15, makes integer neurons of all spiking populations, without memory.

    Source: Long et al. 2024 (Spike-BRGNet), sizes of their published code, whose skeleton is
    PIDNet-S (Xu et al. 2023).
    """
    if width < 1 or len(blocks) != 2 or min(blocks) < 1:
        raise LavasegError(
            f"spike_brgnet: width {width} and blocks {list(blocks)}, two numbers, must be at least "
            "1"
        )
    if output_stride not in STRIDES:
        raise LavasegError(f"spike_brgnet: output_stride must be 1, 2, 4 or 8, got {output_stride}")
    if voltage_decay is None and levels is None:
        voltage_decay = 3072
    if threshold is None:
        threshold = 0.5 if levels is None else 1.0
    neuron = {"threshold": threshold, "voltage_decay": voltage_decay, "levels": levels}
    net = _Brgnet(Sketch(input_, **neuron, norm="batch"), branches)
    return net.build(
        classes,
        width,
        (blocks[0], blocks[1]),
        STRIDES[output_stride],
        3 * width if pyramid_width is None else pyramid_width,
        4 * width if head_width is None else head_width,
        boundary=boundary,
        auxiliary=auxiliary,
    )


class _Brgnet:
    """The network under construction.

    Args:
        branches: whether 3x3 convolutions of residual blocks train as branches.
    """

    def __init__(self, sketch: Sketch, branches: bool) -> None:
        self.sketch = sketch
        self.branches = branches

    def build(
        self,
        classes: int,
        width: int,
        blocks: tuple[int, int],
        strides: tuple[int, int, int],
        pyramid_width: int,
        head_width: int,
        *,
        boundary: bool,
        auxiliary: bool,
    ) -> Network:
        """The whole; arguments as of `spike_brgnet`."""
        sketch, (few, many) = self.sketch, blocks
        stem = self.layer("stem1", sketch.input.name, conv3x3(width, strides[0]))
        stem = self.layer("stem2", stem, conv3x3(width, strides[1]))
        shared = self.stage("trunk1", stem, width, few)
        shared = self.stage("trunk2", shared, 2 * width, few, strides[2])

        half = self.stage("context3", shared, 4 * width, many, 2)
        fourth = self.stage("context4", half, 8 * width, many, 2)
        eighth = self.bottleneck("context5a", fourth, 8 * width, 2)
        eighth = self.bottleneck("context5b", eighth, 8 * width)
        context = self.pyramid(eighth, pyramid_width, 4 * width)

        size = sketch.shapes[shared][1:]
        first = self.lifted("detail3_context", half, conv1x1(2 * width), size)
        detail3 = self.stage("detail3", shared, 2 * width, few, extra=(first,))
        second = self.lifted("detail4_context", fourth, conv1x1(2 * width), size)
        detail = self.stage("detail4", detail3, 2 * width, few, extra=(second,))
        detail = self.bottleneck("detail5", detail, 2 * width)

        enlarged = (context, self.enlarging(context, size))
        readouts = []
        if auxiliary:
            readouts.append(self.head("detail", detail3, head_width, classes))
        sides = [(detail, conv1x1(4 * width)), self.lift("fused_context", enlarged)]
        if boundary:
            edge = self.boundary(shared, half, fourth, width, size)
            if auxiliary:
                readouts.append(self.head("boundary", "boundary4", width, 1))
            for name, other in (("detail", (detail, OneToOne())), ("context", enlarged)):
                selected = spike_and(sketch, f"boundary_{name}", other, edge)
                sides.append((selected, conv1x1(4 * width)))
        fused = sketch.population("fused", *sides)
        return sketch.network(self.head("", fused, head_width, classes), tuple(readouts))

    def layer(self, name: str, source: str, conv: Conv) -> str:
        """Neurons behind a convolution and its norm."""
        return self.sketch.population(name, (source, conv))

    def stage(
        self,
        name: str,
        source: str,
        channels: int,
        blocks: int,
        stride: int = 1,
        extra: tuple[Arriving, ...] = (),
    ) -> str:
        """Residual blocks of two 3x3 convolutions; `extra` joins in front of the last neurons."""
        for index in range(blocks):
            last = index == blocks - 1
            source = self.basic(
                f"{name}_{index}", source, channels, 1 if index else stride, extra if last else ()
            )
        return source

    def basic(
        self, name: str, source: str, channels: int, stride: int, extra: tuple[Arriving, ...] = ()
    ) -> str:
        first, second = conv3x3(channels, stride), conv3x3(channels)
        if self.branches:
            inner = rep_conv(self.sketch, f"{name}_inner", source, first)
            ends = rep_branches(self.sketch, name, inner, second)
        else:
            inner = self.layer(f"{name}_inner", source, first)
            ends = (self.normed(f"{name}_branch", inner, second),)
        return self.joined(name, source, ends, stride, extra)

    def bottleneck(
        self,
        name: str,
        source: str,
        channels: int,
        stride: int = 1,
        extra: tuple[Arriving, ...] = (),
    ) -> str:
        """1x1, 3x3, and 1x1 to twice the channels."""
        squeezed = self.layer(f"{name}_squeezed", source, conv1x1(channels))
        inner = self.layer(f"{name}_inner", squeezed, conv3x3(channels, stride))
        end = self.normed(f"{name}_branch", inner, conv1x1(2 * channels))
        return self.joined(name, source, (end,), stride, extra)

    def normed(self, name: str, source: str, conv: Conv) -> str:
        """A current behind a convolution and its norm."""
        scale = self.sketch.neuron["threshold"]
        return self.sketch.current(name, (source, conv), norm="batch", norm_scale=scale)

    def joined(
        self,
        name: str,
        source: str,
        ends: tuple[str, ...],
        stride: int,
        extra: tuple[Arriving, ...],
    ) -> str:
        """Neurons of a block: its ends, what skipped it, and what comes from elsewhere."""
        shape, before = self.sketch.shapes[ends[0]], self.sketch.shapes[source]
        skip = source
        if shape != before:
            skip = self.normed(f"{name}_skip", source, conv1x1(shape[0], stride))
        summed = ((end, OneToOne()) for end in (*ends, skip))
        return self.sketch.population(name, *summed, *extra, norm="none")

    def enlarging(self, source: str, size: tuple[int, int]) -> Upsample:
        """Nearest upsampling from a sheet that is a power of two smaller."""
        small = self.sketch.shapes[source][1:]
        factor = 1
        while any(factor * n < wanted for n, wanted in zip(small, size, strict=True)):
            factor *= 2
        rows, columns = (factor * n - w for n, w in zip(small, size, strict=True))
        return Upsample((factor, factor), (rows, columns))

    def lift(self, name: str, enlarged: Arriving) -> Arriving:
        """Spikes of a smaller sheet as a current with a norm, ready to be added."""
        scale = self.sketch.neuron["threshold"]
        end = self.sketch.current(name, enlarged, norm="batch", norm_scale=scale)
        return end, OneToOne()

    def lifted(self, name: str, source: str, conv: Conv, size: tuple[int, int]) -> Arriving:
        """What the context branch adds to another one: a convolution, then its spikes enlarged."""
        spikes = self.layer(f"{name}_spikes", source, conv)
        return self.lift(name, (spikes, self.enlarging(spikes, size)))

    def pyramid(self, source: str, channels: int, outputs: int) -> str:
        """Means of several windows, each convolved beside the sheet itself, and all of it mixed.

        Windows whose stride reaches the sheet are left to the one over all of it.
        """
        sketch, (_, height, width) = self.sketch, self.sketch.shapes[source]
        base = self.layer("pyramid0", source, conv1x1(channels))
        pools = [
            SumPool((kernel, kernel), (stride, stride), (kernel // 2, kernel // 2), average=True)
            for kernel, stride in PYRAMID
            if stride < max(height, width)
        ]
        pools.append(SumPool((height, width), (height, width), average=True))
        ends = [base]
        for index, pool in enumerate(pools, 1):
            name = f"pyramid{index}"
            means = sketch.population(f"{name}_means", (source, pool))
            small = self.layer(f"{name}_small", means, conv1x1(channels))
            larger = self.enlarging(small, (height, width))
            if pool is pools[-1]:
                larger = Upsample((height, width))
            beside = sketch.population(f"{name}_beside", (small, larger), (base, OneToOne()))
            ends.append(self.layer(name, beside, conv3x3(channels)))
        mixed = ((end, conv1x1(outputs)) for end in (*ends, source))
        return sketch.population("context", *mixed)

    def boundary(
        self, shared: str, half: str, fourth: str, width: int, size: tuple[int, int]
    ) -> str:
        """The branch whose spikes say where a boundary is."""
        first = self.lifted("boundary3_context", half, conv3x3(width), size)
        edge = self.basic("boundary3", shared, width, 1, (first,))
        second = self.lifted("boundary4_context", fourth, conv3x3(2 * width), size)
        edge = self.bottleneck("boundary4", edge, width, extra=(second,))
        return self.bottleneck("boundary5", edge, 2 * width)

    def head(self, branch: str, source: str, channels: int, classes: int) -> str:
        """A 3x3 convolution, and a 1x1 whose logits are read."""
        suffix = f"_{branch}" if branch else ""
        hidden = self.layer(f"head{suffix}", source, conv3x3(channels))
        return self.sketch.readout(f"readout{suffix}", (hidden, conv1x1(classes)), bias=True)
