"""A spiking U-Net: strided convolutions down, transposed ones up, skips added as currents."""

from __future__ import annotations

from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Input,
    Network,
    Population,
    Projection,
)


def _conv3x3(channels: int, stride: int = 1) -> Conv:
    return Conv(channels, (3, 3), (stride, stride), (1, 1))


def spiking_unet(
    input_: Input,
    classes: int,
    *,
    width: int = 16,
    depth: int = 2,
    threshold: float = 1.0,
    voltage_decay: int = 0,
) -> Network:
    """An encoder and a decoder of `depth` halvings, and a 1x1 that accumulates logits.

    What U-Net concatenates is added up here, one convolution for each branch, which is the same
    linear map. Sheets of any size come back to their own size.

    Args:
        width: channels of the full resolution; each halving doubles them.
        depth: halvings of the sheet.
        threshold: firing threshold of every spiking population.
        voltage_decay: in 1/4096.

    Source: Ronneberger et al. 2015, Figure 1, with one convolution where they have two.
    """
    if width < 1 or depth < 1:
        raise LavasegError(f"spiking_unet: width {width} and depth {depth} must be at least 1")
    populations: list[Population] = []
    projections: list[Projection] = []
    shapes = [input_.shape[1:]]

    def add(name: str) -> str:
        populations.append(Population(name, threshold, voltage_decay=voltage_decay, norm="batch"))
        return name

    source = input_.name
    for level in range(depth + 1):
        name = add(f"down{level}")
        conv = _conv3x3(width << level, 2 if level else 1)
        projections.append(Projection(source, name, conv))
        if level:
            height, wide = shapes[-1]
            shapes.append(((height + 1) // 2, (wide + 1) // 2))
        source = name
    for level in reversed(range(depth)):
        name = add(f"up{level}")
        even = tuple(1 - side % 2 for side in shapes[level])
        up = ConvTranspose(width << level, (3, 3), (2, 2), (1, 1), (even[0], even[1]))
        projections.append(Projection(source, name, up))
        projections.append(Projection(f"down{level}", name, _conv3x3(width << level)))
        source = name
    populations.append(Population("readout", threshold=None))
    projections.append(Projection(source, "readout", Conv(classes, (1, 1))))
    return Network(input_, tuple(populations), tuple(projections), readout="readout")
