"""`lavaseg bundle`, `lavaseg submit` and `lavaseg collect`: a network run on another machine."""

from __future__ import annotations

import hashlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.backends import backend_option
from lavaseg.cli.boards import Generation
from lavaseg.cli.console import (
    DIFFERENT,
    check_out,
    check_writable,
    only_json,
    print_json,
    print_table,
    say,
)
from lavaseg.cli.inputs import (
    DataOptions,
    Json,
    data_beside,
    data_options,
    open_net,
    open_run,
    run_of,
)
from lavaseg.data.inputs import choose_inputs
from lavaseg.deploy.backends import BACKENDS
from lavaseg.errors import LavasegError
from lavaseg.system.faults import check_target
from lavaseg.system.progress import line
from lavaseg.system.words import command, counted

if TYPE_CHECKING:
    from lavaseg.deploy.cloud.collect import Judgement

Archive = Annotated[Path, typer.Argument(help="Archive that `lavaseg bundle` wrote.")]


def bundle(
    target: Annotated[
        Path, typer.Argument(metavar="NET|RUN", help="A .net file, or a run that was exported.")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="INPUT",
            help="Pictures or recordings to run.",
            show_default="test data of the run, else noise",
        ),
    ] = None,
    set_: DataOptions = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=1, help="At most this many samples.")
    ] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random draws.")] = 0,
    record: Annotated[
        list[str] | None,
        typer.Option(
            "--record",
            metavar="POPULATION|all",
            help="Population whose every spike is compared; may be repeated. Of the others, the "
            "number of spikes of each neuron.",
            show_default="all, if they are not too many",
        ),
    ] = None,
    backend: Annotated[
        str, backend_option("What it runs on, unless told otherwise there", tuple(BACKENDS))
    ] = "lava",
    out_: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Archive to write.", show_default="NAME-bundle.zip"),
    ] = None,
    json: Json = False,
) -> None:
    """Pack a network, samples and what they must give as one archive that runs elsewhere.

    It holds the encoded samples, the simulator's spikes and read-outs, lavaseg's own sources, the
    versions of the packages it needs, a script for Slurm and one to start by hand. README.txt in
    it says how. The same input gives the same bytes.

    Example: `lavaseg bundle runs/demo --samples 4 -o demo.zip`
    """
    check_target(target)
    with only_json(json):
        run = open_run(target) if target.is_dir() else None
        path = run.files.net.path if run else target
        net = run.net() if run else open_net(path)
        name = target.resolve().name if run else target.stem
        out = out_ or Path(f"{name}-bundle.zip")
        if out.exists() and not out.is_file():
            raise LavasegError(f"--out {out} is no file: expected an archive to write")
        check_out(out, [path])
        check_writable(out.resolve().parent)
        options = data_options(set_)
        sources = [] if data is None else [data]
        found = choose_inputs(net, sources, data_beside(path), options, samples, seed)
        check_out(out, [Path(data)] if data is not None else [])

        from lavaseg.deploy.cloud.bundle import make_bundle
        from lavaseg.system.progress import bar

        spikes = net.encoder.encode(found.stimuli, seed=seed, samples=found.numbers)
        with bar("bundle") as progress:
            made = make_bundle(
                path,
                spikes,
                out,
                name=name,
                names=found.names,
                record=record or (),
                backend=backend,
                progress=progress,
            )
    manifest = made.manifest
    if json:
        facts = {key: value for key, value in manifest.items() if key != "members"}
        print_json({"file": out, "bundle": made.identity, "bytes": out.stat().st_size, **facts})
        return
    held = counted(manifest["samples"], "sample")
    say(f"bundled: {out} ({out.stat().st_size / 1e6:.1f} MB), {held}")
    if found.remark:
        say(found.remark)
    spikes_of = [name for name in manifest["populations"] if name in manifest["recorded"]]
    say(f"compared spike for spike: {', '.join(spikes_of) or 'no population'}; read-outs: all")
    if len(spikes_of) < len(manifest["populations"]):
        say("compared neuron by neuron, by counts: all others; --record POPULATION takes more")
    unpacked = f"unzip {shlex.quote(str(out))} -d FOLDER"
    say(f"Next: {command('submit', out)}, or `{unpacked}` elsewhere and its README.txt")


def submit(
    archive: Archive,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            metavar="BACKEND",
            help=f"What it runs on: {', '.join(BACKENDS)}.",
            show_default="that of the bundle",
        ),
    ] = None,
    partition: Annotated[
        str | None,
        typer.Option("--partition", help="Partition of Slurm.", show_default="Slurm's own"),
    ] = None,
    board: Annotated[
        str | None, typer.Option("--board", help="The one board, such as ncl-og-01.")
    ] = None,
    loihi_gen: Generation = None,
    time: Annotated[
        int | None,
        typer.Option(
            "--time",
            min=1,
            help="Minutes that the job may take.",
            show_default="limit of the partition",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="KINDS",
            help="Measure the board, too: all, or some of power,time,activity,memory.",
        ),
    ] = None,
    python: Annotated[
        str,
        typer.Option("--python", help="Interpreter of the job.", show_default="this one"),
    ] = sys.executable,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="New folder for bundle, log and results; the boards' hosts must see it.",
            show_default="NAME-job",
        ),
    ] = None,
    leave: Annotated[
        bool, typer.Option("--leave", help="Ctrl-C leaves the job in the queue, uncancelled.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Submit, print the job's number, and end.")
    ] = False,
    json: Json = False,
) -> None:
    """Hand a bundle to Slurm, follow its job, and compare what comes back.

    States of the job and what it prints go to stderr. Ctrl-C cancels the job. Exit code 1 if
    anything differs.

    Example: `lavaseg submit demo.zip --backend loihi2 --partition kp --time 10`
    """
    from lavaseg.deploy.cloud.submit import prepare, submit_and_follow
    from lavaseg.deploy.cloud.submit import submit as submit_bundle

    out = out_ or Path(f"{archive.stem}-job")
    prepared = prepare(
        archive,
        out,
        backend=backend,
        partition=partition,
        board=board,
        generation=loihi_gen,
        minutes=time,
        profile=profile,
        python=python,
    )
    if detach:
        job = submit_bundle(prepared)
        if json:
            print_json({"job": job.number, "folder": out})
            return
        say(f"submitted: job {job.number}; `scancel {job.number}` ends it")
        say(f"Next: {command('collect', out)} when it has ended")
        return
    judgement = submit_and_follow(prepared, line, leave=leave)
    _show(judgement, out, json)


def collect(
    place: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Results of a bundle; a zip or tar of them, too."),
    ],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="The bundle that they must be of.")
    ] = None,
    net: Annotated[
        Path | None,
        typer.Option(
            "--net",
            metavar="NET|RUN",
            help="The network that they must be of; the folder of its run keeps what a board "
            "measured, for the report.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Read the results of a bundle that ran elsewhere: equal or not, time, power and energy.

    Exit code 1 if anything differs: then the layers, how many spikes, and the first one are named.

    Example: `lavaseg collect results --bundle demo.zip`
    """
    from lavaseg.deploy.cloud.bundle import Bundle, check_same_network
    from lavaseg.deploy.cloud.collect import judge
    from lavaseg.deploy.cloud.results import read_results

    results = read_results(place, Bundle.open(bundle) if bundle else None)
    judgement = judge(results)
    if net is not None:
        path = open_run(net).files.net.path if net.is_dir() else net
        open_net(path)
        check_same_network(results.manifest, hashlib.sha256(path.read_bytes()).hexdigest(), path)
        measured = judgement.facts.get("profile") or {}
        if (run := run_of(path)) is not None and "derived" in measured:
            run.files.chip_profile.save(measured)
    _show(judgement, place, json)


def _show(judgement: Judgement, place: Path, json: bool) -> None:
    from lavaseg.deploy.cloud.collect import say_judgement

    if json:
        print_json({"results": place, **judgement.to_dict()})
    else:
        print_table(
            f"{place}: results of {judgement.facts['backend']}",
            ["population", "compared", ">values", ">expected spikes", ">found", ">differing"],
            (
                (
                    row.population,
                    row.kind,
                    f"{row.compared:,}",
                    f"{row.expected:,}" if row.kind != "membrane" else "-",
                    f"{row.found:,}" if row.kind != "membrane" and row.read else "-",
                    f"{row.differing:,}" if row.read else "not read back",
                )
                for row in judgement.rows
            ),
        )
        say_judgement(judgement, say)
    if not judgement.ok:
        raise typer.Exit(DIFFERENT)
