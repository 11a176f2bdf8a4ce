"""`lavaseg simulate` and `lavaseg run`: pictures or events through an exported network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.backends import backend_option
from lavaseg.cli.boards import Board, Generation, Host, Partition, check_used, system_of
from lavaseg.cli.console import (
    check_outs,
    check_writable,
    only_json,
    print_json,
    print_table,
    say,
    warn_if_silent,
)
from lavaseg.cli.inputs import DataOptions, Json, data_beside, data_options, open_net
from lavaseg.cli.limits import say_remarks
from lavaseg.cli.profiles import profile_on_chip, show_profile
from lavaseg.data.inputs import Inputs, load_inputs
from lavaseg.deploy.backends import BACKENDS, RUNTIMES
from lavaseg.errors import LavasegError
from lavaseg.system.words import counted

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.results.activity import Activity
    from lavaseg.results.energy import EnergyAccount

    Runner = Callable[[IntegerNetwork, np.ndarray, Callable[[int, int], None]], Activity]
    Profiler = Callable[[IntegerNetwork, np.ndarray], dict[str, Any]]

Net = Annotated[Path, typer.Argument(help="A .net file that `lavaseg export` wrote.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="A picture (PNG, JPEG, .npy), a recording of events (.aedat4, .raw, .bin, .bs2, "
        ".txt), a folder of either, or a data set: digits-photos, mnist-cifar10:7 (one test "
        "sample), mnist-cifar10:0-32 (32 of them). rec.raw:0-4 takes the first 4 parts of a "
        "recording, each as long as the network looks.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Label map to write, a PNG; for several pictures, a folder.",
        show_default="NAME-labels.png, or the folder labels",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the encoder's random draws.")]


def simulate(
    net: Net,
    source: Source,
    out_: Out = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    set_: DataOptions = None,
    json: Json = False,
) -> None:
    """Run pictures through the bit-exact simulator: the same spikes as Lava, much faster.

    Writes the label map as a PNG whose pixels are class numbers, with a colour palette, and prints
    the spikes of each population, synaptic operations and speed.

    Example: `lavaseg simulate runs/demo/net.net photo.jpg -o labels.png`
    """

    def simulated(
        network: IntegerNetwork, spikes: np.ndarray, progress: Callable[[int, int], None]
    ) -> Activity:
        from lavaseg.deploy import simulate as simulate_net

        return simulate_net(network, spikes, device=device, progress=progress)

    _infer("simulate", simulated, net, source, out_, seed, set_, json)


def run(
    net: Net,
    source: Source,
    backend: Annotated[str, backend_option("What to run it on", RUNTIMES)] = "lava",
    out_: Out = None,
    seed: Seed = 0,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=1, help="Give up after this many seconds (lava, loihi2)."),
    ] = None,
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

    with only_json(json):
        kinds = profile_kinds(profile, backend)
        system = system_of(board, partition, host, loihi_gen)
        check_used(system, backend)
        if kinds:
            from lavaseg.deploy.loihi2 import check_profiling

            check_profiling(kinds, system)  # refused before a run, not after it

    def ran(
        network: IntegerNetwork, spikes: np.ndarray, progress: Callable[[int, int], None]
    ) -> Activity:
        from lavaseg.deploy import run as run_net

        if BACKENDS[backend].on_chip:
            say_remarks(network)

        return run_net(
            network, spikes, backend=backend, timeout=timeout, system=system, progress=progress
        )

    def profiled(network: IntegerNetwork, spikes: np.ndarray) -> dict[str, Any]:
        return profile_on_chip(net, network, spikes, kinds, system, timeout)

    _infer(backend, ran, net, source, out_, seed, set_, json, profiled if kinds else None)


def _infer(
    title: str,
    runner: Runner,
    net: Path,
    source: str,
    out_: Path | None,
    seed: int,
    set_: list[str] | None,
    json: bool,
    profiler: Profiler | None = None,
) -> None:
    """Everything that both commands do, given their runner, and a profiler if there is one."""
    with only_json(json):
        network = open_net(net)
        options = data_options(set_)
        found = load_inputs(source, network, data_beside(net), options)
        targets = _targets(found, out_, net)

        from lavaseg.system.progress import bar

        spikes = network.encoder.encode(found.stimuli, seed=seed, samples=found.numbers)
        with bar(title) as progress:
            activity = runner(network, spikes, progress)
        profile = profiler(network, spikes) if profiler is not None else None
        account = _account(network, activity)
        labels = _write_labels(network, activity, found, targets)
    speed = {
        "seconds": activity.seconds,
        "samples_per_second": activity.samples / activity.seconds if activity.seconds else None,
        "milliseconds_per_step": 1000 * activity.seconds / (activity.samples * network.steps),
    }
    if json:
        print_json(
            {
                "net": net,
                "backend": title,
                "seed": seed,
                "samples": activity.samples,
                "steps": network.steps,
                "pictures": labels,
                "failed": found.failed,
                "spikes": {name: int(count.sum()) for name, count in activity.counts.items()},
                "synaptic_operations": round(account.synaptic_operations * activity.samples),
                **speed,
                **({} if profile is None else {"profile": profile}),
            }
        )
    else:
        _show(network, activity, account, found, targets, speed)
        if profile is not None:
            show_profile(profile)
    warn_if_silent(network.network, {k: float(n.sum()) for k, n in activity.counts.items()})
    if found.failed:
        for sentence in found.failed:
            typer.echo(sentence, err=True)
        raise LavasegError(
            f"{counted(len(found.failed), 'file')} of {len(found.failed) + len(found.names)} "
            "could not be read; the others are done"
        )


def _targets(found: Inputs, out_: Path | None, net: Path) -> list[Path]:
    """The file of each label map; its folder is made and tried.

    Raises:
        LavasegError: two of them are one file, or one is an input.
    """
    targets = _names(found, out_)
    first: dict[Path, str] = {}
    for index, target in enumerate(targets):
        source = str(found.files[index]) if len(found.files) == len(targets) else found.names[index]
        if target in first:
            raise LavasegError(
                f"{first[target]} and {source} would both write {target}: rename one of them"
            )
        first[target] = source
    check_outs(targets, (*found.files, net))
    check_writable(targets[0].parent)
    return targets


def _names(found: Inputs, out_: Path | None) -> list[Path]:
    """The file of each label map."""
    if len(found.names) == 1 and not (out_ is not None and out_.is_dir()):
        target = out_ or Path(f"{found.names[0]}-labels.png")
        if target.suffix.lower() != ".png":
            raise LavasegError(f"label maps are written as PNG: --out {target} must end in .png")
        return [target]
    folder = out_ or Path("labels")
    return [folder / f"{name}-labels.png" for name in found.names]


def _account(network: IntegerNetwork, activity: Activity) -> EnergyAccount:
    import numpy as np

    from lavaseg.results.energy import account

    totals = {name: count.sum(0, dtype=np.int64) for name, count in activity.counts.items()}
    return account(network.network, totals, activity.samples, network.steps)


def _write_labels(
    network: IntegerNetwork, activity: Activity, found: Inputs, targets: list[Path]
) -> list[dict[str, Any]]:
    """Write the label maps; one row for each, with the pixels of each class."""
    from lavaseg.data.pictures import palette, write_label_map
    from lavaseg.results.metrics import predict

    _, height, width = found.stimuli[0].shape
    lines, columns = network.encoder.window((height, width))
    seen = (lines.stop - lines.start, columns.stop - columns.start)
    maps = predict(network.logits(activity.readout), seen)
    colours = palette(len(network.classes))
    rows = []
    for name, labels, target in zip(found.names, maps, targets, strict=True):
        write_label_map(labels, target, colours)
        pixels = {c: int((labels == k).sum()) for k, c in enumerate(network.classes)}
        rows.append({"name": name, "labels": target, "pixels": pixels})
    return rows


def _show(
    network: IntegerNetwork,
    activity: Activity,
    account: EnergyAccount,
    found: Inputs,
    targets: list[Path],
    speed: dict[str, Any],
) -> None:
    if found.remark:
        say(found.remark)
    print_table(
        f"Spikes of {counted(activity.samples, 'sample')}, {counted(network.steps, 'step')} each",
        ["population", "shape", ">spikes", ">per neuron and step"],
        (
            (
                name,
                "x".join(map(str, network.network.shape(name))),
                f"{int(count.sum()):,}",
                f"{count.sum() / (count.size * network.steps):.4f}",
            )
            for name, count in activity.counts.items()
        ),
    )
    say(f"synaptic operations  {account.synaptic_operations:,.0f} a sample")
    rate = speed["samples_per_second"]
    say(
        f"speed (no start-up)  {'-' if rate is None else format(rate, '.3g')} samples/s, "
        f"{speed['milliseconds_per_step']:.3g} ms a step"
    )
    written = targets[0] if len(targets) == 1 else f"{targets[0].parent} ({len(targets)} files)"
    say(f"label maps           {written}")
