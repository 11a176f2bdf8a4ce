"""Spiking-FCN (Kim, Chough, Panda 2022): a VGG9, enlarged step by step with skips."""

from __future__ import annotations

from typing import Literal

from lavaseg.errors import LavasegError
from lavaseg.models.blocks import Arriving, Sketch, conv1x1, conv3x3, enlarge_to
from lavaseg.models.spiking_deeplab import Norm, Pool, Reset, kim_defaults, reduced
from lavaseg.network import Conv, ConvTranspose, Input, Network, Resize

STAGES = ((1, 1), (2, 2), (4, 4, 4))
"""Channels of the three stages' convolutions, in multiples of `width`; a pool after each."""


def spiking_fcn(
    input_: Input,
    classes: int,
    *,
    width: int = 64,
    preset: Literal["hardware", "published"] = "hardware",
    classifier_kernel: Literal[1, 3] = 3,
    threshold: float = 1.0,
    voltage_decay: int | None = None,
    reset: Reset | None = None,
    norm: Norm = "batch",
    pool: Pool | None = None,
    resize: Literal["bilinear", "crop"] = "bilinear",
    levels: int | None = None,
) -> Network:
    """Three stages down, a classifier, and three transposed convolutions back, with skips.

    Args:
        input_: what the host feeds.
        classes: channels of scores, of the enlarged sheets and of the read-out.
        width: channels of the first layer; the others keep the published ratios.
        preset: "hardware" runs on Loihi: strided convolutions, hard reset, and neurons behind the
            classifier's score, so that only spikes travel; transposed convolutions 4x4 that meet
            the skips' size. "published" is Kim et al.'s code but for its norm: average pooling,
            soft reset, leak 0.99, a score without neurons, transposed convolutions 3x3, whose
            2n + 1 rows are resized to the skips' size.
        classifier_kernel: 3 as in their code, 1 as in their Table 1.
        threshold, voltage_decay, reset, norm, pool, levels: as `spiking_deeplab`.
        resize: in preset "published": "bilinear" as in their code, or "crop", which leaves the
            first row and column out, and which hardware can do.

    Source: Kim et al. 2022, Figure 7 and Table 1, with their published code where they differ.
    """
    if classifier_kernel not in (1, 3):
        raise LavasegError(
            f"spiking_fcn: classifier_kernel must be 1 or 3, got {classifier_kernel}"
        )
    if resize not in ("bilinear", "crop"):
        raise LavasegError(f"spiking_fcn: resize must be 'bilinear' or 'crop', got {resize!r}")
    published, neuron, pool = kim_defaults(
        "spiking_fcn", preset, threshold, voltage_decay, reset, norm, pool, levels
    )
    sketch = Sketch(input_, **neuron)
    source, stride, layer = input_.name, 1, 0
    skips = []  # spikes of each resolution
    for stage, multiples in enumerate(STAGES):
        for multiple in multiples:
            layer += 1
            source = sketch.population(f"conv{layer}", (source, conv3x3(multiple * width, stride)))
            stride = 1
        skips.append(source)
        source, stride = reduced(sketch, source, f"pool{stage + 1}", pool)
    for index in (1, 2):
        conv: Conv = (
            conv3x3(16 * width, stride) if classifier_kernel == 3 else conv1x1(16 * width, stride)
        )
        source, stride = sketch.population(f"classifier{index}", (source, conv)), 1

    plain = {"norm": "none", "bias": True}
    if published:
        source = sketch.current("score", (source, conv1x1(classes)), bias=True)
    else:
        source = sketch.population("score", (source, conv1x1(classes)), **plain)
    for index, skip in enumerate(reversed(skips)):
        size, target = sketch.shapes[source][1:], sketch.shapes[skip][1:]
        up: Arriving
        if published and resize == "bilinear":
            larger = (source, ConvTranspose(classes, (3, 3), (2, 2)))
            up = (sketch.current(f"enlarged{index + 1}", larger), Resize(target))
        else:
            up = (source, enlarge_to(classes, size, target, 3 if published else 4))
        across = (skip, conv1x1(classes))
        if index < 2:
            source = sketch.population(f"up{index + 1}", up, across, **plain)
        else:
            sketch.readout("readout", up, across, bias=True)
    return sketch.network("readout")
