"""Histograms of membranes around the threshold, of one population or over training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.errors import LavasegError

EDGES = np.linspace(-2.0, 3.0, 101)
"""Bin edges in units of the threshold; values beyond them count in the first and last bin."""
_COUNTS = "counts/"
"""What the names of the arrays of a history begin with, in front of a population's."""


def relative(membranes: np.ndarray, threshold: float, levels: int | None = None) -> np.ndarray:
    """Membranes in units of the threshold: 1 is where a neuron begins to send one more.

    Integer neurons have thresholds (k + 1/2) threshold; a membrane is taken from the nearest of
    them, so that it is between 0.5 and 1.5 unless it is below or above all of them.

    Args:
        membranes: of any shape.
        levels: of integer neurons; None: binary spikes.
    """
    found = membranes / threshold
    if levels is None:
        return found
    return found + 0.5 - np.clip(np.floor(found), 0, levels - 1)


def binned(membranes: np.ndarray, threshold: float, levels: int | None = None) -> np.ndarray:
    """Membranes as `relative` has them in each bin of `EDGES`, int64 (bins,)."""
    values = relative(membranes.ravel(), threshold, levels).clip(EDGES[0], EDGES[-1])
    return np.histogram(values, EDGES)[0]


@dataclass(frozen=True)
class Histogram:
    """Membranes of one population before reset, over neurons, steps and samples.

    Args:
        edges: bin edges in units of the threshold, ascending, (bins + 1,).
        counts: membranes in each bin, (bins,).
    """

    edges: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        edges, counts = np.asarray(self.edges, float), np.asarray(self.counts)
        if edges.ndim != 1 or counts.shape != (len(edges) - 1,) or not (np.diff(edges) > 0).all():
            raise LavasegError(
                "a histogram needs ascending edges and one count fewer than edges, got edges "
                f"{edges.shape} and counts {counts.shape}"
            )
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "counts", counts)

    @property
    def percent(self) -> np.ndarray:
        """Each bin in percent of all membranes; zeros if there are none."""
        return 100 * self.counts / max(int(self.counts.sum()), 1)

    def share(self, low: float, high: float) -> float:
        """Percent of membranes between `low` and `high`; bins that are cut count in part."""
        below = np.concatenate([[0.0], np.cumsum(self.percent)])
        return float(np.diff(np.interp([low, high], self.edges, below))[0])


@dataclass(frozen=True)
class MembraneHistory:
    """Histograms of the membranes of each firing population, after each epoch of training.

    Args:
        epochs: their numbers, ascending.
        histograms: of each population, one an epoch.
    """

    epochs: tuple[int, ...]
    histograms: Mapping[str, tuple[Histogram, ...]]

    @classmethod
    def of_counts(cls, rows: Sequence[tuple[int, Mapping[str, Iterable[int]]]]) -> MembraneHistory:
        """A history of (epoch, counts of each population in the bins of `EDGES`), at least one."""
        histograms = {
            name: tuple(Histogram(EDGES, np.array(list(row[name]), np.int64)) for _, row in rows)
            for name in rows[0][1]
        }
        return cls(tuple(epoch for epoch, _ in rows), histograms)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays: epochs (E,), edges (bins + 1,), counts/POPULATION (E, bins)."""
        counts = {
            _COUNTS + name: np.stack([histogram.counts for histogram in found])
            for name, found in self.histograms.items()
        }
        return {"epochs": np.array(self.epochs, np.int64), "edges": EDGES, **counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> MembraneHistory:
        """What `to_arrays` gave.

        Raises:
            LavasegError: other arrays.
        """
        try:
            epochs, edges = arrays["epochs"], arrays["edges"]
            counts = {
                name.removeprefix(_COUNTS): array
                for name, array in arrays.items()
                if name.startswith(_COUNTS)
            }
            sound = (
                epochs.ndim == 1
                and len(epochs) > 0
                and bool((np.diff(epochs) > 0).all())
                and bool(counts)
                and all(
                    array.shape == (len(epochs), len(edges) - 1) and bool((array >= 0).all())
                    for array in counts.values()
                )
            )
        except (KeyError, TypeError):
            sound = False
        if not sound:
            raise LavasegError("expected epochs, edges, and counts of each population by epoch")
        return cls(
            tuple(int(epoch) for epoch in epochs),
            {name: tuple(Histogram(edges, row) for row in array) for name, array in counts.items()},
        )
