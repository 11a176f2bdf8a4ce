"""MIMO-UNet (Cho et al. 2021) with class scores: the skeleton that MFS-Seg spikes in."""

from __future__ import annotations

from lavaseg.errors import LavasegError
from lavaseg.models.analog.plan import AnalogPlan, Tally
from lavaseg.network import ConvTranspose, Input, Shape


def mimo_unet(input_: Input, classes: int, *, base: int = 32, n: int = 4) -> AnalogPlan:
    """MIMO-UNet with a 3x3 score at each scale in place of restored pictures.

    Args:
        base: channels at full resolution; half and quarter have twice and four times as many.
        n: residual blocks of each of the six stages. 4 in Su et al.'s table; Cho et al. use 8,
            and 20 in MIMO-UNet+.

    Source: Cho et al. 2021, Figure 2, and their code; the ANN "MIMO-UNet" of Su et al.
    2024, Table 1.
    """
    if n < 1 or base < 1 or input_.shape[0] >= 2 * base or any(s % 4 for s in input_.shape[1:]):
        raise LavasegError(
            f"mimo_unet: n {n} and base {base} must be at least 1, 2 * base more than the input's "
            f"channels, and its sides divisible by 4, got {input_.shape}"
        )
    tally = Tally()
    pictures, height, width = input_.shape
    widths = [base, 2 * base, 4 * base]
    sheets: list[Shape] = [(w, height >> k, width >> k) for k, w in enumerate(widths)]
    tally.conv("enter.0", input_.shape, base)
    _residuals(tally, "encode.0", sheets[0], n)
    for level in (1, 2):
        side, sheet = level - 1, sheets[level]
        tally.conv(f"down.{side}.0", sheets[side], sheet[0], stride=2)
        _scale(tally, f"scales.{side}", (pictures, *sheet[1:]), sheet[0])
        tally.conv(f"attend.{side}", sheet, sheet[0])
        _residuals(tally, f"encode.{level}", sheet, n)
    _residuals(tally, "decode.2", sheets[2], n)
    tally.conv("scores.2", sheets[2], classes)
    for level in (1, 0):
        sheet = sheets[level]
        mixed = tally.conv(f"fuse.{level}.mix.0.0", (sum(widths), *sheet[1:]), sheet[0], 1)
        tally.conv(f"fuse.{level}.mix.1", mixed, sheet[0])
        enlarge = ConvTranspose(sheet[0], (4, 4), (2, 2), (1, 1))
        tally.operator(f"enlarge.{level}.0", enlarge, sheets[level + 1])
        tally.conv(f"reduce.{level}.0", (2 * sheet[0], *sheet[1:]), sheet[0], 1)
        _residuals(tally, f"decode.{level}", sheet, n)
        tally.conv(f"scores.{level}", sheet, classes)
    return tally.plan(
        "mimo_unet_torch:MimoUNet",
        {"inputs": input_.shape[0], "classes": classes, "base": base, "n": n},
    )


def _residuals(tally: Tally, name: str, sheet: Shape, n: int) -> None:
    for block in range(n):
        tally.conv(f"{name}.{block}.branch.0.0", sheet, sheet[0])
        tally.conv(f"{name}.{block}.branch.1", sheet, sheet[0])


def _scale(tally: Tally, name: str, picture: Shape, channels: int) -> None:
    """The features of a shrunken picture."""
    c = channels
    x = tally.conv(f"{name}.main.0", picture, c // 4)
    x = tally.conv(f"{name}.main.2", x, c // 2, 1)
    x = tally.conv(f"{name}.main.4", x, c // 2)
    tally.conv(f"{name}.main.6", x, c - picture[0], 1)
    tally.conv(f"{name}.last", (c, *picture[1:]), c, 1)
