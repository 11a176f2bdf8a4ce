"""Figures of predictions: over T, over depth, of several networks."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.report import plots
from lavaseg.report.drawings.activity import encoder_of
from lavaseg.report.drawings.ask import Ask, is_artificial
from lavaseg.report.sources import RecordedSource, Scenes, Source
from lavaseg.results.metrics import predict


@dataclass(frozen=True)
class Predictions:
    """Predictions of the same samples in several ways.

    Args:
        pictures: uint8 (N, C, H, W).
        truths: class ids (N, H, W), or None where they are not known.
        rows: class ids (N, H, W) by the name of each way.
        ignore_index: label that does not count.
    """

    pictures: np.ndarray
    truths: np.ndarray | None
    rows: Mapping[str, np.ndarray]
    ignore_index: int | None = None


def predictions(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Predictions over T, over depth, and of several networks."""
    found = predicted(sources, ask)
    return plots.prediction_grid(
        found.pictures,
        found.truths,
        found.rows,
        sources[0].classes,
        ignore_index=found.ignore_index,
        colours=sources[0].colours,
    )


def predicted(sources: Sequence[Source], ask: Ask) -> Predictions:
    """The rows of such a figure."""
    first = sources[0]
    seen = first.scenes(ask.wanted)
    size = seen.pictures.shape[2:] if seen.truths is None else seen.truths.shape[1:]
    found: dict[str, np.ndarray] = {}
    classes = first.classes
    for source in sources:
        if source.classes != classes:
            raise LavasegError(
                f"{source.title} has other classes than {first.title}: their predictions cannot "
                "stand in one figure"
            )
        own = seen if source is first else source.scenes(ask.wanted)
        if len(own.names) != len(seen.names):
            raise LavasegError(f"{source.title} and {first.title} see different samples")
        for title, logits in _readouts(source, own, ask, len(sources) > 1):
            if title in found:
                raise LavasegError(
                    f"two rows would be called {title!r}: give titles that tell them apart"
                )
            found[title] = predict(logits, size)
    return Predictions(seen.pictures, seen.truths, found, seen.ignore_index)


def _readouts(
    source: Source, seen: Scenes, ask: Ask, several: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Titles and read-outs of the rows of one source, from the first to the last."""
    prefix = f"{source.title}\n" if several else ""
    if ask.auxiliary:
        for name, logits in source.auxiliaries(seen, ask.wanted).items():
            yield prefix + name, logits
        prefix += "last read-out\n"
    if is_artificial(source):
        if ask.steps:
            _ = source.logits(seen, dataclasses.replace(ask.wanted, steps=ask.steps[0]))
        yield (source.title if several else "prediction"), source.logits(seen, ask.wanted)
        return
    chosen = ask.steps or ((source.steps,) if several or ask.auxiliary else doubled(source))
    for steps in chosen:
        at = dataclasses.replace(ask.wanted, steps=steps)
        if isinstance(source, RecordedSource):
            source.scenes(at)  # which has its own number of steps alone
        yield f"{prefix}T = {steps}", source.logits(seen, at)


def doubled(source: Source) -> tuple[int, ...]:
    """T = 1, 2, 4 and so on, up to the source's own; that alone where it cannot have others."""
    if isinstance(source, RecordedSource):
        return (source.steps,)
    powers = itertools.takewhile(lambda t: t < source.steps, (2**k for k in itertools.count()))
    found = (*powers, source.steps)
    try:
        for steps in found:
            encoder_of(source, steps)
    except LavasegError:
        return (source.steps,)
    return found
