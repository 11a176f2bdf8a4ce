"""The inputs that words name: files, folders, samples of data sets; each read when it is due."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.data.inputs import check_is_picture, check_options, load_inputs
from lavaseg.data.photos import Photo, read_photo
from lavaseg.data.pictures import SUFFIXES
from lavaseg.data.walk import files_below, name_below
from lavaseg.errors import LavasegError
from lavaseg.events import Events, Stimulus
from lavaseg.inference.engines import is_of_events
from lavaseg.inference.predictor import Item
from lavaseg.system.words import counted

if TYPE_CHECKING:
    from lavaseg.data.inputs import Taker
    from lavaseg.recipes import Choice


@dataclass
class Sources:
    """What is to be predicted.

    Args:
        items: in order; none shares its name with another one of the same folder.
        remarks: what the user should know about the choice.
        failed: a sentence for each file that could not be read yet.
        alone: the one input is no folder, so that it needs none for its outputs.
    """

    items: list[Item] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    alone: bool = False

    @property
    def files(self) -> list[Path]:
        """The files that are read."""
        return [item.file for item in self.items if item.file is not None]


class FrameCount:
    """Counts the files of which only the first frame is taken."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def read(self, path: Path, channels: int) -> Photo:
        """The photo in a file."""
        photo = read_photo(path, channels)
        if photo.frames > 1:
            self.files.append(str(path))
        return photo

    @property
    def remark(self) -> str:
        """A sentence, or ''."""
        if not self.files:
            return ""
        several = f"{counted(len(self.files), 'file')}, first {self.files[0]}"
        return f"several frames or pages in {several}: the first one is taken"


def find_sources(
    words: Sequence[str],
    taker: Taker,
    shape: tuple[int, int, int],
    beside: Choice | None,
    options: Mapping[str, Any],
    frames: FrameCount,
) -> Sources:
    """The inputs that the words of a command name.

    Args:
        words: files, folders, data sets; see `lavaseg.data.inputs.load_inputs`.
        taker: the network.
        shape: of its stimuli.
        beside: data set of the network's run.
        options: those of data sets, or of text recordings.
        frames: reads photos.

    Raises:
        LavasegError: nothing of that name, or nothing that the network takes.
    """
    found = Sources()
    seen: set[tuple[str, str]] = set()
    for word in words:
        first = len(found.items) if len(words) > 1 else 0
        path = Path(word)
        if not word or is_of_events(taker.encoder) or not path.exists():
            _loaded(found, word, taker, beside, options, first)
            continue
        check_options(path, options, ())
        if path.is_dir():
            below = files_below(path, SUFFIXES, "pictures")
            found.remarks += [below.remark] if below.remark else []
            pairs = [(name_below(file, path), file) for file in below.files]
        else:
            check_is_picture(path)
            pairs = [(path.stem, path)]
        for index, (name, file) in enumerate(pairs):
            if (name, os.path.realpath(file)) in seen:  # two words may name one file
                continue
            seen.add((name, os.path.realpath(file)))
            read = partial(frames.read, file, shape[0])
            found.items.append(Item(name, first + index, read, file))
    found.alone = len(words) == len(found.items) == 1 and not Path(words[0]).is_dir()
    return found


def _loaded(
    found: Sources,
    word: str,
    taker: Taker,
    beside: Choice | None,
    options: Mapping[str, Any],
    first: int,
) -> None:
    """Add samples of a data set, and recordings, which are short or cut into parts."""
    inputs = load_inputs(word, taker, beside, options)
    start = 0 if inputs.of_data else first
    files: Sequence[Path | None] = inputs.files
    if len(files) != len(inputs.names):
        files = [inputs.files[0] if inputs.files else None] * len(inputs.names)
    for name, stimulus, number, file in zip(
        inputs.names, inputs.stimuli, inputs.numbers, files, strict=True
    ):
        found.items.append(Item(name, start + int(number), partial(_as_is, stimulus), file))
    found.remarks += [inputs.remark] if inputs.remark else []
    found.failed += inputs.failed


def _as_is(stimulus: Stimulus) -> Photo | Events:
    return stimulus if isinstance(stimulus, Events) else Photo.of(np.asarray(stimulus))


def check_apart(items: Sequence[Item], targets: Sequence[Path]) -> None:
    """LavasegError if two inputs would be written to one file.

    Args:
        targets: the first file of each item.
    """
    owner: dict[Path, Item] = {}
    for item, target in zip(items, targets, strict=True):
        if target in owner:
            one, other = (i.file or i.name for i in (owner[target], item))
            raise LavasegError(
                f"{one} and {other} would both write {target}: rename one of them, or give "
                "another --out to each"
            )
        owner[target] = item
