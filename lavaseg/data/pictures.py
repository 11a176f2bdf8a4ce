"""Pictures and label maps as files: read, checked, resized, written."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from lavaseg.errors import LavasegError
from lavaseg.network import Shape, Size
from lavaseg.system.extras import optional
from lavaseg.system.faults import reading
from lavaseg.system.files import replacing
from lavaseg.system.words import meant_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".npy")
"""File names that count as pictures."""

_DAMAGED = "is truncated or damaged"
_FRAMED = ("GIF", "WEBP", "PNG", "TIFF")
"""Formats whose files may hold several frames or pages that are equals."""
_ORIENTATION = 0x0112
"""EXIF's tag that says how a picture is to be turned or mirrored; 1: not at all."""

_MARK = "Software"
_LABEL_MAP, _OVERLAY = "lavaseg: label map", "lavaseg: overlay"
"""The texts by which label maps and overlays that were written here are known again."""
_OTHER = (224, 224, 224)
"""Colour of labels that are no class, such as the ignore index."""


def read_picture(path: str | Path, shape: Shape | None = None) -> np.ndarray:
    """A picture as uint8 (channels, height, width).

    Args:
        path: an image file (palette, transparency and orientation tags are resolved; of grey with
            16 bits the upper 8 are taken, of several frames the first), or a .npy file of uint8
            (channels, height, width).
        shape: the shape wanted: image files are converted to grey (1 channel) or RGB (3) and
            resized (bilinear, filtered when they shrink); a .npy file must have it.
            None: RGB at the file's own size.

    Raises:
        LavasegError: no such file, no picture, a truncated one, or one of another shape.
    """
    path = existing(path)
    if path.suffix.lower() == ".npy":
        return read_array(path, shape)
    if shape is not None:
        check_channels(path, shape[0])
    picture = pixels(upright(path)[0], 3 if shape is None else shape[0])
    _, height, width = picture.shape if shape is None else shape
    return resize_picture(picture, (height, width))


def existing(path: str | Path) -> Path:
    """The path of a picture; LavasegError if there is no such file."""
    path = Path(path)
    if not path.is_file():
        raise LavasegError(f"there is no picture {path}{meant_path(path)}")
    return path


def check_channels(path: str | Path, channels: int) -> None:
    """Refuse an image file for a network that takes neither grey nor colours."""
    if channels not in (1, 3):
        raise LavasegError(
            f"{path} is an image file, and the network takes {channels} channels: give a .npy "
            f"file of uint8 with shape ({channels}, height, width)"
        )


def upright(path: Path, content: bytes | None = None) -> tuple[Image.Image, int]:
    """The image with 8 bits a channel, as its orientation tag says that it is to be seen.

    Args:
        path: the file; or what to call `content`.
        content: an image file's content, where it is no file.

    Returns:
        The image, and the number of frames in its file, of which it is the first.
    """
    with reading(path if content is None else str(path), _DAMAGED):
        image = _open(path, content)
        frames = getattr(image, "n_frames", 1) if image.format in _FRAMED else 1
        kind, image = image.format, ImageOps.exif_transpose(image)
    return eight_bits(image, path, kind), frames


def eight_bits(image: Image.Image, name: str | Path, kind: str | None) -> Image.Image:
    """An image with the upper eight bits of grey that has 16.

    Args:
        name: for messages.
        kind: the format of its file.

    Raises:
        LavasegError: more bits, or fractions.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and kind == "PNG"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode.startswith(("I", "F")):
        raise LavasegError(f"{name} has mode {image.mode}: expected 8 or 16 bits a channel")
    return image


def pixels(image: Image.Image, channels: int) -> np.ndarray:
    """uint8 (channels, height, width), grey or red, green and blue."""
    converted = image.convert("L" if channels == 1 else "RGB")
    return np.atleast_3d(np.asarray(converted)).transpose(2, 0, 1)


def resize_picture(picture: np.ndarray, size: Size) -> np.ndarray:
    """uint8 (channels, height, width) resized to (height, width): bilinear, filtered."""
    if picture.shape[1:] == tuple(size):
        return np.ascontiguousarray(picture)
    resample = Image.Resampling.BILINEAR
    channels = (Image.fromarray(np.ascontiguousarray(c)) for c in picture)
    return np.stack([np.asarray(c.resize((size[1], size[0]), resample)) for c in channels])


def is_turned(path: str | Path) -> bool:
    """Whether an orientation tag (EXIF) turns or mirrors a picture that can be read."""
    if Path(path).suffix.lower() == ".npy":
        return False
    with reading(path, _DAMAGED), Image.open(path) as image:
        return image.getexif().get(_ORIENTATION, 1) != 1


def read_label_map(path: str | Path) -> np.ndarray:
    """Class ids of an image file, as uint8 (height, width): grey levels or palette indices.

    Raises:
        LavasegError: no such file, no picture, a truncated one, one in colour, or ids above 255.
    """
    samples = read_label_samples(path)
    if samples.ndim == 3:
        raise LavasegError(
            f"label map {path} is in colour: expected class ids as grey levels or palette indices"
        )
    if samples.min() < 0 or samples.max() > 255:
        raise LavasegError(f"label map {path} has ids from {samples.min()} to {samples.max()}")
    return samples.astype(np.uint8)


def read_label_samples(path: str | Path, *, colours: bool = False) -> np.ndarray:
    """What an image file holds for each pixel, as it is stored.

    Grey levels of 1, 2 and 4 bits are not scaled to 255. A file in colour whose pixels are all
    grey holds grey levels. GIF files hold the colours of their palettes. Transparency
    must not tell pixels apart that are else equal.

    Args:
        colours: give the colours of a palette, not its indices.

    Returns:
        Whole numbers (height, width): grey levels or palette indices; or uint8 (height, width, 3):
        red, green, blue.

    Raises:
        LavasegError: no such file, no picture, a truncated one, several in one file, numbers
            that are not whole, or an orientation tag.
    """
    path = Path(path)
    if not path.is_file():
        raise LavasegError(f"there is no label map {path}")
    image = _open(path)
    with reading(path, _DAMAGED):
        frames, scale = getattr(image, "n_frames", 1), _grey_scale(path, image.mode)
        turned = image.getexif().get(_ORIENTATION, 1) != 1
    if frames > 1:
        raise LavasegError(f"label map {path} holds {frames} pictures, expected one")
    if turned:  # the picture that it was drawn on may lie either way
        raise LavasegError(
            f"label map {path} has an orientation tag (EXIF), which says that it is to be turned: "
            "save it without, lying as its picture is seen"
        )
    # writers of GIF number the colours of each file anew, so that indices are no ids
    if image.mode in ("P", "PA") and (colours or image.format == "GIF"):
        image = image.convert("RGB")
    if image.mode in ("1", "L", "P"):
        return np.array(image).astype(np.uint8) // scale
    if image.mode == "PA":
        return np.array(image)[..., 0]
    if image.mode.startswith(("I", "F")):
        values = np.array(image)
        if (values != np.rint(values)).any():
            raise LavasegError(f"label map {path} holds numbers that are not whole")
        return values.astype(np.int64)
    if image.mode not in ("LA", "RGB", "RGBA"):
        raise LavasegError(
            f"label map {path} has mode {image.mode}: expected class ids as grey levels, palette "
            "indices or colours"
        )
    return _colours(np.array(image), path)


def _colours(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Pixels without their transparency, grey levels where all are grey."""
    shown = pixels[..., : 1 if pixels.shape[-1] == 2 else 3]
    if pixels.shape[-1] in (2, 4):
        flat = pixels.reshape(-1, pixels.shape[-1])
        kinds = np.unique(flat, axis=0)
        if len(np.unique(kinds[:, :-1], axis=0)) < len(kinds):
            raise LavasegError(f"label map {path} has pixels that differ in transparency alone")
    if (shown == shown[..., :1]).all():
        return shown[..., 0]
    return shown


def _grey_scale(path: Path, mode: str) -> int:
    """The factor by which Pillow scales grey levels of 2 or 4 bits."""
    if mode != "L":
        return 1
    with Image.open(path) as image:
        layout = image.tile[0][3] if image.tile else None
    raw = layout[0] if isinstance(layout, tuple) and layout else layout
    return {"L;2": 85, "L;4": 17}.get(raw[:3], 1) if isinstance(raw, str) else 1


def resize_label_map(
    label: np.ndarray, size: Size, how: Literal["nearest", "bilinear"] = "nearest"
) -> np.ndarray:
    """uint8 (height, width) resized to `size`.

    Args:
        how: nearest, where no new ids arise. Or bilinear, rounded down, to compare with networks
            trained so (Su et al. 2024, MFS-Seg's code): ids between those of two neighbours
            arise at borders, classes that are not there.
    """
    if label.shape == tuple(size):
        return label
    if how == "nearest":
        resample = Image.Resampling.NEAREST
        return np.array(Image.fromarray(label).resize((size[1], size[0]), resample))
    with optional():
        import torch
        from torch.nn import functional

    ids = torch.from_numpy(label.astype(np.float32))[None, None]
    return functional.interpolate(ids, size=tuple(size), mode="bilinear")[0, 0].byte().numpy()


def palette(classes: int) -> np.ndarray:
    """A colour for each class: uint8 (classes, 3), class 0 black.

    Classes 1 to 7 have the colours of Okabe and Ito, which the colour-blind can tell apart;
    further ones those of PASCAL VOC.
    """
    colours = [
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ]
    colours += [voc_colour(k) for k in range(len(colours), classes)]
    return np.array(colours[:classes], np.uint8)


def voc_colour(number: int) -> tuple[int, int, int]:
    """PASCAL VOC's colour map: the bits of the number, dealt to red, green and blue in turn."""
    red, green, blue = (
        sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for channel in range(3)
    )
    return red, green, blue


def write_label_map(
    label: np.ndarray, path: str | Path, colours: Sequence[Sequence[int]] | np.ndarray | None = None
) -> None:
    """Writes class ids as a palette PNG: programs see the ids, people the colours.

    Args:
        label: uint8 (height, width).
        path: a name that ends in .png.
        colours: (classes, 3) of 0 .. 255; `palette` of as many classes as there are by default.
            Ids beyond it, such as an ignore index, are light grey.

    Raises:
        LavasegError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise LavasegError(f"label maps are written as PNG: {path.name!r} must end in .png")
    if label.dtype != np.uint8 or label.ndim != 2:
        raise ValueError(f"a label map is uint8 (height, width), got {label.dtype} {label.shape}")
    table = np.full((256, 3), _OTHER, np.uint8)
    if colours is None:
        colours = palette(int(label[label < 255].max(initial=0)) + 1)
    table[: len(colours)] = colours
    image = Image.fromarray(label)
    image.putpalette(table.tobytes())
    mark = PngInfo()
    mark.add_text(_MARK, _LABEL_MAP)
    with replacing(path) as part:
        image.save(part, format="PNG", pnginfo=mark)


def is_too_large(path: str | Path) -> bool:
    """Whether a file says that its picture has too many pixels to be read."""
    if Path(path).suffix.lower() == ".npy":
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path):
                return False
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            return True
        except (OSError, SyntaxError, ValueError, EOFError):  # no picture: its reader says so
            return False


def write_overlay(overlay: np.ndarray, path: str | Path) -> None:
    """Writes a picture with label colours laid over it as a PNG that is known again.

    Args:
        overlay: uint8 (3, height, width).

    Raises:
        LavasegError: the file cannot be written.
    """
    mark = PngInfo()
    mark.add_text(_MARK, _OVERLAY)
    image = Image.fromarray(np.ascontiguousarray(overlay.transpose(1, 2, 0)))
    with replacing(path) as part:
        image.save(part, format="PNG", pnginfo=mark, compress_level=1)


def is_own_output(path: str | Path) -> bool:
    """Whether a file is a label map or an overlay that was written here, as its head says."""
    if Path(path).suffix.lower() != ".png" or not Path(path).is_file():  # a pipe would wait
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size that its reader refuses
            with Image.open(path) as image:
                return image.info.get(_MARK) in (_LABEL_MAP, _OVERLAY)
    except (OSError, SyntaxError, ValueError, EOFError):  # no picture: its reader says so
        return False
    except Image.DecompressionBombError:  # too large: likewise
        return False


def _open(path: Path, content: bytes | None = None) -> Image.Image:
    """The image, decoded in full: of a file, or of a file's content."""
    named = path if content is None else str(path)
    with reading(named, _DAMAGED), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(path if content is None else io.BytesIO(content))
            image.load()
            return image
        except Image.UnidentifiedImageError:
            raise LavasegError(f"{path} is no picture that can be read") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise LavasegError(
                f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, too many for a network: "
                "make it smaller or cut it"
            ) from None


def read_array(path: Path, shape: Shape | None) -> np.ndarray:
    """uint8 (channels, height, width) of a .npy file, of that shape if one is given."""
    expected = "uint8 " + ("(channels, height, width)" if shape is None else str(tuple(shape)))
    with reading(path, f"is no .npy file of {expected}"):
        # mapped, so that a false header cannot ask for memory
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    if not isinstance(array, np.ndarray):
        raise LavasegError(f"{path} is no .npy file of {expected}: it is an archive")
    if array.dtype != np.uint8 or array.ndim != 3 or (shape and array.shape != tuple(shape)):
        raise LavasegError(f"{path} must hold {expected}, it holds {array.dtype} {array.shape}")
    return np.array(array)
