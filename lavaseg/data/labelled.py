"""Refuses a part of the data in which no pixel counts."""

from __future__ import annotations

from lavaseg.data.base import Samples
from lavaseg.encoders import Encoder
from lavaseg.errors import LavasegError


def check_labelled(samples: Samples, part: str, ignore_index: int | None, encoder: Encoder) -> None:
    """Look for a pixel that counts; the first samples usually have one.

    Args:
        part: what to call the samples.
        ignore_index: label that does not count, or None: then all do.
        encoder: crops labels where it crops what the sensor saw.

    Raises:
        LavasegError: there is no such pixel.
    """
    if ignore_index is None:
        return
    for index in range(len(samples)):
        label = samples[index][1]
        if (label[encoder.window(label.shape)] != ignore_index).any():
            return
    raise LavasegError(
        f"no pixel of the {part} part has a class: all {len(samples)} labels hold the ignored "
        f"value {ignore_index} alone"
    )
