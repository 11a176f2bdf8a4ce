"""Spikes as one moving picture, GIF or APNG, for places that show no page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.data.colours import label_table
from lavaseg.report.animation import sprites
from lavaseg.report.animation.frames import Spikes
from lavaseg.report.animation.playing import zoom_to
from lavaseg.report.animation.sprites import Fit
from lavaseg.system.files import replacing
from lavaseg.system.shown import spread

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

WIDTH = 1000
"""Pixels of the picture."""
LAYERS = 12
"""Layers that it shows; a page has room for more."""
_FIT = Fit(LAYERS, 3, 48)
_MAP, _PICTURE = 72, 120
_GAP, _LINE = 14, 18
_SECONDS = 0.6
_INK, _EDGE, _PAGE = (31, 41, 51), (138, 148, 158), (255, 255, 255)


@dataclass(frozen=True)
class _Tile:
    """One moving part: its words, frames uint8 (F, h, w, 3) as large as shown, and its place."""

    words: str
    frames: np.ndarray
    x: int = 0
    y: int = 0

    def width(self, draw: ImageDraw) -> int:
        return max(self.frames.shape[2], int(draw.textlength(self.words)) + 1)


def moving_picture(spikes: Spikes, path: Path) -> None:
    """Write the frames, one after the other and for ever, whole or not at all.

    Args:
        path: ending in .gif, or in .png for APNG.
    """
    images = list(_images(spikes))
    file = io.BytesIO()
    kind = "GIF" if path.suffix.lower() == ".gif" else "PNG"
    images[0].save(
        file,
        kind,
        save_all=True,
        append_images=images[1:],
        duration=round(1000 * _SECONDS),
        loop=0,
        **({"optimize": True} if kind == "GIF" else {"default_image": False}),
    )
    with replacing(path) as part:
        part.write_bytes(file.getvalue())


def _images(spikes: Spikes) -> Iterator[Image]:
    """Every frame as a picture; the last one is of all of them together."""
    from PIL import Image, ImageDraw

    tiles, height = _placed(_tiles(spikes), ImageDraw.Draw(Image.new("RGB", (1, 1))))
    for number, name in enumerate(spikes.frames):
        image = Image.new("RGB", (WIDTH, height), _PAGE)
        draw = ImageDraw.Draw(image)
        title = _plain(f"Spikes of {spikes.title}: {spikes.sample}, {name}")
        draw.text((_GAP, _GAP), title, _INK)
        for tile in tiles:
            draw.text((tile.x, tile.y), tile.words, _INK)
            frame = tile.frames[min(number, len(tile.frames) - 1)]
            top = tile.y + _LINE
            image.paste(Image.fromarray(frame), (tile.x, top))
            corner = tile.x + frame.shape[1], top + frame.shape[0]
            draw.rectangle((tile.x - 1, top - 1, *corner), outline=_EDGE)
        yield image


def _tiles(spikes: Spikes) -> list[list[_Tile]]:
    """Picture, label and prediction; then the layers."""
    predicted = spikes.predictions
    if len(predicted) != len(spikes.frames) - 1:
        predicted = predicted[-1:]
    predicted = np.concatenate([predicted, predicted[-1:]])
    colours = label_table(spikes.colours, spikes.ignore_index)
    scene = [_Tile(_plain(spikes.sample), _large(spikes.picture[None], _PICTURE))]
    if spikes.truth is not None:
        scene.append(_Tile("label", _large(colours[spikes.truth[None]], _PICTURE)))
    scene.append(_Tile("prediction", _large(colours[predicted], _PICTURE)))
    layers = []
    for track in spread(spikes.tracks, LAYERS + 1):
        frames = sprites.shades()[sprites.shaded(track, _FIT)]
        zoom = zoom_to(*sprites.extent(track, _FIT.side), _MAP)
        words = f"{track.name} {'x'.join(map(str, track.shape))}"
        layers.append(_Tile(_plain(words), _enlarged(frames, zoom)))
    return [scene, layers]


def _plain(text: str) -> str:
    """Text that the built-in font can show, cut to a line."""
    found = text.encode("ascii", "replace").decode("ascii")
    return found if len(found) <= 100 else found[:97] + "..."


def _large(frames: np.ndarray, wanted: int) -> np.ndarray:
    return _enlarged(frames, zoom_to(frames.shape[1], frames.shape[2], wanted))


def _enlarged(frames: np.ndarray, zoom: int) -> np.ndarray:
    return frames.repeat(zoom, 1).repeat(zoom, 2).astype(np.uint8)


def _placed(rows: list[list[_Tile]], draw: ImageDraw) -> tuple[list[_Tile], int]:
    """The tiles from left to right and line by line, and the height of the picture."""
    found = []
    y = 2 * _GAP + _LINE
    for row in rows:
        x, tallest = _GAP, 0
        for tile in row:
            if x > _GAP and x + tile.width(draw) > WIDTH - _GAP:
                x, y, tallest = _GAP, y + tallest + _LINE + _GAP, 0
            found.append(_Tile(tile.words, tile.frames, x, y))
            x += tile.width(draw) + _GAP
            tallest = max(tallest, tile.frames.shape[1])
        y += tallest + _LINE + _GAP
    return found, y
