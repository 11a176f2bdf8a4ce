"""Inputs of a network: pictures, recordings, samples of data sets, or noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lavaseg.data import DATASETS, load
from lavaseg.data.walk import files_below, name_below
from lavaseg.encoders import EventEncoder
from lavaseg.errors import LavasegError
from lavaseg.events import Events, Stimulus
from lavaseg.system.words import counted, meant, meant_path

if TYPE_CHECKING:
    from lavaseg.data.base import DataSet
    from lavaseg.data.event_text import TextFormat
    from lavaseg.data.sound_events import SoundEvents
    from lavaseg.encoders import Encoder
    from lavaseg.models.analog import AnalogModel
    from lavaseg.network import Network, Shape
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.recipes import Choice

    Taker: TypeAlias = "IntegerNetwork | Trained"

RECORDING_OPTIONS = ("unit", "columns", "bad_events")
"""Options of a recording; the first two are those of text."""
FIRST = 16
"""Samples taken from a data set that is named without numbers."""


@dataclass(frozen=True)
class Inputs:
    """Pictures or recordings to run.

    Args:
        names: for messages and file names.
        stimuli: pictures, uint8 (channels, height, width) each, or events.
        numbers: key the encoder's draws; of a data set's sample, the same as in an evaluation.
        remark: what the user should know about the choice, or ''.
        of_data: whether numbers are those of a data set's samples.
        files: the files that they were read from; none of data sets and noise.
        failed: a sentence for each file of a folder that could not be read.
    """

    names: tuple[str, ...]
    stimuli: Sequence[Stimulus]
    numbers: Sequence[int]
    remark: str = ""
    of_data: bool = False
    files: tuple[Path, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """The network of a run, as far as its input goes: fields that an `IntegerNetwork` has, too.

    Args:
        network: spiking or artificial.
    """

    network: Network | AnalogModel
    encoder: Encoder
    classes: tuple[str, ...]


def load_data(name: str | None, options: Mapping[str, Any], beside: Choice | None) -> DataSet:
    """The data set that the user named, or else that of the run that the network lies in.

    A data set that is named without options, and is the run's own, gets the run's options.
    """
    if name is None and beside is None:
        raise LavasegError("this network lies in no run folder: say on which data with --data NAME")
    if beside is not None and name in (None, beside.name):
        return load(beside.name, **{**beside.options, **options})
    return load(str(name), **options)


def stimulus_shape(net: Taker) -> Shape:
    """Shape of the stimuli whose spikes fit the network's input: (channels, height, width)."""
    spikes = net.network.input.shape
    shape = net.encoder.stimulus(spikes)
    if net.encoder.shape(shape) != spikes:
        raise LavasegError(
            f"no stimulus gives input spikes of shape {spikes} with the {net.encoder.kind} encoder"
        )
    return shape


def random_stimuli(net: Taker, count: int, seed: int) -> list[Stimulus]:
    """Noise that a network takes: pictures, or recordings with an event for each tenth pixel."""
    rng = np.random.default_rng(seed)
    shape = stimulus_shape(net)
    if not isinstance(net.encoder, EventEncoder):
        return list(rng.integers(0, 256, (count, *shape), np.uint8))
    _, height, width = shape
    size = net.encoder.size or 1_000
    events = size if net.encoder.slicing == "count" else -(-height * width // 10)
    found: list[Stimulus] = []
    for _ in range(count):
        n = net.encoder.steps * events
        t = np.sort(rng.integers(0, net.encoder.steps * size, n))
        x, y, on = (rng.integers(0, limit, n) for limit in (width, height, 2))
        found.append(Events(t, x, y, on == 1, (height, width), (0, net.encoder.steps * size)))
    return found


def check_fits(net: Taker, data: DataSet) -> None:
    """LavasegError unless the network takes the data set's stimuli and has its classes."""
    wanted = stimulus_shape(net)
    if isinstance(data.test[0][0], Events) != isinstance(net.encoder, EventEncoder):
        takes = "events" if isinstance(net.encoder, EventEncoder) else "pictures"
        raise LavasegError(f"data set {data.name!r} is of another kind: the network takes {takes}")
    if data.picture_shape != wanted:
        raise LavasegError(
            f"data set {data.name!r} has pictures of shape {data.picture_shape}, "
            f"the network takes {wanted}"
        )
    if len(data.classes) != len(net.classes):
        raise LavasegError(
            f"data set {data.name!r} has {len(data.classes)} classes, "
            f"the network has {len(net.classes)}"
        )


def load_inputs(
    source: str,
    net: Taker,
    beside: Choice | None = None,
    options: Mapping[str, Any] | None = None,
    most: int = FIRST,
) -> Inputs:
    """The stimuli that INPUT names, in the shape that a network takes.

    Args:
        source: a picture, a recording of events (all of it, or parts of it as FILE:INDEX or
            FILE:START-STOP), a folder of either, or a data set as NAME, NAME:INDEX or
            NAME:START-STOP (STOP not included; numbers of test samples).
        net: image files are scaled to the pictures that it takes; arrays must have that shape;
            a recording is cut into parts of as many slices as the network has steps.
        beside: data set of the network's run; its options are used where the name is the same.
        options: those of the data set; of text recordings, `unit` and `columns`.
        most: samples or parts that are taken where the source does not say which.

    Raises:
        LavasegError: nothing of that name, no picture or recording, a shape that does not fit, or
            an option that such an input does not have. Of a folder, only if no file can be read.
    """
    if not source:  # Path("") would be the working directory
        raise LavasegError("INPUT is empty: expected a file, a folder or a data set")
    path = Path(source)
    file, _, part = source.rpartition(":")
    if isinstance(net.encoder, EventEncoder):
        whole = path.exists()
        if whole or Path(file).is_file():
            path, part = (path, "") if whole else (Path(file), part)
            check_options(path, options or {}, RECORDING_OPTIONS)
            own = beside.options if beside is not None and beside.name == "event-folder" else {}
            return _recordings(path, part, net.encoder, most, {**own, **(options or {})})
    elif path.exists():
        check_options(path, options or {}, ())
        return _pictures(path, stimulus_shape(net))
    return _from_data(source, net, beside, options or {}, most)


def choose_inputs(
    net: Taker,
    sources: Sequence[str],
    beside: Choice | None,
    options: Mapping[str, Any],
    samples: int,
    seed: int,
) -> Inputs:
    """At most `samples` stimuli: what the sources name, else the run's test data, else noise.

    Args:
        sources: any number of `load_inputs`' sources.
        beside: data set of the network's run.
        options: those of the data set.
        seed: of the noise.
    """
    if not sources and beside is None:
        check_options(Path("noise"), options, ())
        names = tuple(f"noise-{i}" for i in range(samples))
        remark = "noise: no INPUT was given, and the network lies in no run folder"
        return Inputs(names, random_stimuli(net, samples, seed), range(samples), remark)
    if not sources:
        found = load_data(None, options, beside)
        check_fits(net, found)
        return _test_samples(found, range(min(samples, len(found.test))))
    # one more than wanted, so that it is seen, and said, if there are more
    parts = [load_inputs(source, net, beside, options, samples + 1) for source in sources]
    failed = [sentence for part in parts for sentence in part.failed]
    if failed:
        raise LavasegError(failed[0])
    names = tuple(name for part in parts for name in part.names)
    numbers: list[int] = []
    for part in parts:  # files of several sources are numbered on, so that no two share their draws
        first = 0 if part.of_data or len(parts) == 1 else len(numbers)
        numbers += [first + number for number in part.numbers]
    remarks = [part.remark for part in parts]
    if len(names) > samples:
        remarks = [f"the first {counted(samples, 'sample')}; --samples takes more"]
    return Inputs(
        names[:samples],
        [stimulus for part in parts for stimulus in part.stimuli][:samples],
        numbers[:samples],
        "; ".join(dict.fromkeys(remark for remark in remarks if remark)),
        of_data=all(part.of_data for part in parts),
        files=tuple(file for part in parts for file in part.files),
    )


def check_options(path: Path, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """LavasegError if an option is given that an input does not have."""
    for option in options:
        if option not in known:
            has = f"has {' and '.join(known)}" if known else "takes no options"
            raise LavasegError(f"--set {option}=...: {path} {has}")


def _read(
    files: Sequence[Path], read: Callable[[Path], Stimulus], *, several: bool
) -> tuple[list[int], list[Stimulus], list[str]]:
    """Places of the files that can be read, what they hold, and a sentence for each other.

    Raises:
        LavasegError: none can be read, or the one that there is.
    """
    places: list[int] = []
    stimuli: list[Stimulus] = []
    failed: list[str] = []
    for place, file in enumerate(files):
        try:
            stimulus = read(file)
        except LavasegError as error:
            if not several:
                raise
            failed.append(str(error))
        else:
            places.append(place)
            stimuli.append(stimulus)
    if not stimuli:
        raise LavasegError(f"no file of the folder can be read: {failed[0]}")
    return places, stimuli, failed


def _named_files(
    path: Path, suffixes: tuple[str, ...], what: str
) -> tuple[tuple[Path, ...], tuple[str, ...], str]:
    """The file itself, or all those of a folder; their names, and a remark on what was left out."""
    if not path.is_dir():
        return (path,), (path.stem,), ""
    found = files_below(path, suffixes, what)
    return found.files, tuple(name_below(file, path) for file in found.files), found.remark


def check_is_picture(path: Path) -> None:
    """LavasegError if a file's name is that of a recording of events."""
    from lavaseg.data import event_files

    if path.suffix.lower() in event_files.SUFFIXES and path.is_file():
        raise LavasegError(f"{path} is a recording of events, and the network takes pictures")


def _pictures(path: Path, shape: Shape) -> Inputs:
    from lavaseg.data.pictures import SUFFIXES, read_picture

    check_is_picture(path)
    files, names, remark = _named_files(path, SUFFIXES, "pictures")
    places, pictures, failed = _read(
        files, lambda file: read_picture(file, shape), several=path.is_dir()
    )
    read = tuple(files[place] for place in places)
    names = tuple(names[place] for place in places)
    return Inputs(names, pictures, places, remark, files=read, failed=tuple(failed))


def _judged(files: Sequence[Path], text: TextFormat) -> str:
    """What the first lines of text recordings were taken for, or ''."""
    from lavaseg.data.event_files import TEXT_SUFFIXES
    from lavaseg.data.event_text import judged_format

    texts = (file for file in files if file.suffix.lower() in TEXT_SUFFIXES)
    return "; ".join(dict.fromkeys(filter(None, (judged_format(f, text).remark for f in texts))))


def _recordings(
    path: Path, part: str, encoder: EventEncoder, most: int, options: Mapping[str, Any]
) -> Inputs:
    from lavaseg.data.event_files import SUFFIXES
    from lavaseg.data.event_text import text_format
    from lavaseg.data.sound_events import SoundEvents, check_bad_events

    text = text_format(options.get("unit"), options.get("columns"))
    drops = check_bad_events(options.get("bad_events", "refuse"))
    droppers: list[SoundEvents] = []

    def parts(file: Path) -> Iterator[Events]:
        droppers.extend([SoundEvents(file)] if drops else [])
        return _parts(file, encoder, text, droppers[-1] if drops else None)

    def remarks(*sentences: str) -> str:
        return "; ".join(filter(None, (*sentences, *(dropper.remark for dropper in droppers))))

    if path.is_dir():
        files, names, _ = _named_files(path, SUFFIXES, "recordings")
        places, firsts, failed = _read(files, lambda file: next(parts(file)), several=True)
        read = tuple(files[place] for place in places)
        remark = "the first part of each recording" if encoder.size else ""
        remark = remarks(remark, _judged(read, text))
        names = tuple(names[place] for place in places)
        return Inputs(names, firsts, places, remark, files=read, failed=tuple(failed))
    first, stop = _range(f"{path}:{part}", part) if part else (0, most + 1)
    if first >= stop:
        raise LavasegError(f"{path}:{part}: STOP must be larger than START")
    found: list[Stimulus] = []
    count = 0
    for events in islice(parts(path), stop):
        found += [events] if count >= first else []
        count += 1
    if part and count < stop:
        raise LavasegError(f"{path}:{part}: the recording has {count} parts, numbered from 0")
    remark = ""
    if not part and len(found) > most:
        found = found[:most]
        remark = f"the first {most} parts of the recording; {path}:0-{2 * most} takes more"
    remark = remarks(remark, _judged([path], text))
    numbers = range(first, first + len(found))
    whole = not part and len(found) == 1
    names = (path.stem,) if whole else tuple(f"{path.stem}-{i}" for i in numbers)
    return Inputs(names, found, numbers, remark, files=(path,))


def _parts(
    path: Path, encoder: EventEncoder, text: TextFormat, sound: SoundEvents | None
) -> Iterator[Events]:
    """Parts of a recording, each with as many slices as the network has steps."""
    from lavaseg.data.event_files import cut, stream_recording

    size = encoder.steps * encoder.size
    pieces = stream_recording(path, encoder.sensor, text, sound)
    return cut(pieces, time=size) if encoder.slicing == "time" else cut(pieces, count=size)


def _from_data(
    source: str, net: Taker, beside: Choice | None, options: Mapping[str, Any], most: int
) -> Inputs:
    name, _, part = source.partition(":")
    if name not in DATASETS:
        close = meant(name, DATASETS) or meant_path(Path(source))
        raise LavasegError(
            f"{source!r} is neither a file, a folder nor a data set"
            f"{close or '; the data sets are ' + ', '.join(DATASETS)}"
        )
    data = load_data(name, options, beside)
    check_fits(net, data)
    numbers = _numbers(source, part, len(data.test), most)
    remark = ""
    if not part and len(data.test) > most:
        remark = f"the first {most} test samples; {name}:0-{len(data.test)} takes all"
    return _test_samples(data, numbers, remark)


def _test_samples(data: DataSet, numbers: range, remark: str = "") -> Inputs:
    names = tuple(f"{data.name}-{i}" for i in numbers)
    return Inputs(names, [data.test[i][0] for i in numbers], numbers, remark, of_data=True)


def _range(source: str, part: str) -> tuple[int, int]:
    """First and last + 1 of INDEX or START-STOP."""
    start, dash, stop = part.partition("-")
    if not start.isdecimal() or (dash and not stop.isdecimal()):
        raise LavasegError(f"{source!r}: expected NAME, NAME:INDEX or NAME:START-STOP")
    return int(start), int(stop) if dash else int(start) + 1


def _numbers(source: str, part: str, count: int, most: int) -> range:
    """The test samples that INDEX or START-STOP names; the first ones if nothing is said."""
    if not part:
        return range(min(most, count))
    first, last = _range(source, part)
    if not first < last <= count:
        raise LavasegError(f"{source!r}: there are test samples 0 to {count - 1}")
    return range(first, last)
