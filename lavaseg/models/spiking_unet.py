"""A spiking U-Net: an encoder, a decoder of transposed convolutions, skips added as currents."""

from __future__ import annotations

from typing import Literal

from lavaseg.errors import LavasegError
from lavaseg.models.blocks import Arriving, Sketch, conv1x1, conv3x3, enlarge_to
from lavaseg.models.logic import spike_or_pool
from lavaseg.network import Input, Network


def spiking_unet(
    input_: Input,
    classes: int,
    *,
    preset: Literal["small", "published"] = "small",
    width: int | None = None,
    depth: int | None = None,
    threshold: float = 1.0,
    voltage_decay: int | None = None,
    levels: int | None = None,
) -> Network:
    """An encoder and a decoder of `depth` halvings, and a 1x1 that accumulates logits.

    What U-Net concatenates is added up here, one convolution for each branch, which is the same
    linear map. Sheets of any size come back to their own size.

    Args:
        preset: "published": two convolutions at each resolution, OR pooling of spikes (their
            maximum), transposed 2x2 convolutions with neurons of their own; "small": one
            convolution, strided, and transposed 3x3 ones that add to the skip.
        width: channels of the full resolution; each halving doubles them. 64 as published, 16 in
            the small one.
        depth: halvings of the sheet: 4, or 2 in the small one.
        threshold: firing threshold of every spiking population.
        voltage_decay: in 1/4096; 0 by default.
        levels: 1 .. 15, makes integer neurons of all spiking populations, without memory; OR
            pooling becomes their normalised sum.
        voltage_decay: in 1/4096.

    Source: Ronneberger et al. 2015, Figure 1, with padding; as a spiking network in Su et al.
    2024, Table 1 (31 M parameters).
    """
    if preset not in ("small", "published"):
        raise LavasegError(f"spiking_unet: preset must be 'small' or 'published', got {preset!r}")
    published = preset == "published"
    width = (64 if published else 16) if width is None else width
    depth = (4 if published else 2) if depth is None else depth
    if width < 1 or depth < 1:
        raise LavasegError(f"spiking_unet: width {width} and depth {depth} must be at least 1")
    neuron = {"threshold": threshold, "voltage_decay": voltage_decay, "levels": levels}
    sketch = Sketch(input_, **neuron, norm="batch")

    def level_of(name: str, level: int, *arriving: Arriving) -> str:
        end = sketch.population(name, *arriving)
        if published:
            end = sketch.population(f"{name}_again", (end, conv3x3(width << level)))
        return end

    source, ends = input_.name, []
    for level in range(depth + 1):
        if level and published:
            source = spike_or_pool(sketch, f"pool{level}", source)
        stride = 2 if level and not published else 1
        source = level_of(f"down{level}", level, (source, conv3x3(width << level, stride)))
        ends.append(source)
    for level in reversed(range(depth)):
        small, size = sketch.shapes[source][1:], sketch.shapes[ends[level]][1:]
        larger = enlarge_to(width << level, small, size, 2 if published else 3)
        skip = (ends[level], conv3x3(width << level))
        if published:
            up = sketch.population(f"enlarged{level}", (source, larger))
            source = level_of(f"up{level}", level, skip, (up, conv3x3(width << level)))
        else:
            source = level_of(f"up{level}", level, (source, larger), skip)
    sketch.readout("readout", (source, conv1x1(classes)))
    return sketch.network("readout")
