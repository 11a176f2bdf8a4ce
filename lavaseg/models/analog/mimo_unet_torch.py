"""MIMO-UNet as a torch module."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def _relu(*layers: nn.Module) -> nn.Sequential:
    """The layers, each followed by a ReLU."""
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU(inplace=True))))


class Residual(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_relu(_conv(channels, channels)), _conv(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class Scale(nn.Module):
    """A shrunken picture as features (their SCM)."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        c = channels
        self.main = _relu(
            _conv(inputs, c // 4),
            _conv(c // 4, c // 2, 1),
            _conv(c // 2, c // 2),
            _conv(c // 2, c - inputs, 1),
        )
        self.last = _conv(c, c, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.last(torch.cat([picture, self.main(picture)], 1))
        return features


class Fusion(nn.Module):
    """Three scales at one resolution (their AFF)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(_relu(_conv(inputs, outputs, 1)), _conv(outputs, outputs))

    def forward(self, features: list[torch.Tensor], size: torch.Size) -> torch.Tensor:
        resized = [functional.interpolate(x, size=size, mode="nearest") for x in features]
        fused: torch.Tensor = self.mix(torch.cat(resized, 1))
        return fused


class MimoUNet(nn.Module):
    """Pictures of three sizes in, logits of three sizes out, the smallest first.

    Args:
        inputs, classes: channels of picture and logits.
        base: channels at full resolution.
        n: residual blocks of each encoder and decoder stage.
    """

    def __init__(self, inputs: int, classes: int, base: int, n: int) -> None:
        super().__init__()
        widths = [base, 2 * base, 4 * base]

        def stages() -> nn.ModuleList:
            return nn.ModuleList(nn.Sequential(*(Residual(w) for _ in range(n))) for w in widths)

        self.encode, self.decode = stages(), stages()
        self.enter = _relu(_conv(inputs, base))
        self.down = nn.ModuleList(_relu(_conv(w // 2, w, 3, 2)) for w in widths[1:])
        self.scales = nn.ModuleList(Scale(inputs, w) for w in widths[1:])
        self.attend = nn.ModuleList(_conv(w, w) for w in widths[1:])
        self.fuse = nn.ModuleList(Fusion(sum(widths), w) for w in widths[:-1])
        self.enlarge = nn.ModuleList(
            _relu(nn.ConvTranspose2d(2 * w, w, 4, 2, 1)) for w in widths[:-1]
        )
        self.reduce = nn.ModuleList(_relu(_conv(2 * w, w, 1)) for w in widths[:-1])
        self.scores = nn.ModuleList(_conv(w, classes) for w in widths)

    def forward(self, picture: torch.Tensor) -> list[torch.Tensor]:
        features = [self.encode[0](self.enter(picture))]
        for level in (1, 2):
            side = level - 1
            shrunk = functional.interpolate(picture, scale_factor=0.5**level, mode="nearest")
            x = self.down[side](features[-1])
            x = x + self.attend[side](x * self.scales[side](shrunk))
            features.append(self.encode[level](x))
        x = self.decode[2](features[2])
        outputs = [self.scores[2](x)]
        for level in (1, 0):
            fused = self.fuse[level](features, features[level].shape[2:])
            x = self.reduce[level](torch.cat([self.enlarge[level](x), fused], 1))
            x = self.decode[level](x)
            outputs.append(self.scores[level](x))
        return outputs
