"""Maps as sprites: one picture file for a layer, its frames below each other, in few colours."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from lavaseg.data.colours import label_table
from lavaseg.report.animation.frames import Spikes, Track
from lavaseg.report.embedding import data_uri

_SHADES = 15
"""Shades of a map; one more colour parts the maps of a sprite."""
_HEAT = ((0.0, (255, 255, 255)), (0.15, (253, 227, 207)), (0.5, (240, 139, 75)), (1.0, (95, 31, 0)))
"""White to dark brown, one hue, which colour-blind eyes order as others do."""
_GAP = (138, 148, 158)


@dataclass(frozen=True)
class Fit:
    """How much of the maps is kept: what a bound on the size decides.

    Args:
        layers: at most this many.
        channels: of each layer.
        side: pixels of a map's longer side.
        frames: all of them, or the one of all together alone.
    """

    layers: int
    channels: int
    side: int
    frames: bool = True


FITS = (
    Fit(24, 4, 64),
    Fit(24, 4, 48),
    Fit(24, 3, 32),
    Fit(16, 2, 32),
    Fit(12, 1, 32),
    Fit(8, 1, 24),
    Fit(8, 0, 16),
    Fit(4, 0, 16),
    Fit(4, 0, 16, frames=False),
)
"""From the largest to the smallest."""


@dataclass(frozen=True)
class Sprite:
    """One picture with frames of one size below each other.

    Args:
        png: the file.
        width, height: of a frame, in pixels.
        about: what it shows, in words.
    """

    png: bytes
    width: int
    height: int
    about: str

    @property
    def uri(self) -> str:
        """The file as a data URI."""
        return data_uri("image/png", self.png)


def heat(level: np.ndarray) -> np.ndarray:
    """Shade of each level 0 to 1, uint8; what is more than 0 is never the lightest."""
    found = np.rint(np.clip(level, 0, 1) * (_SHADES - 1)).astype(np.uint8)
    return np.where(level > 0, np.maximum(found, 1), 0).astype(np.uint8)


def shades() -> np.ndarray:
    """The colours of the shades, and that of the gap, uint8 (16, 3)."""
    at = np.linspace(0, 1, _SHADES)
    points = [point for point, _ in _HEAT]
    parts = [np.interp(at, points, [colour[k] for _, colour in _HEAT]) for k in range(3)]
    return np.concatenate([np.rint(np.stack(parts, 1)), [_GAP]]).astype(np.uint8)


def shaded(track: Track, fit: Fit) -> np.ndarray:
    """The frames of a layer as shades, uint8 (F, h, w): all channels, then single ones.

    The map of all channels is scaled by its largest place over the frames, and over the steps
    together by its own.
    """
    kept = slice(None) if fit.frames else slice(-1, None)
    total, maps = (_within(array[kept], fit.side) for array in (track.total, track.maps))
    scale = np.full(len(total), max(float(total[:-1].max(initial=0)), 1e-9), np.float32)
    scale[-1] = max(float(total[-1].max()), 1e-9)
    parts = [heat(total / scale[:, None, None])]
    gap = np.full((*total.shape[:2], 1), _SHADES, np.uint8)
    for channel in range(min(fit.channels, len(track.channels))):
        parts += [gap, heat(maps[:, channel])]
    return np.concatenate(parts, 2)


def _within(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps (..., h, w) of at most `side` pixels: means over squares, the last ones cut short."""
    factor = -(-max(maps.shape[-2:]) // side)
    if factor == 1:
        return maps
    rows = np.add.reduceat(maps, np.arange(0, maps.shape[-2], factor), axis=-2)
    both = np.add.reduceat(rows, np.arange(0, maps.shape[-1], factor), axis=-1)
    ones = [np.add.reduceat(np.ones(n), np.arange(0, n, factor)) for n in maps.shape[-2:]]
    return both / np.outer(*ones).astype(np.float32)


def extent(track: Track, side: int) -> tuple[int, int]:
    """Height and width of one map of a layer, of at most `side` pixels."""
    height, width = track.total.shape[-2:]
    factor = -(-max(height, width) // side)
    return -(-height // factor), -(-width // factor)


def sprite_of(track: Track, fit: Fit) -> Sprite:
    """The sprite of a layer."""
    frames = shaded(track, fit)
    shown = min(fit.channels, len(track.channels))
    singles = ", ".join(map(str, track.channels[:shown]))
    about = f"spikes of {track.name}, all channels" + (f"; channels {singles}" if shown else "")
    return Sprite(_png(frames, shades(), 4), frames.shape[2], frames.shape[1], about)


def predicted(spikes: Spikes, fit: Fit) -> Sprite:
    """The predictions after each frame, and after all of them once more."""
    found = spikes.predictions if fit.frames else spikes.predictions[-1:]
    if fit.frames:
        frames = len(spikes.frames) - 1
        found = found if len(found) == frames else np.repeat(found[-1:], frames, 0)
        found = np.concatenate([found, found[-1:]])
    return _labels(found, spikes, "prediction")


def truth(spikes: Spikes) -> Sprite | None:
    """The label map, or None."""
    return None if spikes.truth is None else _labels(spikes.truth[None], spikes, "label")


def picture(spikes: Spikes) -> Sprite:
    """The picture."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(spikes.picture).save(file, "PNG", optimize=True)
    height, width = spikes.picture.shape[:2]
    return Sprite(file.getvalue(), width, height, f"picture {spikes.sample}")


def _labels(maps: np.ndarray, spikes: Spikes, about: str) -> Sprite:
    return Sprite(
        _png(maps, label_table(spikes.colours, spikes.ignore_index), 8),
        maps.shape[2],
        maps.shape[1],
        about,
    )


def _png(frames: np.ndarray, colours: np.ndarray, bits: int) -> bytes:
    """Frames (F, h, w) below each other, as a PNG with a palette."""
    from PIL import Image

    image = Image.fromarray(frames.reshape(-1, frames.shape[2]).astype(np.uint8))
    image.putpalette(colours.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", bits=bits, optimize=True)
    return file.getvalue()
