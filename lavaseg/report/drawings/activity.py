"""Figures of what happens where: spike maps, the code of the input, largest activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lavaseg.encoders import Encoder
from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.report import plots
from lavaseg.report.drawings.ask import PAGE, Ask, is_artificial
from lavaseg.report.sources import (
    NetSource,
    RecordedSource,
    RunSource,
    Scenes,
    Source,
    Wanted,
    at_the_picture,
)
from lavaseg.system.shown import spread
from lavaseg.system.words import or_like


def spikes(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Spike counts over the picture and over the steps."""
    (source,) = sources
    names = source.chosen(ask.layers, spread(source.firing, PAGE))
    return plots.spike_maps(spike_data(source, names, ask.wanted))


def spike_data(source: Source, names: Sequence[str], wanted: Wanted) -> list[plots.SpikeMaps]:
    """The maps of each sample: spikes, messages, or integers, over channels, (T, h, w)."""
    if not names:
        raise LavasegError(f"{source.title} has no layers with spikes to show")
    seen = source.scenes(wanted)
    found = []
    for row, sheets in enumerate(source.spikes(names, seen, wanted)):
        picture = seen.pictures[row]
        maps = {
            name: at_the_picture(
                source.fired(name, sheet), picture.shape[1:], source.interleaved
            ).sum(1, dtype=np.int64)
            for name, sheet in sheets.items()
        }
        shapes = {name: sheet.shape[1:] for name, sheet in sheets.items()}
        found.append(plots.SpikeMaps(seen.names[row], picture, maps, shapes))
    return found


def rate_code(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """The spikes of the encoder, added up."""
    (source,) = sources
    samples, largest = coded(source, ask.wanted)
    return plots.rate_code(samples, largest, "spikes" if largest == 1 else "messages")


def coded(source: Source, wanted: Wanted) -> tuple[list[plots.CodedSample], int]:
    """What the encoder makes of each sample, and the largest message that is possible."""
    seen = source.scenes(wanted)
    if isinstance(source, RecordedSource):
        found, encoder = _recorded_input(source, seen), None
    else:
        encoder = encoder_of(source, wanted.steps)
        seed = wanted.seed
        if seed is None and isinstance(source, RunSource):
            seed = source.run.recipe.seed
        found = encoder.encode(seen.stimuli, seed=seed or 0, samples=seen.numbers)
    if encoder is not None and encoder.kind == "onoff_poisson":  # all ON, then all OFF
        n, t, channels, h, w = found.shape
        found = found.reshape(n, t, 2, channels // 2, h, w).sum(3, dtype=np.int64)
    largest = int(found.max(initial=1)) if encoder is None else encoder.largest_message
    samples = [
        plots.CodedSample(name, picture, messages)
        for name, picture, messages in zip(seen.names, seen.pictures, found, strict=True)
    ]
    return samples, largest


def encoder_of(source: Source, steps: int | None) -> Encoder:
    """The encoder of a source, its sheets as they are before any is made narrower."""
    if isinstance(source, NetSource):
        encoder = dataclasses.replace(source.net.encoder, interleave=1)
    else:
        assert isinstance(source, RunSource)
        _ = source.network  # an artificial network has no spikes
        encoder = source.run.recipe.encoder_object
    return encoder if steps is None else encoder.with_steps(steps)


def _recorded_input(source: RecordedSource, seen: Scenes) -> np.ndarray:
    """Recorded messages of the input, (N, T, C, H, W)."""
    for layer in source.recording.layers.values():
        if layer.kind == "input" and layer.spikes is not None:
            return layer.spikes[: len(seen.numbers)]
    raise LavasegError(f"{source.title} does not hold the input: record it, too (--layers)")


def activations(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Largest activations; of a spiking network, of the spikes in T steps."""
    (source,) = sources
    seen = source.scenes(ask.wanted)
    largest: dict[str, np.ndarray] = {}

    def add(name: str, values: np.ndarray) -> None:
        before = largest.get(name)
        largest[name] = values if before is None else np.maximum(before, values)

    artificial = is_artificial(source)
    if artificial:
        for recording in source.recordings(seen, ask.wanted, None, membranes=False):
            known = [n for n, layer in recording.layers.items() if layer.values is not None]
            for name in _of_known(source, ask.layers, known):
                values = recording[name].values
                assert values is not None
                add(name, np.maximum(values, 0).max(0))
        names = (
            list(largest) if ask.layers is not None else spread(_rectified(source, largest), PAGE)
        )
        what = "activation"
    else:
        names = source.chosen(ask.layers, spread(source.firing, PAGE))
        for sheets in source.spikes(names, seen, ask.wanted):
            for name, sheet in sheets.items():
                add(name, source.fired(name, sheet).sum(0, dtype=np.float64))
        what = f"spikes of a neuron in T = {ask.wanted.steps or source.steps} steps"
    found = {name: plots.Activations(largest[name]) for name in names}
    return plots.activation_maxima(found, what, len(seen.numbers))


def _of_known(source: Source, layers: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    for name in layers or ():
        if name not in known:
            raise LavasegError(
                f"{source.title} has no layer {name!r} with activations"
                f"{or_like(name, known, 'it has')}"
            )
    return [name for name in known if layers is None or name in layers]


def _rectified(source: Source, known: Sequence[str] | dict[str, np.ndarray]) -> list[str]:
    """The layers behind a rectifier, whose activations a threshold stands for; else all."""
    kinds: dict[str, str] = {}
    if isinstance(source, RecordedSource):
        kinds = {name: layer.kind for name, layer in source.recording.layers.items()}
    elif isinstance(source, RunSource) and isinstance(source.run.model, AnalogModel):
        kinds = {name: kind for name, (kind, *_) in source.run.model.sheets.items()}
    found = [name for name in known if "relu" in kinds.get(name, "").lower()]
    return found or list(known)
