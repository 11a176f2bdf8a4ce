"""MFS-Seg (Su et al. 2024): three scales that meet, residual streams that never spike."""

from __future__ import annotations

from functools import partial
from typing import Literal

from lavaseg.errors import LavasegError
from lavaseg.models.blocks import (
    Arriving,
    Ending,
    Residual,
    Sketch,
    conv1x1,
    conv3x3,
    efs_block,
    enlarge_to,
    fire_block,
    ms_block,
    shuffle_block,
    spike_inception,
)
from lavaseg.models.logic import spike_and, spike_or_pool
from lavaseg.network import Input, Network, SumPool, Upsample

BLOCKS: dict[str, Residual] = {
    "efs": efs_block,
    "ms": ms_block,
    "fire": fire_block,
    "shuffle": shuffle_block,
}


def mfs_seg(
    input_: Input,
    classes: int,
    *,
    base: int = 32,
    n: int = 4,
    block: Literal["efs", "ms", "fire", "shuffle"] = "efs",
    multi_scale: bool = True,
    inception: bool = True,
    group: bool = True,
    identity: bool = True,
    branch_scale: float | None = None,
    threshold: float = 0.5,
    voltage_decay: int | None = None,
    levels: int | None = None,
) -> Network:
    """Encoder and decoder over full, half and quarter resolution; logits at each of them.

    The input enters at all three scales, shrunk by averaging. Every part of it runs on Loihi:
    maxima and products of spikes are neurons without memory, and export unrolls the residual
    streams into direct projections.

    Args:
        input_: what the host feeds; its sides must be divisible by 4.
        base: channels at full resolution; half and quarter have twice and four times as many.
        n: residual blocks of each of the six encoder and decoder stages. 1, 2, 3, 4 are the
            published Res18, Res36, Res54, Res72.
        block: what a residual branch is (`lavaseg/models/blocks.py`).
        multi_scale: the half and quarter logits are auxiliary read-outs, trained and then dropped.
        inception: 1x1 beside 3x3 where scales enter or merge; False: 3x3 alone.
        group: False makes the EFS blocks' depthwise convolutions dense.
        identity: False leaves out the residual streams: each block is its branch alone, a plain
            network of the same layers. Ours, as what the residual blocks are held against.
        branch_scale: where the norms that end the branches start. None: 0, as MS-ResNet's code
            has it, so that each block starts as an identity; without identity the threshold.
        threshold: of every spiking population.
        voltage_decay: of every spiking population, in 1/4096; by default 3072, which is tau = 0.25.
        levels: 1 .. 15, makes integer neurons of all spiking populations, without memory. Maxima
            and products of spikes become normalised sums (`lavaseg/models/logic.py`).

    Source: Su et al. 2024, Sections 3.1 to 3.3, Figure 2; the skeleton is MIMO-UNet (Cho et al.
    2021). Where the paper leaves a choice (widths, the sum in Spike Inception, 1x1 before the
    fusion, a residual block after it), the one whose parameters are those of its tables:
    0.74, 0.92, 1.11 M for n = 2, 3, 4; 2.98 and 3.76 M with MS blocks.
    """
    if block not in BLOCKS:
        raise LavasegError(f"mfs_seg: block must be one of {', '.join(BLOCKS)}, got {block!r}")
    if n < 1 or base < 1:
        raise LavasegError(f"mfs_seg: n {n} and base {base} must be at least 1")
    if any(side % 4 for side in input_.shape[1:]):
        raise LavasegError(
            f"mfs_seg: the input's sides must be divisible by 4, got {input_.shape[1:]}"
        )
    if voltage_decay is None and levels is None:
        voltage_decay = 3072
    sketch = Sketch(input_, threshold=threshold, voltage_decay=voltage_decay, levels=levels)
    if branch_scale is None:
        branch_scale = 0.0 if identity else threshold
    ending = Ending(branch_scale, identity)
    options = {"group": group} if block == "efs" else {}
    residual = partial(BLOCKS[block], ending=ending, **options)
    widths = [base, 2 * base, 4 * base]

    def stage(stream: str, name: str) -> str:
        for index in range(n):
            stream = residual(sketch, stream, f"{name}_{index}")
        return stream

    def enters(scale: int) -> str:
        """The input at 1 / 2^scale, as current of that scale's channels."""
        source, factor = input_.name, 1 << scale
        if scale:
            shrink = SumPool((factor, factor), (factor, factor), average=True)
            source = sketch.current(f"input{factor}", (source, shrink))
        return spike_inception(
            sketch, f"enter{factor}", source, channels=widths[scale], both=inception
        )

    # encoder: each scale's spikes select what the input shows at the next one
    stream = stage(enters(0), "encode1")
    encoded = [sketch.fire(stream, "encoded1")]
    for scale in (1, 2):
        factor = 1 << scale
        smaller = spike_or_pool(sketch, f"pool{factor}", encoded[-1])
        stream = sketch.current(
            f"down{factor}",
            (smaller, conv1x1(widths[scale])),
            norm="batch",
            norm_scale=threshold,
        )
        seen = sketch.fire(enters(scale), f"seen{factor}")
        both = spike_and(sketch, f"both{factor}", sketch.fire(stream, f"down{factor}_fire"), seen)
        stream = residual(sketch, stream, f"attend{factor}", both)
        stream = stage(stream, f"encode{factor}")
        encoded.append(sketch.fire(stream, f"encoded{factor}"))

    def fused(scale: int) -> str:
        """All encoder scales at one resolution: nearest resampling, 1x1, 3x3."""
        arriving: list[Arriving] = []
        for other, spikes in enumerate(encoded):
            if other > scale:
                ratio = 1 << (other - scale)
                larger = Upsample((ratio, ratio))
                spikes = sketch.current(f"fuse{1 << scale}_from{1 << other}", (spikes, larger))
            every = 1 << max(scale - other, 0)  # nearest to a smaller sheet: every n-th pixel
            arriving.append((spikes, conv1x1(widths[scale], every)))
        mixed = sketch.population(f"fuse{1 << scale}", *arriving, norm="batch")
        return sketch.population(
            f"fused{1 << scale}", (mixed, conv3x3(widths[scale])), norm="batch"
        )

    # decoder
    decoded, readouts = encoded[-1], []
    for scale in (2, 1, 0):
        factor = 1 << scale
        if scale < 2:
            size = sketch.shapes[encoded[scale]][1:]
            larger = enlarge_to(widths[scale], (size[0] // 2, size[1] // 2), size)
            up = sketch.population(f"up{factor}", (decoded, larger), norm="batch")
            stream = spike_inception(
                sketch, f"merge{factor}", fused(scale), up, channels=widths[scale], both=inception
            )
        stream = stage(stream, f"decode{factor}")
        decoded = sketch.fire(stream, f"decoded{factor}")
        if multi_scale or not scale:
            name = f"readout{factor}" if scale else "readout"
            readouts.append(sketch.readout(name, (decoded, conv1x1(classes))))
    return sketch.network(readouts[-1], tuple(readouts[:-1]))
