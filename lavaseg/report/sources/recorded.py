"""Recordings as sources of figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Network, Shape
from lavaseg.report.sources.base import Sheets, Source, Wanted, sent
from lavaseg.report.sources.scenes import Scenes
from lavaseg.results.levels import LevelView
from lavaseg.results.recording import LayerRecording, Recording


class RecordedSource(Source):
    """What `lavaseg record` wrote."""

    def __init__(self, recording: Recording, title: str) -> None:
        self.recording, self.title = replace(recording, layers=recording.populations), title
        self.classes, self.steps = recording.classes, recording.steps

    @property
    def view(self) -> LevelView:
        return self.recording.view

    def _layers(self) -> dict[str, LayerRecording]:
        if self.recording.kind == "artificial":
            raise LavasegError(
                f"{self.title} is a recording of an artificial network, which has no spikes and no "
                "membranes: `lavaseg plot activations` shows it"
            )
        return {
            name: layer
            for name, layer in self.recording.layers.items()
            if layer.kind not in ("readout", "current") and layer.spikes is not None
        }

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {name: layer.shape for name, layer in self._layers().items()}

    @property
    def firing(self) -> list[str]:
        return [name for name, layer in self._layers().items() if layer.kind == "population"]

    def scenes(self, wanted: Wanted) -> Scenes:
        if wanted.inputs or wanted.steps not in (None, self.steps):
            raise LavasegError(
                f"{self.title} is a recording: its samples and its {self.steps} steps are as they "
                "were recorded; give the run or the .net file instead"
            )
        count = min(wanted.samples, self.recording.samples)
        if len(self.recording.pictures) < count:
            raise LavasegError(f"{self.title} holds no pictures: record again")
        numbers = self.recording.numbers[:count]
        names = tuple(f"sample {number}" for number in numbers)
        return Scenes(names, (), numbers, self.recording.pictures[:count])

    def recordings(
        self, seen: Scenes, wanted: Wanted, layers: Sequence[str] | None, membranes: bool
    ) -> Iterator[Recording]:
        yield self.recording

    def spikes(self, names: Sequence[str], seen: Scenes, wanted: Wanted) -> Iterator[Sheets]:
        for row in range(len(seen.numbers)):
            yield {name: sent(self.recording[name])[row] for name in names}

    def logits(self, seen: Scenes, wanted: Wanted) -> np.ndarray:
        return self.recording.readout[: len(seen.numbers)].astype(np.float32)

    def described(self, counts: Mapping[str, object]) -> Network:
        raise LavasegError(
            f"{self.title} is a recording, which holds no description of the network: give the run "
            "or the .net file"
        )
