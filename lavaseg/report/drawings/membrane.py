"""Figures of membranes: as they are, and over the epochs of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.report import plots
from lavaseg.report.drawings.ask import Ask
from lavaseg.report.sources import RunSource, Source
from lavaseg.results.membranes import EDGES, Histogram, binned


def membranes(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Histograms of membranes before reset, further sources as lines."""
    found = {source.title: membrane_data(source, ask) for source in sources}
    if len(found) < len(sources):
        raise LavasegError("two sources have the same title: give titles that tell them apart")
    title, *others = found
    return plots.membrane_histograms(
        found[title], {other: found[other] for other in others}, label=title
    )


def membrane_data(source: Source, ask: Ask) -> dict[str, Histogram]:
    """Histogram of each population that fires, in units of its threshold."""
    names = source.chosen_firing(ask.layers)
    seen = source.scenes(ask.wanted)
    counts = {name: np.zeros(len(EDGES) - 1, np.int64) for name in names}
    for recording in source.recordings(seen, ask.wanted, names, membranes=True):
        for name in names:
            layer = recording[name]
            if layer.membranes is None or layer.threshold is None:
                raise LavasegError(
                    f"{source.title} holds no membranes of {name!r}: record with --membranes"
                )
            counts[name] += binned(layer.membranes, layer.threshold, layer.levels)
    return {name: Histogram(EDGES, count) for name, count in counts.items()}


def membrane_epochs(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Histograms of membranes over training."""
    (source,) = sources
    if not isinstance(source, RunSource):
        raise LavasegError(f"{source.title} is no run folder, which membrane-epochs shows")
    _ = source.network
    kept = source.run.files.membranes
    if not kept.exists():
        raise LavasegError(
            f"{source.title} holds no histograms of membranes by epoch: train with "
            "--set training.membrane_histograms=true"
        )
    history = kept.load()
    for name in ask.layers or ():
        if name not in history.histograms:
            raise LavasegError(
                f"{source.title} has no layer {name!r} that fires: it has "
                f"{', '.join(history.histograms)}"
            )
    shown = {
        name: found
        for name, found in history.histograms.items()
        if ask.layers is None or name in ask.layers
    }
    order = [name for name in source.firing if name in shown]
    return plots.membrane_epochs({name: shown[name] for name in order}, history.epochs)
