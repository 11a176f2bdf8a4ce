"""Figures and pictures as data URIs, which a page holds itself."""

from __future__ import annotations

import base64
import io
from typing import Literal

from matplotlib.figure import Figure

RESOLUTIONS = (150, 110, 80, 60)
"""Dots an inch, from the first one on until the file is small enough."""
MOST_BYTES = 450_000
"""Of one PNG in a page: photographs stay below it, noise does not."""


def embedded(figure: Figure, kind: Literal["svg", "png"] = "svg") -> str:
    """A figure as a data URI; a PNG has as many dots as `MOST_BYTES` allow, up to 150 an inch."""
    if kind == "svg":
        return data_uri("image/svg+xml", svg(figure))
    for dpi in RESOLUTIONS:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
        if buffer.tell() <= MOST_BYTES:
            break
    return data_uri("image/png", buffer.getvalue())


def svg(figure: Figure) -> bytes:
    """A figure as SVG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    return buffer.getvalue()


def data_uri(mime: str, content: bytes) -> str:
    """A file as an address that holds it."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
