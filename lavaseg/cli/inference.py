"""`lavaseg predict`, `simulate` and `run`: inputs of any size through a network, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.backends import backend_option, choice_option
from lavaseg.cli.boards import Board, Generation, Host, Partition, check_used, system_of
from lavaseg.cli.console import complain, only_json, print_json, warn_if_silent
from lavaseg.cli.inputs import DataOptions, Json, check_net, data_options
from lavaseg.cli.labelling import Job, Tally, carry_out
from lavaseg.cli.labelling_shown import describe, show, show_activity
from lavaseg.cli.limits import say_remarks
from lavaseg.cli.machine import Device, Threads
from lavaseg.cli.profiles import profile_on_chip, show_profile
from lavaseg.deploy.backends import BACKENDS, REFERENCE, RUNTIMES
from lavaseg.errors import LavasegError
from lavaseg.system.faults import check_target
from lavaseg.system.words import counted

if TYPE_CHECKING:
    from lavaseg.deploy.loihi2 import System
    from lavaseg.inference.predictor import Predictor

FLOAT = "float"
Net = Annotated[Path, typer.Argument(help="A .net file that `lavaseg export` wrote.")]
Source = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Pictures (PNG, JPEG, .npy), recordings of events (.aedat4, .raw, .bin, .bs2, .txt), "
        "folders of either with all below them, or data sets: digits-photos, mnist-cifar10:7 (one "
        "test sample), mnist-cifar10:0-32 (32 of them). rec.raw:0-4 takes the first 4 parts of a "
        "recording, each as long as the network looks. - is standard input.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder to write into, in which the tree of the inputs is kept; for one input, the "
        "label map, a PNG.",
        show_default="predictions; for one input, here",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        help="Seed of the encoder's random draws.",
        show_default="the recipe's, 0 for a .net",
    ),
]
FitOption = Annotated[
    str,
    typer.Option(
        "--fit",
        metavar="resize|letterbox|windows",
        help="How pictures of another size than the network's get there: resized whole, resized "
        "with proportions kept, or cut into windows that overlap.",
    ),
]
Overlap = Annotated[
    float, typer.Option("--overlap", help="windows: share that neighbours see, too, 0 to 0.9.")
]
Scale = Annotated[
    float, typer.Option("--scale", help="windows: factor on a picture's size before it is cut.")
]
Write = Annotated[
    str | None,
    typer.Option(
        "--write",
        metavar="KIND,...",
        help="What to write of each input: labels, overlay, probabilities, margins.",
        show_default="labels; of predict labels,overlay",
    ),
]
ColourOption = Annotated[
    str | None,
    typer.Option(
        "--colours",
        metavar="YAML",
        help="Colours of classes, {road: '#804080'}, or a file of them.",
        show_default="the data set's",
    ),
]
Opacity = Annotated[
    float, typer.Option("--opacity", min=0, max=1, help="Share of the colour in overlays.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=1, help="Give up a run after so many seconds (lava, loihi2)."),
]
Watching = Annotated[
    bool, typer.Option("--watch", help="Go on with files that appear in the folder INPUT.")
]
Idle = Annotated[
    float | None,
    typer.Option("--idle", min=0, help="watch: end after so many seconds without a new file."),
]


def predict(
    target: Annotated[
        Path, typer.Argument(metavar="RUN|NET", help="A run folder, or a .net file.")
    ],
    sources: Source,
    backend: Annotated[
        str | None,
        choice_option(
            "What to run it on",
            {FLOAT: "a run's network as trained", **{n: b.title for n, b in BACKENDS.items()}},
            show_default="float for a run, simulator for a .net",
        ),
    ] = None,
    out_: Out = None,
    fit: FitOption = "resize",
    overlap: Overlap = 0.25,
    scale: Scale = 1.0,
    write: Write = None,
    colours: ColourOption = None,
    opacity: Opacity = 0.5,
    seed: Seed = None,
    device: Device = "cpu",
    threads: Threads = None,
    timeout: Timeout = None,
    watch: Watching = False,
    idle: Idle = None,
    board: Board = None,
    partition: Partition = None,
    host: Host = None,
    loihi_gen: Generation = None,
    set_: DataOptions = None,
    json: Json = False,
) -> None:
    """Label pictures or recordings at their own size: label maps, overlays, scores.

    Of a run, the network as trained, in floats; of a .net file, or with --backend, the integers.
    Folders are walked, what lavaseg wrote is no input, no input is overwritten, and a file that
    cannot be read is named while the others are done (exit code 2). Says how photos of another
    size got to the network, and the latency of a photo with start-up told apart.

    Example: `lavaseg predict runs/demo photos/ -o out`
    On Lava: `lavaseg predict runs/demo/net.net photo.jpg --backend lava`
    A camera: `ffmpeg -i /dev/video0 -f image2pipe -c:v ppm - | lavaseg predict net.net -`
    """
    check_target(target)
    if backend is None:
        backend = FLOAT if target.is_dir() else REFERENCE
    system = system_of(board, partition, host, loihi_gen)
    if backend != FLOAT:
        check_used(system, backend)
    elif system is not None:
        raise LavasegError("--board, --partition, --host and --loihi-gen need --backend loihi2")
    job = _job(target, sources, out_, write or "labels,overlay", opacity, set_, watch, idle)
    options = _options(fit, overlap, scale, seed, device, timeout, system)
    with only_json(json):
        predictor = _predictor(job, backend, colours, options)
        tally = carry_out(job, predictor, "predict", json)
    if json:
        print_json(describe(job, predictor, tally))
    else:
        show(job, predictor, tally)
    _end(predictor, tally)


def simulate(
    net: Net,
    sources: Source,
    out_: Out = None,
    fit: FitOption = "resize",
    overlap: Overlap = 0.25,
    scale: Scale = 1.0,
    write: Write = None,
    colours: ColourOption = None,
    opacity: Opacity = 0.5,
    seed: Seed = None,
    device: Device = "cpu",
    threads: Threads = None,
    set_: DataOptions = None,
    json: Json = False,
) -> None:
    """Run pictures through the bit-exact simulator: the same spikes as Lava, much faster.

    Writes the label map of each, at its own size, as a PNG whose pixels are class numbers, with a
    colour palette, and prints the spikes of each population, synaptic operations and speed.
    `lavaseg predict` does the same for whoever wants pictures alone.

    Example: `lavaseg simulate runs/demo/net.net photo.jpg -o labels.png`
    """
    check_net(net)
    job = _job(net, sources, out_, write or "labels", opacity, set_)
    options = _options(fit, overlap, scale, seed, device, None, None)
    _counted(job, REFERENCE, colours, options, json)


def run(
    net: Net,
    sources: Source,
    backend: Annotated[str, backend_option("What to run it on", RUNTIMES)] = "lava",
    out_: Out = None,
    fit: FitOption = "resize",
    overlap: Overlap = 0.25,
    scale: Scale = 1.0,
    write: Write = None,
    colours: ColourOption = None,
    opacity: Opacity = 0.5,
    seed: Seed = None,
    threads: Threads = None,
    timeout: Timeout = None,
    board: Board = None,
    partition: Partition = None,
    host: Host = None,
    loihi_gen: Generation = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="all|KIND,...",
            help="loihi2: profile power, time, activity or memory as well, each in a run of its "
            "own; kept in the folder of the run that NET belongs to.",
        ),
    ] = None,
    set_: DataOptions = None,
    json: Json = False,
) -> None:
    """Run pictures through the network as a graph of Lava processes.

    Samples stream back to back through stock processes (LIFReset, Conv, Dense, ...), each
    population being reset as the wave of a new sample reaches it. Output as from
    `lavaseg simulate`. On a board (`--backend loihi2`) every population is heard, too; what a run
    takes there is measured by `--profile`.

    Example: `lavaseg run runs/demo/net.net digits-photos:0-4 --backend lava`
    On a board: `lavaseg run runs/demo/net.net digits-photos:0-4 --backend loihi2 --board ncl-og-01`
    """
    from lavaseg.deploy.loihi2.job import profile_kinds

    kinds = profile_kinds(profile, backend)
    system = system_of(board, partition, host, loihi_gen)
    check_used(system, backend)
    if kinds:
        from lavaseg.deploy.loihi2 import check_profiling

        check_profiling(kinds, system)  # refused before a run, not after it
    check_net(net)
    job = _job(net, sources, out_, write or "labels", opacity, set_)
    options = _options(fit, overlap, scale, seed, "cpu", timeout, system)
    _counted(job, backend, colours, options, json, kinds)


def _counted(
    job: Job,
    backend: str,
    colours: str | None,
    options: dict[str, Any],
    json: bool,
    kinds: tuple[str, ...] = (),
) -> None:
    """Predict with integers, and say what they did: `simulate` and `run`."""
    import numpy as np

    from lavaseg.inference.engines import Integers

    with only_json(json):
        predictor = _predictor(job, backend, colours, options)
        engine = predictor.engine
        assert isinstance(engine, Integers)
        engine.kept = [] if kinds else None
        title = backend if BACKENDS[backend].on_lava else "simulate"
        tally = carry_out(job, predictor, title, json)
        profile = None
        if kinds and engine.kept:
            spikes = np.concatenate(engine.kept)
            system, timeout = options["system"], options["timeout"]
            profile = profile_on_chip(job.target, engine.net, spikes, kinds, system, timeout)
    if json:
        facts = {} if profile is None else {"profile": profile}
        print_json({**describe(job, predictor, tally), **facts})
    else:
        show_activity(engine.net, tally)
        show(job, predictor, tally)
        if profile is not None:
            show_profile(profile)
    _end(predictor, tally)


def _job(
    target: Path,
    sources: list[str],
    out: Path | None,
    write: str,
    opacity: float,
    set_: list[str] | None,
    watch: bool = False,
    idle: float | None = None,
) -> Job:
    from lavaseg.inference.prediction import check_outputs

    names = check_outputs([name.strip() for name in write.split(",") if name.strip()])
    if idle is not None and not watch:
        raise LavasegError("--idle says when --watch ends: give both")
    return Job(
        target, tuple(sources), out, names, opacity, data_options(set_), watch=watch, idle=idle
    )


def _options(
    fit: str,
    overlap: float,
    scale: float,
    seed: int | None,
    device: str,
    timeout: float | None,
    system: System | None,
) -> dict[str, Any]:
    """Arguments of a predictor; LavasegError if the options of windows go with another fit."""
    if fit != "windows" and (overlap, scale) != (0.25, 1.0):
        raise LavasegError(f"--overlap and --scale are of --fit windows, got --fit {fit}")
    names = {"fit": fit, "overlap": overlap, "scale": scale, "seed": seed, "device": device}
    return {**names, "timeout": timeout, "system": system}


def _predictor(job: Job, backend: str, colours: str | None, options: dict[str, Any]) -> Predictor:
    from lavaseg.data.colours import read_colours
    from lavaseg.inference.predictor import Predictor

    found = Predictor(job.target, backend=backend, warm=False, **options)
    if colours is not None:
        found.recolour(read_colours(colours, found.classes))
    if backend in BACKENDS and BACKENDS[backend].on_chip:
        assert found.target.net is not None
        say_remarks(found.target.net)
    return found


def _end(predictor: Predictor, tally: Tally) -> None:
    """Warn of a network without spikes, and name what could not be read."""
    net = predictor.target.net
    if net is not None and tally.views:
        warn_if_silent(net.network, {k: float(n.sum()) for k, n in tally.counts.items()})
    if not tally.failed:
        return
    for sentence in tally.failed:
        complain(sentence)
    whole = len(tally.failed) + tally.written
    raise LavasegError(
        f"{counted(len(tally.failed), 'input')} of {whole:,} could not be read; the others are done"
    )
