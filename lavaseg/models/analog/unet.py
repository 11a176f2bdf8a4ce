"""U-Net (Ronneberger et al. 2015) with padding and batch norm."""

from __future__ import annotations

from lavaseg.errors import LavasegError
from lavaseg.models.analog.plan import AnalogPlan, Tally
from lavaseg.network import ConvTranspose, Input, Shape


def unet(input_: Input, classes: int, *, width: int = 64, depth: int = 4) -> AnalogPlan:
    """U-Net: two convolutions at each resolution, transposed 2x2 ones up, 31.0 M parameters.

    Args:
        width: channels at full resolution; each halving doubles them.
        depth: halvings of the sheet.

    Source: Ronneberger et al. 2015, Figure 1, with padding and batch norm; the ANN "UNet" of
    Su et al. 2024, Table 1.
    """
    if width < 1 or depth < 1 or min(input_.shape[1:]) >> depth < 1:
        raise LavasegError(
            f"unet: width {width} and depth {depth} must be at least 1, and the input "
            f"{input_.shape[1:]} at least {1 << depth} wide"
        )
    tally = Tally()
    x, skips = input_.shape, []
    for level in range(depth + 1):
        x = _double(tally, f"down.{level}", _halved(x) if level else x, width << level)
        skips.append(x)
    for level, skip in reversed(list(enumerate(skips[:-1]))):
        tally.operator(f"enlarge.{level}", ConvTranspose(width << level, (2, 2), (2, 2)), x)
        x = _double(tally, f"up.{level}", (2 * skip[0], *skip[1:]), width << level)
    tally.conv("score", x, classes, 1)
    return tally.plan(
        "unet_torch:UNet",
        {"inputs": input_.shape[0], "classes": classes, "width": width, "depth": depth},
    )


def _halved(sheet: Shape) -> Shape:
    channels, height, width = sheet
    return channels, height // 2, width // 2


def _double(tally: Tally, name: str, x: Shape, channels: int) -> Shape:
    """Twice a 3x3 convolution and batch norm."""
    for place in (0, 3):
        x = tally.conv(f"{name}.{place}", x, channels, bias=False)
        tally.norm(f"{name}.{place + 1}", x)
    return x
