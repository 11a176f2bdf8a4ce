"""SegNet as a torch module."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from lavaseg.models.analog.segnet import STAGES


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
