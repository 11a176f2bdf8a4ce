"""Kinds of figures: what each takes from its sources, and how it is drawn."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from lavaseg.encoders import Encoder
from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.report import plots
from lavaseg.report.sources import (
    NetSource,
    RecordedSource,
    RunSource,
    Scenes,
    Source,
    Wanted,
    at_the_picture,
)
from lavaseg.results.energy import AC_PJ, MAC_PJ, describe
from lavaseg.results.membranes import EDGES, Histogram, binned
from lavaseg.results.metrics import predict

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


@contextmanager
def own_style() -> Iterator[None]:
    """While open, no `matplotlibrc` changes figures, and SVG files keep text as text."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "lavaseg"
        yield


def spread(names: Sequence[str], most: int = PAGE) -> list[str]:
    """At most `most` names, the first and the last among them, as evenly apart as can be."""
    if len(names) <= most:
        return list(names)
    return [names[round(k * (len(names) - 1) / (most - 1))] for k in range(most)]


def spikes(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Spike counts over the picture and over the steps."""
    (source,) = sources
    names = source.chosen(ask.layers, spread(source.firing))
    return plots.spike_maps(spike_data(source, names, ask.wanted))


def spike_data(source: Source, names: Sequence[str], wanted: Wanted) -> list[plots.SpikeMaps]:
    """The maps of each sample: spikes (messages that are not 0) over channels, (T, h, w)."""
    if not names:
        raise LavasegError(f"{source.title} has no layers with spikes to show")
    seen = source.scenes(wanted)
    found = []
    for row, sheets in enumerate(source.spikes(names, seen, wanted)):
        picture = seen.pictures[row]
        maps = {
            name: at_the_picture(sheet != 0, picture.shape[1:], source.interleaved).sum(1)
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
        encoder = _encoder(source, wanted.steps)
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


def _encoder(source: Source, steps: int | None) -> Encoder:
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

    artificial = _is_artificial(source)
    if artificial:
        for recording in source.recordings(seen, ask.wanted, None, membranes=False):
            known = [n for n, layer in recording.layers.items() if layer.values is not None]
            for name in _of_known(source, ask.layers, known):
                values = recording[name].values
                assert values is not None
                add(name, np.maximum(values, 0).max(0))
        names = list(largest) if ask.layers is not None else spread(_rectified(source, largest))
        what = "activation"
    else:
        names = source.chosen(ask.layers, spread(source.firing))
        for sheets in source.spikes(names, seen, ask.wanted):
            for name, sheet in sheets.items():
                add(name, (sheet != 0).sum(0).astype(np.float64))
        what = f"spikes of a neuron in T = {ask.wanted.steps or source.steps} steps"
    found = {name: plots.Activations(largest[name]) for name in names}
    return plots.activation_maxima(found, what, len(seen.numbers))


def _is_artificial(source: Source) -> bool:
    if isinstance(source, RecordedSource):
        return source.recording.kind == "artificial"
    return isinstance(source, RunSource) and isinstance(source.run.model, AnalogModel)


def _of_known(source: Source, layers: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    for name in layers or ():
        if name not in known:
            raise LavasegError(
                f"{source.title} has no layer {name!r} with activations: it has {', '.join(known)}"
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


def rates(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """R_s of each layer: spikes of a neuron in one inference."""
    values = {}
    kept = all_kept(sources, ask.wanted)
    for source in sources:
        counts, samples, title = spike_totals(source, ask.wanted, kept=kept)
        names = source.chosen(ask.layers, source.firing)
        values[title] = {
            name: float(counts[name].sum() / (counts[name].size * samples)) for name in names
        }
    _check_titles(values, sources)
    return plots.by_layer(values, "spikes per neuron and inference, R_s")


def all_kept(sources: Sequence[Source], wanted: Wanted) -> bool:
    """Whether every source keeps an evaluation on all test data, and nothing else is asked for.

    Only then are these compared: networks that stand in one figure see the same number of samples.
    """
    if wanted.inputs or wanted.steps is not None or wanted.seed is not None or wanted.chosen:
        return False
    for source in sources:
        found = source.evaluation()
        if found is None or not set(source.shapes) <= set(found.counts):
            return False
    return True


def spike_totals(
    source: Source, wanted: Wanted, *, kept: bool = False
) -> tuple[dict[str, np.ndarray], int, str]:
    """Spikes of each neuron over samples and steps, (C, h, w) each; their number; a title.

    Args:
        kept: take the evaluation on all test data, which is there (`all_kept`); else run samples.
    """
    names = list(source.shapes)
    if kept and (evaluation := source.evaluation()) is not None:
        counts = {name: evaluation.counts[name] for name in names}
        return counts, evaluation.samples, f"{source.title} ({evaluation.samples:,} test samples)"
    seen = source.scenes(wanted)
    found: dict[str, np.ndarray] = {}
    for sheets in source.spikes(names, seen, wanted):
        for name, sheet in sheets.items():
            count = (sheet != 0).sum(0)
            found[name] = found[name] + count if name in found else count
    several = f"{len(seen.numbers)} sample{'s' if len(seen.numbers) > 1 else ''}"
    return found, len(seen.numbers), f"{source.title} ({several})"


def _check_titles(values: dict[str, dict[str, float]], sources: Sequence[Source]) -> None:
    if len(values) < len(sources):
        raise LavasegError("two sources have the same title: give titles that tell them apart")


def energy(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Energy of each layer as Kim et al. 2022 count it."""
    values: dict[str, dict[str, float]] = {}
    kept = all_kept([source for source in sources if not _is_artificial(source)], ask.wanted)
    for source in sources:
        if isinstance(source, RunSource) and isinstance(source.run.model, AnalogModel):
            sheets = source.run.model.sheets
            values[source.title] = {n: MAC_PJ * macs for n, (_, _, macs) in sheets.items() if macs}
            continue
        counts, samples, title = spike_totals(source, ask.wanted, kept=kept)
        steps = ask.wanted.steps or source.steps
        layers = describe(source.described(counts), counts, samples, steps).layers
        spent: dict[str, float] = {}
        for layer in layers:
            spent[layer.target] = spent.get(layer.target, 0) + AC_PJ * layer.macs * layer.own
        values[title] = spent
    _check_titles(values, sources)
    most = max((value for found in values.values() for value in found.values()), default=0.0)
    unit, scale = next(
        ((unit, scale) for unit, scale in (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)) if most >= scale),
        ("pJ", 1.0),
    )
    scaled = {n: {k: v / scale for k, v in found.items()} for n, found in values.items()}
    return plots.by_layer(
        scaled,
        f"energy of one sample [{unit}]",
        "estimates by Kim et al.'s formula, not measured",
    )


def predictions(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Predictions over T, over depth, and of several networks."""
    found = predicted(sources, ask)
    return plots.prediction_grid(
        found.pictures,
        found.truths,
        found.rows,
        sources[0].classes,
        ignore_index=found.ignore_index,
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
    if _is_artificial(source):
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
            _encoder(source, steps)
    except LavasegError:
        return (source.steps,)
    return found


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
    known = source.firing
    for name in ask.layers or ():
        if name not in known:
            raise LavasegError(
                f"{source.title} has no layer {name!r} that fires: it has {', '.join(known)}"
            )
    names = [name for name in known if ask.layers is None or name in ask.layers]
    seen = source.scenes(ask.wanted)
    counts = {name: np.zeros(len(EDGES) - 1, np.int64) for name in names}
    for recording in source.recordings(seen, ask.wanted, names, membranes=True):
        for name in names:
            layer = recording[name]
            if layer.membranes is None or layer.threshold is None:
                raise LavasegError(
                    f"{source.title} holds no membranes of {name!r}: record with --membranes"
                )
            counts[name] += binned(layer.membranes, layer.threshold)
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
