"""Figures and pictures as data URIs, which a page holds itself."""

from __future__ import annotations

import base64
import io
from typing import Literal

from matplotlib.figure import Figure

from lavaseg.report.chips import svg


def embedded(figure: Figure, kind: Literal["svg", "png"] = "svg") -> str:
    """A figure as a data URI."""
    if kind == "svg":
        return data_uri("image/svg+xml", svg(figure))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return data_uri("image/png", buffer.getvalue())


def data_uri(mime: str, content: bytes) -> str:
    """A file as an address that holds it."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
