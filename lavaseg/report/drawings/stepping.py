"""Label maps of the read-out after each time step of one run of all T steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lavaseg.report.sources import Source, Wanted
from lavaseg.results.metrics import predict

MOST = 16
"""Steps whose label maps are kept; of more, as many as that, evenly apart."""


@dataclass(frozen=True)
class LabelsOverSteps:
    """What a network says of the same samples while its time steps go by.

    Args:
        pictures: uint8 (N, C, H, W).
        truths: class ids (N, H, W), or None where they are not known.
        steps: numbers of steps that have gone by, ascending, the last one T.
        labels: class ids after each of them, uint8 (steps, N, H, W).
        ignore_index: label that does not count.
    """

    pictures: np.ndarray
    truths: np.ndarray | None
    steps: tuple[int, ...]
    labels: np.ndarray
    ignore_index: int | None = None

    def share_right(self, index: int) -> float | None:
        """Share of the labelled pixels that are right after `steps[index]`; None without truth."""
        if self.truths is None:
            return None
        counted = np.ones(self.truths.shape, bool)
        if self.ignore_index is not None:
            counted = self.truths != self.ignore_index
        hits = (self.labels[index] == self.truths)[counted]
        return float(hits.mean()) if hits.size else None


def labels_over_steps(source: Source, wanted: Wanted) -> LabelsOverSteps | None:
    """The label maps after each step, or after `MOST` of them; None where T is 1."""
    total = source.steps
    if total == 1:
        return None
    steps = tuple(sorted({round(t) for t in np.linspace(1, total, min(total, MOST))}))
    seen = source.scenes(wanted)
    size = seen.pictures.shape[2:] if seen.truths is None else seen.truths.shape[1:]
    labels = [
        predict(logits, (size[0], size[1])) for logits in source.readouts(seen, wanted, steps)
    ]
    return LabelsOverSteps(seen.pictures, seen.truths, steps, np.stack(labels), seen.ignore_index)
