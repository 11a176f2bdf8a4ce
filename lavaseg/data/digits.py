"""Digits on photographs, from what scikit-learn ships: real data that needs no download.

The rule of MNIST-CIFAR10-segmentation (`compose`) at the same size, 32x32, 2 classes: 1,797
handwritten digits (UCI, 8x8) doubled to 16x16, on crops of two photographs at half resolution.
"""

from __future__ import annotations

import numpy as np

from lavaseg.data import compose
from lavaseg.data.base import DataSet

_SIZE = 32
_STRIDE = 4
_BORDER = 120
"""Of 320 columns: test crops lie left of it, training crops right of it; it cuts both subjects,
so that each side shows all of their materials."""
_BRIGHTEST = 170
"""Crops with a higher mean grey level are left out: a white digit vanishes in white sky."""


def load(train: int = 2_000, test: int = 500, seed: int = 0) -> DataSet:
    """Handwritten digits on photographs, both embedded in scikit-learn.

    Test samples use other digits (20 %) and another region of the photographs (the left 3/8)
    than training samples. Unlike the original rule, crops of bright sky are left out.

    Args:
        train, test: samples in each part.
        seed: of the split of the digits and of all draws.

    Raises:
        LavasegError: an option out of range.
    """
    compose.check_options(train, test, seed)
    digits = _digits()
    for_train, for_test = _crops()
    pictures = np.concatenate([for_train, for_test])
    regions = np.split(np.arange(len(pictures)), [len(for_train)])
    digit_parts = compose.split_sources(len(digits), seed, stream=0)
    parts = [
        compose.draw(
            pictures,
            digits,
            use_pictures=region,
            use_digits=digit_part,
            samples=samples,
            seed=seed,
            stream=stream,
        )
        for digit_part, region, samples, stream in zip(
            digit_parts, regions, (train, test), (2, 3), strict=True
        )
    ]
    return DataSet(
        name="digits-photos",
        train=parts[0],
        test=parts[1],
        classes=compose.CLASSES,
        source="scikit-learn: load_digits on load_sample_images",
    )


def _digits() -> np.ndarray:
    """The digits, bilinearly enlarged: uint8 (1797, 16, 16)."""
    from PIL import Image
    from sklearn.datasets import load_digits

    levels = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    resample = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(d).resize((16, 16), resample)) for d in levels])


def _crops() -> tuple[np.ndarray, np.ndarray]:
    """Crops on a grid of 4 pixels, for training and for test: uint8 (P, 32, 32, 3) each."""
    from sklearn.datasets import load_sample_images

    halves = [_half(photo) for photo in load_sample_images().images]
    for_train = np.concatenate([_windows(photo[:, _BORDER:]) for photo in halves])
    for_test = np.concatenate([_windows(photo[:, :_BORDER]) for photo in halves])
    return for_train, for_test


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
