"""What a user asks of a figure, and what all kinds of figures share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lavaseg.models.analog import AnalogModel
from lavaseg.report.sources import RecordedSource, RunSource, Source, Wanted

PAGE = 6
"""Layers that a figure of maps shows unless some are chosen."""


@dataclass(frozen=True)
class Ask:
    """What a user asks of a figure.

    Args:
        wanted: the samples, and how they are run.
        layers: names, or None for the figure's own choice.
        steps: numbers of steps, for the figures that take several.
        auxiliary: whether auxiliary read-outs are shown.
    """

    wanted: Wanted
    layers: Sequence[str] | None = None
    steps: tuple[int, ...] = ()
    auxiliary: bool = False


def is_artificial(source: Source) -> bool:
    if isinstance(source, RecordedSource):
        return source.recording.kind == "artificial"
    return isinstance(source, RunSource) and isinstance(source.run.model, AnalogModel)
