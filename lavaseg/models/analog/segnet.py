"""SegNet (Badrinarayanan et al. 2017): a VGG16 whose maxima remember where they were."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from lavaseg.errors import LavasegError
from lavaseg.network import Input

STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of the encoder's convolutions, in multiples of `width`; the decoder mirrors them."""


def _stage(channels: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class SegNet(nn.Module):
    """Five stages down, and the same five up again through the places of the maxima.

    Args:
        inputs, classes: channels of picture and logits.
        width: channels of the first stage.
    """

    def __init__(self, inputs: int, classes: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        score = nn.Conv2d(width, classes, 3, padding=1)
        before = inputs
        for index, stage in enumerate(STAGES):
            channels = [before, *(width * multiple for multiple in stage)]
            self.down.append(_stage(channels))
            back = _stage(channels[::-1]) if index else nn.Sequential(_stage([width] * 2), score)
            self.up.append(back)
            before = channels[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = []
        for stage in self.down:
            x = stage(x)
            size = x.shape[2:]
            x, where = functional.max_pool2d(x, 2, return_indices=True)
            places.append((where, size))
        for stage, (where, size) in zip(reversed(self.up), reversed(places), strict=True):
            x = stage(functional.max_unpool2d(x, where, [2, 2], output_size=size))
        return x


def segnet(input_: Input, classes: int, *, width: int = 64) -> SegNet:
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
    return SegNet(input_.shape[0], classes, width)
