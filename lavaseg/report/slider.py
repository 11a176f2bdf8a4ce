"""Pictures for the slider over T: label maps after each step, small enough for a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from lavaseg.report.drawings import LabelsOverSteps
from lavaseg.report.embedding import data_uri
from lavaseg.report.plots import IGNORED, as_rgb
from lavaseg.report.wording import format_percent

SIDE = 256
"""Pixels of the longer side of a map; larger ones lose rows and columns."""
BYTES = 400_000
"""What the maps of all steps may take together; if they take more, they lose further rows."""
_SHARP = 64
"""Longest side up to which pictures are kept pixel by pixel."""


@dataclass(frozen=True)
class Frame:
    """All samples' label maps after some steps.

    Args:
        source: PNG as data URI, the samples side by side.
        said: what it is, in words.
    """

    source: str
    said: str


@dataclass(frozen=True)
class Slider:
    """What the page shows: pictures, their truth, and a frame a step; all are as wide.

    Args:
        pictures: PNG or JPEG as data URI.
        truth: PNG as data URI, or "".
        frames: in the order of steps.
        samples: their number.
    """

    pictures: str
    truth: str
    frames: tuple[Frame, ...]
    samples: int


def slider(found: LabelsOverSteps, colours: Sequence[str]) -> Slider:
    """The pictures of a slider.

    Args:
        colours: of the classes, at most 255, as '#rrggbb'.
    """
    classes = len(colours)
    every = -(-max(found.labels.shape[2:]) // SIDE)
    maps = _maps(found, colours, every)
    while sum(map(len, maps)) > BYTES and every < max(found.labels.shape[2:]):
        every += 1
        maps = _maps(found, colours, every)
    truth = b""
    if found.truths is not None:
        shown = found.truths
        if found.ignore_index is not None:
            shown = np.where(shown == found.ignore_index, classes, shown)
        truth = _palette_png(shown[:, ::every, ::every], colours)
    return Slider(
        _photos(found.pictures),
        data_uri("image/png", truth) if truth else "",
        tuple(
            Frame(data_uri("image/png", png), _said(found, index)) for index, png in enumerate(maps)
        ),
        len(found.pictures),
    )


def _maps(found: LabelsOverSteps, colours: Sequence[str], every: int) -> list[bytes]:
    return [_palette_png(labels[:, ::every, ::every], colours) for labels in found.labels]


def _said(found: LabelsOverSteps, index: int) -> str:
    step, last = found.steps[index], found.steps[-1]
    said = f"after time step {step} of {last}"
    right = found.share_right(index)
    return said if right is None else f"{said}: {format_percent(right)} of the pixels right"


def _palette_png(labels: np.ndarray, colours: Sequence[str]) -> bytes:
    """Maps (N, H, W) side by side; K is the id of what does not count, and of the gaps."""
    image = Image.fromarray(_beside(labels.astype(np.uint8), len(colours)), "P")
    parts = [part for colour in (*colours, IGNORED) for part in to_rgb(colour)]
    image.putpalette([round(255 * part) for part in parts])
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _photos(pictures: np.ndarray) -> str:
    """Pictures (N, C, H, W) side by side."""
    rgb = np.stack([as_rgb(picture) for picture in pictures])
    height, width = rgb.shape[1:3]
    if max(height, width) > SIDE:
        factor = SIDE / max(height, width)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        rgb = np.stack([np.asarray(Image.fromarray(p).resize(size)) for p in rgb])
    image, file = Image.fromarray(_beside(rgb, 255)), io.BytesIO()
    if max(rgb.shape[1:3]) <= _SHARP:
        image.save(file, "PNG", optimize=True)
        return data_uri("image/png", file.getvalue())
    image.save(file, "JPEG", quality=85)
    return data_uri("image/jpeg", file.getvalue())


def _beside(sheets: np.ndarray, between: int) -> np.ndarray:
    """Sheets (N, H, W, ...) in one, (H, N * W + gaps, ...), a thirty-second of one as gap."""
    gap = max(1, sheets.shape[2] // 32)
    wide = np.full((*sheets.shape[:2], sheets.shape[2] + gap, *sheets.shape[3:]), between, np.uint8)
    wide[:, :, :-gap] = sheets
    return np.concatenate([*wide[:-1], wide[-1][:, :-gap]], axis=1)
