"""Digits on photographs, from what scikit-learn ships: real data that needs no download.

The rule of MNIST-CIFAR10-segmentation (`compose`) at the same size, 32x32, 2 classes: 1,797
handwritten digits (UCI, 8x8) doubled to 16x16, on crops of two photographs at half resolution.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from lavaseg.data import compose
from lavaseg.data.base import DataSet
from lavaseg.system.extras import optional

_SOURCE = "scikit-learn: load_digits on load_sample_images"
_SIZE = 32
_STRIDE = 4
_COLUMNS = {"train": slice(120, 276), "validation": slice(276, 320), "test": slice(0, 120)}
"""Where the crops of each part lie, of 320 columns; 120 cuts both subjects, so that training and
test show all of their materials."""
_BRIGHTEST = 170
"""Crops with a higher mean grey level are left out: a white digit vanishes in white sky."""


def load(
    train: int = 2_000, test: int = 500, seed: int = 0, validation: int | None = None
) -> DataSet:
    """Handwritten digits on photographs, from scikit-learn: nothing to download.

    Each part has digits and a region of the photographs of its own: test the left 3/8,
    validation the right 1/8. Unlike the original rule, crops of bright sky are left out.

    Args:
        train, test, validation: samples in each part; validation: a tenth of `train` if None.
        seed: of the split of the digits and of all draws.

    Raises:
        LavasegError: an option out of range.
    """
    samples = compose.part_sizes(train, test, validation, seed)
    digits, crops = _digits(), _crops()
    pictures = np.concatenate(list(crops.values()))
    borders = np.cumsum([len(region) for region in crops.values()])[:-1]
    regions = dict(zip(crops, np.split(np.arange(len(pictures)), borders), strict=True))
    digit_parts = compose.split_sources(len(digits), seed, stream=0)
    parts = compose.compose(pictures, digits, regions, digit_parts, samples, seed)
    return DataSet(
        name="digits-photos",
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        classes=compose.CLASSES,
        source=_SOURCE,
    )


def source() -> str:
    """Where the pictures come from, without importing scikit-learn, which takes a second."""
    return _SOURCE if find_spec("sklearn") else load().source


def _digits() -> np.ndarray:
    """The digits, bilinearly enlarged: uint8 (1797, 16, 16)."""
    from PIL import Image

    with optional():
        from sklearn.datasets import load_digits

    levels = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    resample = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(d).resize((16, 16), resample)) for d in levels])


def _crops() -> dict[str, np.ndarray]:
    """Crops on a grid of 4 pixels for each part: uint8 (P, 32, 32, 3)."""
    with optional():
        from sklearn.datasets import load_sample_images

    halves = [_half(photo) for photo in load_sample_images().images]
    return {
        part: np.concatenate([_windows(photo[:, columns]) for photo in halves])
        for part, columns in _COLUMNS.items()
    }


def _half(photo: np.ndarray) -> np.ndarray:
    """The photograph at half resolution, each pixel the mean of four."""
    height, width, channels = photo.shape
    even = photo[: height // 2 * 2, : width // 2 * 2].astype(np.uint16)
    blocks = even.reshape(height // 2, 2, width // 2, 2, channels)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def _windows(photo: np.ndarray) -> np.ndarray:
    corners = [
        (row, column)
        for row in range(0, photo.shape[0] - _SIZE + 1, _STRIDE)
        for column in range(0, photo.shape[1] - _SIZE + 1, _STRIDE)
    ]
    crops = np.stack([photo[r : r + _SIZE, c : c + _SIZE] for r, c in corners])
    return crops[crops.mean(axis=(1, 2, 3)) <= _BRIGHTEST]
