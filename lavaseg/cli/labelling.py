"""What `predict`, `simulate` and `run` share: inputs found, outputs placed and written, results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavaseg.cli.console import check_outs, check_writable, complain
from lavaseg.errors import LavasegError
from lavaseg.system.progress import bar, line

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.inference.engines import Answer
    from lavaseg.inference.prediction import Prediction
    from lavaseg.inference.predictor import Item, Predictor
    from lavaseg.inference.sources import FrameCount, Sources

FOLDER = Path("predictions")
"""The folder of outputs, unless another one is named."""


@dataclass(frozen=True)
class Job:
    """What a command was asked to do.

    Args:
        target: the file or folder of the network.
        words: inputs; "-" is standard input.
        out: folder of the outputs, or file of the one label map; None: as the inputs suggest.
        write: outputs, of `lavaseg.inference.prediction.OUTPUTS`.
        opacity: of overlays.
        options: of data sets or text recordings.
        watch: go on with files that appear in the folder.
        idle: seconds without a new file after which watching ends; None: never.
    """

    target: Path
    words: tuple[str, ...]
    out: Path | None
    write: tuple[str, ...]
    opacity: float
    options: dict[str, Any]
    watch: bool = False
    idle: float | None = None

    @property
    def streams(self) -> bool:
        """Whether inputs arrive one after the other."""
        return self.watch or "-" in self.words


@dataclass
class Tally:
    """What was done.

    Args:
        rows: one for each prediction, for JSON.
        failed: a sentence for each input that was not done.
        remarks: what the user should know.
        written: number of predictions.
        folder: where they were written, or the one label map.
        views: number of samples that the network saw.
        counts: spikes of each neuron, summed over samples: int64 (C, H, W) by population.
        pixels: of each class, over all predictions.
        seconds: that the network took.
        sizes: least and largest (height, width) of the predictions.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    written: int = 0
    folder: Path = FOLDER
    views: int = 0
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    pixels: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    sizes: set[tuple[int, int]] = field(default_factory=set)

    def see(self, answer: Answer) -> None:
        """Add what the network did."""
        self.views += len(answer.logits)
        self.seconds += answer.seconds
        for name, count in answer.counts.items():
            total = count.sum(0, dtype="int64")
            self.counts[name] = self.counts[name] + total if name in self.counts else total


def carry_out(job: Job, predictor: Predictor, title: str, keep_rows: bool) -> Tally:
    """Predict every input of a job, and write what it asks for.

    Args:
        title: of the progress bar.
        keep_rows: fill the rows of the tally.

    Raises:
        LavasegError: nothing can be done, or no file be written. Of inputs that cannot be read,
            only if there is no other one.
    """
    from lavaseg.inference.sources import FrameCount, check_apart, find_sources

    tally, frames = Tally(), FrameCount()
    if job.streams:
        items = _arriving(job, predictor, frames)
        tally.folder = job.out or FOLDER
        _check_folder(tally.folder)
        check_writable(tally.folder)
        _predicted(job, predictor, items, None, tally, keep_rows, title)
    else:
        found = find_sources(
            job.words, predictor.taker, predictor.shape, predictor.target.data, job.options, frames
        )
        stems = _stems(found, job.out)
        files = [_files(job, stem) for stem in stems]
        check_apart(found.items, [one[0] for one in files])
        check_outs((path for one in files for path in one), (*found.files, job.target))
        tally.folder = files[0][0] if found.alone else job.out or FOLDER
        check_writable(tally.folder.parent if found.alone else tally.folder)
        tally.remarks += found.remarks
        tally.failed += found.failed
        _predicted(job, predictor, found.items, files, tally, keep_rows, title)
    tally.remarks += [frames.remark] if frames.remark else []
    if not tally.written and tally.failed:
        for sentence in tally.failed[1:]:
            complain(sentence)
        several = len(tally.failed) > 1 or not (job.streams or found.alone)
        raise LavasegError(
            f"no input can be read: {tally.failed[0]}" if several else tally.failed[0]
        )
    return tally


def _predicted(
    job: Job,
    predictor: Predictor,
    items: Iterable[Item],
    files: list[list[Path]] | None,
    tally: Tally,
    keep_rows: bool,
    title: str,
) -> None:
    """Predict and write; `files` of each item, or None where items arrive one after the other."""
    from lavaseg.inference.engines import Integers

    predictor.warm()
    whole = None if files is None else len(files)
    places = None if files is None else iter(files)
    with bar(title, show=whole is not None) as report:
        by_steps = predictor.batch > 1 and isinstance(predictor.engine, Integers)
        if by_steps:
            predictor.engine.progress = report  # type: ignore[attr-defined]
        predictions = _until_interrupted(predictor.predict_all(items, tally.see), job.watch)
        for done, (item, found) in enumerate(predictions, 1):
            target = _files(job, tally.folder / item.name) if places is None else next(places)
            if isinstance(found, LavasegError):
                tally.failed.append(str(found))
                if places is None:
                    complain(f"not done: {found}")
            else:
                _write(job, predictor, item, found, target, tally, keep_rows)
                if places is None and not keep_rows:
                    line(f"{item.name}  {1000 * found.seconds:.0f} ms  {target[0]}")
            if whole is not None and not by_steps:
                report(done, whole)


def _until_interrupted(items: Iterator[Any], watching: bool) -> Iterator[Any]:
    """The items; Ctrl-C is the usual end of watching."""
    try:
        yield from items
    except KeyboardInterrupt:
        if not watching:
            raise


def _write(
    job: Job,
    predictor: Predictor,
    item: Item,
    found: Prediction,
    files: list[Path],
    tally: Tally,
    keep_rows: bool,
) -> None:
    started = time.perf_counter()
    files[0].parent.mkdir(parents=True, exist_ok=True)
    for name, path in zip(job.write, files, strict=True):
        found.write(name, path, job.opacity)
    predictor.timings.whole[-1] += time.perf_counter() - started
    tally.written += 1
    tally.sizes = _ends(tally.sizes | {found.placement.size})
    pixels = found.pixels()
    for name, count in pixels.items():
        tally.pixels[name] = tally.pixels.get(name, 0) + count
    if keep_rows:
        height, width = found.placement.size
        tally.rows.append(
            {
                "name": item.name,
                "input": item.file,
                "size": [height, width],
                **dict(zip(job.write, files, strict=True)),
                "pixels": pixels,
                "views": len(found.readouts),
                "seconds": found.seconds,
            }
        )


def _ends(sizes: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The smallest and the largest of sizes."""
    area = {size: size[0] * size[1] for size in sizes}
    return {min(sizes, key=area.__getitem__), max(sizes, key=area.__getitem__)}


def _files(job: Job, stem: Path) -> list[Path]:
    """The outputs of one input; a stem that ends in .png is the name of its label map."""
    from lavaseg.inference.prediction import output_files

    if stem.suffix.lower() != ".png" or job.out != stem:
        return output_files(stem, job.write)
    files = output_files(stem.with_suffix(""), job.write)
    return [stem if name == "labels" else f for name, f in zip(job.write, files, strict=True)]


def _stems(found: Sources, out: Path | None) -> list[Path]:
    """What the outputs of each input are called, without their endings.

    Raises:
        LavasegError: a file where a folder is needed, or no PNG.
    """
    if not found.alone:
        _check_folder(out or FOLDER)
        return [(out or FOLDER) / item.name for item in found.items]
    name = found.items[0].name
    if out is None or out.is_dir():
        return [(out or Path()) / name]
    if out.suffix.lower() == ".png":
        return [out]
    if out.suffix:
        raise LavasegError(f"label maps are written as PNG: --out {out} must end in .png")
    return [out / name]


def _check_folder(out: Path) -> None:
    if out.suffix.lower() == ".png" and not out.is_dir():
        raise LavasegError(f"several inputs are written into a folder, and --out {out} is a file")


def _arriving(job: Job, predictor: Predictor, frames: FrameCount) -> Iterator[Item]:
    """Items of standard input, or of a folder that fills."""
    predictor.batch = 1
    if len(job.words) > 1 or (job.watch and job.words[0] == "-"):
        what = "--watch takes one folder" if job.watch else "'-', standard input, stands alone"
        raise LavasegError(f"{what}, got {', '.join(job.words)}")
    return _watched(job, predictor, frames) if job.watch else _from_stdin(job, predictor)


def _from_stdin(job: Job, predictor: Predictor) -> Iterator[Item]:
    from lavaseg.data.inputs import check_options
    from lavaseg.encoders import EventEncoder
    from lavaseg.inference import streams

    encoder = predictor.taker.encoder
    if not isinstance(encoder, EventEncoder):
        check_options(Path(streams.STDIN), job.options, ())
        return streams.frames(sys.stdin.buffer, predictor.shape[0])
    from lavaseg.data.event_files import cut, stream_lines
    from lavaseg.data.event_text import text_format

    check_options(Path(streams.STDIN), job.options, ("unit", "columns"))
    text = text_format(job.options.get("unit"), job.options.get("columns"))
    pieces = stream_lines(sys.stdin, streams.STDIN, encoder.sensor, text)
    size = encoder.steps * encoder.size
    parts = cut(pieces, time=size) if encoder.slicing == "time" else cut(pieces, count=size)
    return streams.events(parts)


def _watched(job: Job, predictor: Predictor, frames: FrameCount) -> Iterator[Item]:
    """Files of a folder, now and later, whose outputs are missing or older than they are."""
    from lavaseg.data import event_files, pictures
    from lavaseg.data.inputs import check_options, load_inputs
    from lavaseg.data.walk import name_below
    from lavaseg.inference.engines import is_of_events
    from lavaseg.inference.predictor import Item
    from lavaseg.inference.streams import Watch

    folder, taker = Path(job.words[0]), predictor.taker
    if not folder.is_dir():
        raise LavasegError(f"--watch takes a folder, and {folder} is none")
    of_events = is_of_events(taker.encoder)
    check_options(folder, job.options, ("unit", "columns") if of_events else ())
    owner: dict[str, Path] = {}

    def recording(file: Path) -> Any:
        return load_inputs(f"{file}:0", taker, predictor.target.data, job.options).stimuli[0]

    def refused(file: Path, other: Path) -> Any:
        raise LavasegError(f"{other} and {file} would both write the same files: rename one")

    suffixes = event_files.SUFFIXES if of_events else pictures.SUFFIXES
    for number, file in enumerate(Watch(folder, suffixes, job.idle)):
        name = name_below(file, folder)
        target = _files(job, (job.out or FOLDER) / name)[0]
        other = owner.setdefault(name, file)
        if other != file:
            yield Item(name, number, partial(refused, file, other), file)
        elif not target.exists() or target.stat().st_mtime_ns < file.stat().st_mtime_ns:
            check_outs([target], [file, job.target])
            read = partial(recording, file) if of_events else None
            yield Item(name, number, read or partial(frames.read, file, predictor.shape[0]), file)
