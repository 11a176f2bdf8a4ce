"""The frames of an animation: maps of what each layer sends, prediction and picture, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lavaseg.events import Stimulus
from lavaseg.report.animation.sheets import Sheet, chosen_sheets, sent
from lavaseg.report.drawings.activity import encoder_of
from lavaseg.report.plots.style import as_rgb, step_groups, steps_named
from lavaseg.report.sources import NetSource, RunSource, Scenes, Source, Wanted
from lavaseg.results.metrics import predict
from lavaseg.system.shown import spread

CHANNELS = 4
"""Channels of a layer that are kept: those with most spikes."""
LAYERS = 24
"""Layers that are shown unless some are chosen."""
FRAMES = 24
"""Frames at most; of more steps, several share one."""
SIDE = 64
"""Pixels of the longer side of a map at most; those of larger sheets are means over places."""
PICTURE = 128
"""The same of the picture, its label and its prediction, of which some pixels are left out."""


@dataclass(frozen=True)
class Track:
    """What one layer sends, frame by frame.

    Args:
        name: of the layer.
        shape: of its sheet, (channels, height, width).
        levels: the largest number that a neuron sends at a step.
        total: spikes of all channels at each place, float32 (F + 1, h, w): a frame's, in spikes a
            step; the last one is that of all frames together.
        channels: numbers of the channels in `maps`, the one with most spikes first.
        maps: what each of them sends, float32 (F + 1, len(channels), h, w), as a part of the
            largest number, 0 to 1.
        counts: spikes (sums of what is sent) of each frame, all channels and places.
    """

    name: str
    shape: tuple[int, ...]
    levels: int
    total: np.ndarray
    channels: tuple[int, ...]
    maps: np.ndarray
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Spikes:
    """All that an animation shows of one sample.

    Args:
        title: of the network.
        sample: name of what it sees.
        frames: name of each frame, such as "step 1"; the last one is of all together.
        steps: T.
        picture: uint8 (H, W, 3).
        truth: class ids (H, W); None where they are not known.
        predictions: class ids (F, H, W), after each frame, or (1, H, W) after all.
        ignore_index: label that does not count.
        classes, colours: names, and uint8 (K, 3).
        tracks: the input, and layers that fire, in the order of computation.
        left_out: layers that fire and are not shown.
        remark: what the user should know, or ''.
    """

    title: str
    sample: str
    frames: tuple[str, ...]
    steps: int
    picture: np.ndarray = field(repr=False)
    truth: np.ndarray | None = field(repr=False)
    predictions: np.ndarray = field(repr=False)
    ignore_index: int | None
    classes: tuple[str, ...]
    colours: np.ndarray = field(repr=False)
    tracks: tuple[Track, ...] = field(repr=False)
    left_out: int = 0
    remark: str = ""


def recorded(
    source: Source,
    wanted: Wanted,
    *,
    layers: Sequence[str] | None = None,
    most: int = LAYERS,
) -> Spikes:
    """The frames of the first sample, from exact spikes.

    A frame is a step, or several where there are many. Where there is one step and integer
    neurons, a frame is a level: neurons that send at least 1, at least 2, and so on.

    Args:
        layers: names of those to show; None: as many as `most`.

    Raises:
        LavasegError: no such layer, no sample, or what recording raises.
    """
    chosen = chosen_sheets(source, layers)
    shown = chosen if layers is not None else spread(chosen, most)
    seen = source.scenes(wanted)
    steps = wanted.steps or source.steps
    depth = max(sheet.levels for sheet in shown) if steps == 1 else 1
    groups = step_groups(steps, FRAMES)
    names = [steps_named(group) for group in groups]
    if depth > 1:
        names = [f"at least {level}" for level in range(1, depth + 1)]
    whole = "all steps" if depth == 1 else "all levels"
    tracks = [_input_track(source, seen.stimuli, seen.numbers, wanted, groups, depth)]
    tracks += [
        _track(sheet, values, groups, depth) for sheet, values in sent(source, shown, seen, wanted)
    ]
    after = [group[-1] + 1 for group in groups]
    picture = as_rgb(seen.pictures[0])
    return Spikes(
        title=source.title,
        sample=seen.names[0],
        frames=(*names, whole),
        steps=steps,
        picture=_thinned(picture),
        truth=None if seen.truths is None else _thinned(seen.truths[0]),
        predictions=np.stack([_thinned(p) for p in _label_maps(source, seen, wanted, after)]),
        ignore_index=seen.ignore_index,
        classes=source.classes,
        colours=source.colours,
        tracks=tuple(track for track in tracks if track is not None),
        left_out=len(chosen) - len(shown),
        remark=seen.remark,
    )


def _label_maps(source: Source, seen: Scenes, wanted: Wanted, after: Sequence[int]) -> np.ndarray:
    """Class ids of the first sample after each of several numbers of steps, (len(after), H, W).

    One alone, of the whole sample, of a recording.
    """
    if isinstance(source, NetSource | RunSource):
        found = [readout[:1] for readout in source.readouts(seen, wanted, after)]
    else:
        found = [source.logits(seen, wanted)[:1]]
    return predict(np.concatenate(found), (seen.pictures.shape[2], seen.pictures.shape[3]))


def _input_track(
    source: Source,
    stimuli: Sequence[Stimulus],
    numbers: Sequence[int],
    wanted: Wanted,
    groups: Sequence[range],
    depth: int,
) -> Track | None:
    """The spikes of the encoder; None of a recording, which need not hold them."""
    if not isinstance(source, NetSource | RunSource):
        return None
    network = source.net.network if isinstance(source, NetSource) else source.network
    encoder = encoder_of(source, wanted.steps)
    seed = wanted.seed
    if seed is None and isinstance(source, RunSource):
        seed = source.run.recipe.seed
    messages = encoder.encode([stimuli[0]], seed=seed or 0, samples=[numbers[0]])[0]
    sheet = Sheet(network.input.name, messages.shape[1:], network.input.max_message, False)
    return _track(sheet, messages, groups, depth)


def _track(sheet: Sheet, values: np.ndarray, groups: Sequence[range], depth: int) -> Track:
    """The maps of one layer.

    Args:
        values: what it sends, (T, C, h, w).
        depth: frames of levels, where there is one step; 1: frames are steps.
    """
    shape = values.shape[1:]
    if values.shape[2] * values.shape[3] == 1:
        values = _unrolled(values)
    if depth > 1:
        frames, unit = _by_level(values, sheet, depth), 1
    else:
        frames = np.stack([values[list(group)].mean(0, dtype=np.float32) for group in groups])
        unit = sheet.levels
    counts = [int(values[list(group)].sum(dtype=np.int64)) for group in groups]
    if depth > 1:
        counts = [int(np.count_nonzero(frame)) for frame in frames]
    most = np.argsort(-values.sum((0, 2, 3), dtype=np.int64), kind="stable")
    channels = tuple(int(k) for k in most[:CHANNELS])
    if values.shape[1] == 1:
        channels = ()
    together = (values.sum(0, dtype=np.float32) / len(values))[None]
    whole = together / sheet.levels
    kept = list(channels)
    maps = np.concatenate([frames[:, kept] / unit, whole[:, kept]])
    total = np.concatenate([frames.sum(1), together.sum(1)])
    return Track(
        sheet.name,
        shape,
        sheet.levels,
        _smaller(total),
        channels,
        _smaller(maps),
        (*counts, int(values.sum(dtype=np.int64))),
    )


def _by_level(values: np.ndarray, sheet: Sheet, depth: int) -> np.ndarray:
    """Where neurons send at least 1, 2 and so on, (depth, C, h, w); a graded input as it is."""
    if not sheet.fires and sheet.levels > 1:
        return np.repeat(values / np.float32(sheet.levels), depth, axis=0)
    return np.concatenate([values >= level for level in range(1, depth + 1)]).astype(np.float32)


def _unrolled(values: np.ndarray) -> np.ndarray:
    """Neurons without a place, (T, C, 1, 1), as a map (T, 1, rows, columns), filled up with 0."""
    steps, channels = values.shape[:2]
    columns = int(np.ceil(np.sqrt(channels)))
    rows = -(-channels // columns)
    found = np.zeros((steps, rows * columns), values.dtype)
    found[:, :channels] = values[:, :, 0, 0]
    return found.reshape(steps, 1, rows, columns)


def _smaller(maps: np.ndarray) -> np.ndarray:
    """Maps (..., h, w) of at most SIDE pixels a side: means over squares of places."""
    height, width = maps.shape[-2:]
    factor = -(-max(height, width) // SIDE)
    if factor == 1:
        return np.ascontiguousarray(maps, np.float32)
    rows, columns = -(-height // factor), -(-width // factor)
    around = [(0, 0)] * (maps.ndim - 2)
    edge = [(0, rows * factor - height), (0, columns * factor - width)]
    padded = np.pad(maps, [*around, *edge], mode="edge")
    cut = padded.reshape(*maps.shape[:-2], rows, factor, columns, factor)
    return np.ascontiguousarray(cut.mean((-3, -1)), np.float32)


def _thinned(picture: np.ndarray) -> np.ndarray:
    """A picture or label map, (H, W) or (H, W, 3), with at most PICTURE pixels a side."""
    step = -(-max(picture.shape[:2]) // PICTURE)
    return np.ascontiguousarray(picture[::step, ::step])
