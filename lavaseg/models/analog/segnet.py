"""SegNet (Badrinarayanan et al. 2017): a VGG16 whose maxima remember where they were."""

from __future__ import annotations

from lavaseg.errors import LavasegError
from lavaseg.models.analog.plan import AnalogPlan, Tally
from lavaseg.network import Input, Shape

STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of the encoder's convolutions, in multiples of `width`; the decoder mirrors them."""


def segnet(input_: Input, classes: int, *, width: int = 64) -> AnalogPlan:
    """SegNet: VGG16's thirteen convolutions, mirrored, 29.4 M parameters.

    Args:
        width: channels of the first stage; the others keep the published ratios.

    Source: Badrinarayanan, Kendall, Cipolla 2017, Figure 2 and their CamVid model; the ANN
    "SegNet" of Su et al. 2024, Table 1.
    """
    if width < 1 or min(input_.shape[1:]) < 1 << len(STAGES):
        raise LavasegError(
            f"segnet: width {width} must be at least 1, and the input {input_.shape[1:]} at least "
            f"{1 << len(STAGES)} wide"
        )
    tally = Tally()
    x, stages, sheets = input_.shape, [], []
    for index, stage in enumerate(STAGES):
        stages.append([x[0], *(width * multiple for multiple in stage)])
        x = _stage(tally, f"down.{index}", x, stages[-1][1:])
        sheets.append(x)
        x = (x[0], x[1] // 2, x[2] // 2)
    for index in reversed(range(len(STAGES))):
        channels = stages[index][-2::-1] if index else [width]
        name = f"up.{index}" if index else "up.0.0"
        x = _stage(tally, name, sheets[index], channels)
    tally.conv("up.0.1", x, classes)
    return tally.plan(
        "segnet_torch:SegNet", {"inputs": input_.shape[0], "classes": classes, "width": width}
    )


def _stage(tally: Tally, name: str, x: Shape, channels: list[int]) -> Shape:
    for place, wanted in enumerate(channels):
        x = tally.conv(f"{name}.{3 * place}", x, wanted)
        tally.norm(f"{name}.{3 * place + 1}", x)
    return x
