"""Digits on photographs: the composition rule of MNIST-CIFAR10-segmentation.

Source of the rule: github.com/RobRomijnders/segm, load_data.py, which Kim et al. 2022 use.
Grey levels are whole numbers here, as in the files: what is added is rounded to the nearest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lavaseg.data.base import samples_in_short
from lavaseg.errors import LavasegError

CLASSES = ("background", "digit")
TRAIN_SHARE = 0.8
"""Part of the source pictures and digits that training and validation samples draw from (Kim et
al. 2022: 48,000 / 12,000); a tenth of it is for validation. No source serves two parts."""
PARTS = ("train", "validation", "test")
_STREAMS = {"train": 2, "test": 3, "validation": 4}

_LEVELS = np.arange(256)
_MASK = _LEVELS / 255 > 0.3
_ADDED = np.where(_MASK, np.rint(_LEVELS * (200 / 255)), 0).astype(np.uint8)


def place(
    picture: np.ndarray, digit: np.ndarray, row: int, column: int
) -> tuple[np.ndarray, np.ndarray]:
    """Adds a digit to a picture; the label marks its bright pixels.

    With d = digit / 255 and mask = d > 0.3, 200 d is added to every colour where the mask is set,
    clipped at 255.

    Args:
        picture: uint8 (height, width, channels).
        digit: uint8 (h, w), 255 the brightest ink.
        row, column: where the digit's upper left corner goes.

    Returns:
        the picture, uint8 (channels, height, width), and the label, uint8 (height, width) 0 / 1.
    """
    rows, columns = slice(row, row + digit.shape[0]), slice(column, column + digit.shape[1])
    composed = picture.transpose(2, 0, 1).copy()
    under, added = composed[:, rows, columns], _ADDED[digit]
    under[...] = np.minimum(under, 255 - added) + added
    label = np.zeros(picture.shape[:2], np.uint8)
    label[rows, columns] = _MASK[digit]
    return composed, label


@dataclass(frozen=True, eq=False)
class Composed:
    """N samples that are composed when they are asked for.

    Args:
        pictures: uint8 (P, height, width, channels), shared by all parts.
        digits: uint8 (D, h, w), shared by all parts.
        picture_index, digit_index: int64 (N,), the sources of each sample.
        rows, columns: int64 (N,), where its digit stands.
    """

    pictures: np.ndarray
    digits: np.ndarray
    picture_index: np.ndarray
    digit_index: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    __repr__ = samples_in_short

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return place(
            self.pictures[self.picture_index[index]],
            self.digits[self.digit_index[index]],
            self.rows[index],
            self.columns[index],
        )


def _stream(seed: int, number: int) -> np.random.Philox:
    """Independent streams of raw bits: what a seed gives does not change between NumPy versions."""
    return np.random.Philox(key=[seed, 2**63 + number])


def split_sources(count: int, seed: int, stream: int) -> dict[str, np.ndarray]:
    """A random order of `count` sources, cut in three: their numbers for each of `PARTS`."""
    if count < 3:
        raise LavasegError(f"at least 3 source pictures and digits are needed, found {count}")
    order = np.argsort(_stream(seed, stream).random_raw(count), kind="stable")
    border = int(TRAIN_SHARE * count)
    held = max(round(0.1 * border), 1)
    return dict(zip(PARTS, np.split(order, [border - held, border]), strict=True))


def compose(
    pictures: np.ndarray,
    digits: np.ndarray,
    picture_parts: Mapping[str, np.ndarray],
    digit_parts: Mapping[str, np.ndarray],
    samples: Mapping[str, int],
    seed: int,
) -> dict[str, Composed]:
    """Samples of each part, drawn from the sources of that part alone.

    Args:
        pictures, digits: all sources, see `Composed`.
        picture_parts, digit_parts: numbers of the sources of each part.
        samples: number of samples that each part gets.
        seed: of the draws.
    """
    return {
        part: draw(
            pictures,
            digits,
            use_pictures=picture_parts[part],
            use_digits=digit_parts[part],
            samples=count,
            seed=seed,
            stream=_STREAMS[part],
        )
        for part, count in samples.items()
    }


def part_sizes(train: int, test: int, validation: int | None, seed: int) -> dict[str, int]:
    """Samples of each part, from the options of a composed data set.

    Args:
        validation: None: a tenth of `train`, beside it.

    Raises:
        LavasegError: an option out of range.
    """
    if validation is None and isinstance(train, int):
        validation = max(train // 10, 1)
    options = {"train": train, "validation": validation, "test": test, "seed": seed}
    for name, value in options.items():
        least = 0 if name == "seed" else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise LavasegError(
                f"data option {name!r} must be a whole number of at least {least}, got {value!r}"
            )
    if seed >= 2**64:
        raise LavasegError(f"data option 'seed' must be below 2**64, got {seed}")
    assert validation is not None
    return {"train": train, "validation": validation, "test": test}


def draw(
    pictures: np.ndarray,
    digits: np.ndarray,
    *,
    use_pictures: np.ndarray,
    use_digits: np.ndarray,
    samples: int,
    seed: int,
    stream: int,
) -> Composed:
    """Draws picture, digit and place of each sample, with replacement.

    As in the original, the last place (right and lower edge) never occurs, unless it is the only
    one, of digits as large as the pictures. Sample k depends on
    seed, stream and k only, so that fewer samples are the first ones of more.

    Args:
        pictures, digits: all sources, see `Composed`.
        use_pictures, use_digits: numbers of the sources to draw from.
        samples: number of samples.
        seed, stream: key of the random draws.
    """
    height, width = (pictures.shape[i + 1] - digits.shape[i + 1] for i in range(2))
    raw = _stream(seed, stream).random_raw(4 * samples).reshape(samples, 4)
    places = max(height, 1), max(width, 1)
    bounds = np.array([len(use_pictures), len(use_digits), *places], np.uint64)
    picture, digit, rows, columns = (raw % bounds).astype(np.int64).T.copy()
    return Composed(pictures, digits, use_pictures[picture], use_digits[digit], rows, columns)
