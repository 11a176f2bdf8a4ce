"""How much of things is shown, and how objects show themselves in notebooks: in small HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

_SIDE = 160
"""Pixels that the longer side of a small picture is enlarged to, if it is shorter."""
_LARGEST = 640
"""Pixels that the longer side of a large picture is made smaller to."""


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most` items, the first and the last among them, as evenly apart as can be."""
    if len(items) <= most:
        return list(items)
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


def html_table(title: str, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table under a title; columns whose name begins with '>' are numbers, set to the right."""
    right = [column.startswith(">") for column in columns]
    head = "".join(
        f'<th style="text-align:{"right" if r else "left"}">{escape(c.removeprefix(">"))}</th>'
        for c, r in zip(columns, right, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{"right" if r else "left"}">{escape(str(cell))}</td>'
            for cell, r in zip(row, right, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<p><b>{escape(title)}</b></p><table><tr>{head}</tr>{body}</table>"


def html_picture(pixels: np.ndarray, about: str) -> str:
    """A picture, uint8 (height, width, 3): pixels told apart if it is small, shrunk if large."""
    from PIL import Image

    image, file = Image.fromarray(pixels), io.BytesIO()
    factor = max(1, round(_SIDE / max(image.size)))
    if factor > 1:
        size = (image.width * factor, image.height * factor)
        image = image.resize(size, Image.Resampling.NEAREST)
    image.thumbnail((_LARGEST, _LARGEST))
    image.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img style="margin:2px" alt="{escape(about)}" src="data:image/png;base64,{data}">'


def by(shape: Iterable[int]) -> str:
    """A shape in short: 3x64x64."""
    return "x".join(map(str, shape))
