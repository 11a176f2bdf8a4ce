"""Random changes of stimuli and labels alike, so that a network sees each sample in many ways."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as change

from lavaseg.errors import LavasegError
from lavaseg.events import Events, Stimulus
from lavaseg.network import Size
from lavaseg.recipes import Augment


def augmented(
    stimulus: Stimulus,
    label: np.ndarray,
    augment: Augment,
    rng: np.random.Generator,
    ignore_index: int | None,
) -> tuple[Stimulus, np.ndarray]:
    """One sample, changed as `augment` says; sizes stay, and no new label but the ignore index.

    Args:
        stimulus: a picture, uint8 (channels, height, width), or events, which can only be
            mirrored.
        label: uint8 (height, width).
        rng: where all draws come from; every call takes the same number of them.
        ignore_index: label of what lies beyond the border of a picture that was made smaller.

    Returns:
        arrays of their own, of the shapes that were given.

    Raises:
        LavasegError: pictures are to be made smaller, or to change colour, and cannot.
            Events are to be more than mirrored.
    """
    flip, scale, row, column, *colour = rng.random(8)
    if isinstance(stimulus, Events):
        if augment.scale != (1.0, 1.0) or augment.colourful:
            raise LavasegError("events can be mirrored (field 'augment.flip'), nothing else")
        if not (augment.flip and flip < 0.5):
            return stimulus, label.copy()
        mirrored = stimulus.sensor[1] - 1 - stimulus.x
        return stimulus.moved(mirrored, stimulus.y, stimulus.sensor), label[:, ::-1].copy()
    image, ids = torch.from_numpy(np.array(stimulus)), torch.from_numpy(np.array(label))[None]
    if augment.flip and flip < 0.5:
        image, ids = image.flip(-1), ids.flip(-1)
    low, high = augment.scale
    if (low, high) != (1.0, 1.0):
        image, ids = _zoomed(image, ids, low * (high / low) ** scale, (row, column), ignore_index)
    if augment.colourful:
        image = _coloured(image, augment, colour)
    return image.contiguous().numpy(), ids[0].contiguous().numpy()


def _zoomed(
    image: torch.Tensor,
    ids: torch.Tensor,
    factor: float,
    place: tuple[float, float],
    ignore_index: int | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Resized by `factor`, then cut or filled up to the old size; `place` in 0 .. 1 says where."""
    size = (ids.shape[-2], ids.shape[-1])
    height, width = (max(round(factor * side), 1) for side in size)
    image = change.resize(image, [height, width], InterpolationMode.BILINEAR, antialias=True)
    ids = change.resize(ids, [height, width], InterpolationMode.NEAREST_EXACT)
    if height < size[0] or width < size[1]:
        if ignore_index is None:
            raise LavasegError(
                "field 'augment.scale' below 1 needs data with an ignore index, for what lies "
                "beyond the border of the picture"
            )
        image, ids = _filled(image, size, place, 0), _filled(ids, size, place, ignore_index)
    top, left = (
        int(p * (have - want + 1))
        for p, have, want in zip(place, ids.shape[-2:], size, strict=True)
    )
    return change.crop(image, top, left, *size), change.crop(ids, top, left, *size)


def _filled(
    tensor: torch.Tensor, size: Size, place: tuple[float, float], value: int
) -> torch.Tensor:
    """`tensor` with a border of `value`, so that it is at least of `size`."""
    lack = [max(want - have, 0) for want, have in zip(size, tensor.shape[-2:], strict=True)]
    top, left = (int(p * (n + 1)) for p, n in zip(place, lack, strict=True))
    return change.pad(tensor, [left, top, lack[1] - left, lack[0] - top], fill=value)


def _coloured(image: torch.Tensor, augment: Augment, draws: list[float]) -> torch.Tensor:
    if len(image) != 3:
        raise LavasegError(
            "fields 'augment.brightness' to 'augment.hue' change colours: they need pictures of 3 "
            f"channels, got {len(image)}"
        )
    ways = (
        (augment.brightness, change.adjust_brightness),
        (augment.contrast, change.adjust_contrast),
        (augment.saturation, change.adjust_saturation),
    )
    for (strength, adjust), draw in zip(ways, draws, strict=False):
        if strength:
            image = adjust(image, 1 + strength * (2 * draw - 1))
    if augment.hue:
        image = change.adjust_hue(image, augment.hue * (2 * draws[3] - 1))
    return image
