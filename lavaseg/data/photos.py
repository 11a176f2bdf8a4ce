"""Pictures at their own size: for a network, and as people see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lavaseg.data.pictures import (
    check_channels,
    eight_bits,
    existing,
    pixels,
    read_array,
    upright,
)
from lavaseg.errors import LavasegError


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture at its own size, as a network takes it and as people see it.

    Args:
        picture: uint8 (channels, height, width), with the network's channels.
        shown: uint8 (3, height, width).
        frames: number of frames in the file, of which this is the first.
    """

    picture: np.ndarray
    shown: np.ndarray
    frames: int = 1

    @classmethod
    def of(cls, picture: np.ndarray) -> Photo:
        """A photo of an array; of other than three channels the first is seen, as grey."""
        seen = picture if len(picture) == 3 else picture[:1]
        return cls(picture, np.broadcast_to(seen, (3, *picture.shape[1:])))


def read_photo(path: str | Path, channels: int, content: bytes | None = None) -> Photo:
    """A picture of any size; what files may hold says `lavaseg.data.pictures.read_picture`.

    Args:
        path: the file; or what to call `content`.
        channels: of the network.
        content: an image file's content, where it is no file.

    Raises:
        LavasegError: no such file, no picture, a truncated one, or one of other channels.
    """
    path = Path(path)
    if content is None and existing(path).suffix.lower() == ".npy":
        array = read_array(path, None)
        if len(array) != channels:
            raise LavasegError(
                f"{path} must hold uint8 ({channels}, height, width), it holds {array.dtype} "
                f"{array.shape}"
            )
        return Photo.of(array)
    check_channels(path, channels)
    image, frames = upright(path, content)
    shown = pixels(image, 3)
    return Photo(shown if channels == 3 else pixels(image, channels), shown, frames)


def photo_of_image(image: Image.Image, channels: int) -> Photo:
    """An image of PIL, turned as its orientation tag says.

    Raises:
        LavasegError: a network of other channels, or an image of more than 16 bits a channel.
    """
    check_channels("the image", channels)
    image = eight_bits(ImageOps.exif_transpose(image), "the image", image.format)
    shown = pixels(image, 3)
    return Photo(shown if channels == 3 else pixels(image, channels), shown)
