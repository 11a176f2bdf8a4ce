"""U-Net as a torch module."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Twice a 3x3 convolution, batch norm and ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Encoder, decoder and concatenated skips; sheets of any size come back to their own.

    Args:
        inputs, classes: channels of picture and logits.
        width: channels at full resolution; each of `depth` halvings doubles them.
    """

    def __init__(self, inputs: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            double(a, b) for a, b in zip([inputs, *widths[:-1]], widths, strict=True)
        )
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:-1])
        self.up = nn.ModuleList(double(2 * w, w) for w in widths[:-1])
        self.score = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for level, stage in enumerate(self.down):
            x = stage(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for enlarge, up, skip in zip(
            reversed(self.enlarge), reversed(self.up), reversed(skips[:-1]), strict=True
        ):
            larger = enlarge(x)
            missing = [s - n for s, n in zip(skip.shape[2:], larger.shape[2:], strict=True)]
            padded = functional.pad(larger, (0, missing[1], 0, missing[0]))
            x = up(torch.cat([skip, padded], 1))
        scores: torch.Tensor = self.score(x)
        return scores
