"""Samples as figures show them: pictures, or events on the grey frame where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.data.inputs import Inputs
from lavaseg.encoders import Encoder
from lavaseg.errors import LavasegError
from lavaseg.events import Events, Stimulus, preview
from lavaseg.report.plots.style import as_rgb
from lavaseg.runs import Run


@dataclass(frozen=True)
class Scenes:
    """Samples that a network sees.

    Args:
        names: of the samples.
        stimuli: as the network takes them; none of a recording.
        numbers: key the encoder's draws.
        pictures: uint8 (N, C, H, W), the part that the network sees; what people look at.
        truths: class ids (N, H, W), or None where they are not known.
        ignore_index: label that does not count.
        remark: what the user should know about the choice, or "".
    """

    names: tuple[str, ...]
    stimuli: Sequence[Stimulus]
    numbers: Sequence[int]
    pictures: np.ndarray
    truths: np.ndarray | None = None
    ignore_index: int | None = None
    remark: str = ""


def scenes(inputs: Inputs, encoder: Encoder, run: Run | None, words: Sequence[str] = ()) -> Scenes:
    """The scenes of inputs; with truth, and grey frames, if they are test samples of the run.

    Args:
        words: the INPUTs that they were chosen by.

    Raises:
        LavasegError: there are no samples, or pictures of several sizes.
    """
    if not inputs.names:
        raise LavasegError("there are no samples to plot")
    own = _is_own(inputs, run, words)
    test = run.data.test if own and run is not None else None
    grey = getattr(test, "grey", lambda number: None)
    shown = []
    for stimulus, number in zip(inputs.stimuli, inputs.numbers, strict=True):
        picture = _shown(stimulus, grey(number), frames=encoder.kind == "frames")
        rows, columns = encoder.window(picture.shape[1:])
        shown.append(picture[:, rows, columns])
    if len({picture.shape for picture in shown}) > 1:
        raise LavasegError("the samples have several sizes: plot one of them at a time")
    truths, ignore = None, None
    if test is not None and run is not None:
        labels = [test[number][1] for number in inputs.numbers]
        truths = np.stack([label[encoder.window(label.shape)] for label in labels])
        ignore = run.ignore_index
    return Scenes(
        inputs.names, inputs.stimuli, inputs.numbers, np.stack(shown), truths, ignore, inputs.remark
    )


def first_test_samples(run: Run, count: int) -> Inputs:
    """The first test samples of a run, from its data as they are loaded already."""
    data = run.data
    numbers = range(min(count, len(data.test)))
    names = tuple(f"{data.name}-{number}" for number in numbers)
    return Inputs(names, [data.test[n][0] for n in numbers], numbers, of_data=True)


def _is_own(inputs: Inputs, run: Run | None, words: Sequence[str]) -> bool:
    """Whether the samples are test samples of the run's own data set."""
    if run is None or (words and not inputs.of_data):
        return False
    return all(word.partition(":")[0] == run.recipe.data.name for word in words)


def _shown(stimulus: Stimulus, grey: np.ndarray | None, *, frames: bool) -> np.ndarray:
    """A stimulus as a picture (C, H, W): a stack of ON and OFF frames as one sum of them."""
    if isinstance(stimulus, Events):
        picture = preview(stimulus)
        return picture if grey is None else on_grey(np.moveaxis(picture, 0, -1), grey)
    if len(stimulus) % 2 or not (frames or len(stimulus) == 2):
        return stimulus
    summed = stimulus.reshape(-1, 2, *stimulus.shape[1:]).astype(np.int64).sum(0)
    level = (255 * summed / max(int(summed.max()), 1)).astype(np.uint8)
    return level if grey is None else on_grey(as_rgb(level), grey)


def on_grey(events: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Events, coloured on white (H, W, 3), over a grey frame (H, W): uint8 (3, H, W).

    Where there are no events, the frame is as it is; where there are, their colour covers it.
    """
    ink = 1 - events.min(-1, keepdims=True) / 255
    mixed = ink * events + (1 - ink) * grey[..., None]
    return np.moveaxis(np.rint(mixed).astype(np.uint8), -1, 0)
