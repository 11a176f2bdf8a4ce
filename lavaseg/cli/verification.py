"""`lavaseg verify`: how exact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.backends import ALL, backend_option
from lavaseg.cli.boards import Board, Generation, Host, Partition, check_used, system_of
from lavaseg.cli.console import (
    DIFFERENT,
    complain,
    only_json,
    print_json,
    print_table,
    say,
)
from lavaseg.cli.evaluation import Target
from lavaseg.cli.inputs import (
    ROOT,
    DataOptions,
    Json,
    data_beside,
    data_options,
    open_net,
    open_run,
    prediction_of,
    run_of,
)
from lavaseg.cli.limits import say_remarks
from lavaseg.cli.machine import Threads
from lavaseg.data.inputs import choose_inputs
from lavaseg.deploy.backends import BACKENDS, COMPARABLE, COMPARED
from lavaseg.system.faults import check_target
from lavaseg.system.styles import BAD, GOOD
from lavaseg.system.words import counted

if TYPE_CHECKING:
    from lavaseg.deploy import Verdict
    from lavaseg.runs import Run


def verify(
    target: Target,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="INPUT",
            help="Pictures or recordings to compare on.",
            show_default="test data of the run, else noise",
        ),
    ] = None,
    set_: DataOptions = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=1, help="At most this many samples.")
    ] = 16,
    backend: Annotated[
        str, backend_option("What to compare with the simulator", COMPARABLE, several=True)
    ] = ALL,
    board: Board = None,
    partition: Partition = None,
    host: Host = None,
    loihi_gen: Generation = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random draws.")] = 0,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Compare torch, the simulator and both Lava runtimes, spike for spike.

    All run the same pictures; every spike of every population at every step must be equal, and the
    read-outs, too. A run without net.net is exported first. The verdict on a run, or on its
    net.net, is kept in RUN/verify.json. Exit code 1 if anything differs: then the first step,
    population and neuron are named. A board with Loihi 2 is compared as well where one is named
    (`--board`), or alone by `--backend loihi2`.

    Example: `lavaseg verify runs/demo --samples 4`
    """
    check_target(target)
    with only_json(json):
        system = system_of(board, partition, host, loihi_gen)
        if backend != ALL:
            check_used(system, backend)
        everything = COMPARED if system is None else COMPARABLE
        backends = everything if backend == ALL else (backend,)
        run = _exported(target, set_) if target.is_dir() else run_of(target)
        net_path = run.files.net.path if run and target.is_dir() else target
        net = run.net() if run else open_net(net_path)
        sources = [] if data is None else [data]
        options = data_options(set_)
        inputs = choose_inputs(net, sources, data_beside(net_path), options, samples, seed)

        from lavaseg.deploy import verify as verify_net

        if any(BACKENDS[name].on_chip for name in backends):
            say_remarks(net)
        verdict = verify_net(
            run or net,
            inputs.stimuli,
            seed=seed,
            samples=inputs.numbers,
            backends=backends,
            system=system,
        )
    if json:
        print_json({"target": target, **verdict.to_dict()})
    else:
        show_verdict(verdict)
        if verdict.ok:
            say(f"Next: {prediction_of(net_path)}")
    if not verdict.ok:
        raise typer.Exit(DIFFERENT)


def _exported(folder: Path, set_: list[str] | None) -> Run:
    """The run, exported now if it is not yet, or was before its weights were trained."""
    roots = [i for i in set_ or () if i.partition("=")[0] in (ROOT, "root")]  # others: --data's
    run = open_run(folder, roots)
    if not run.files.net.current():
        from lavaseg.export import export

        export(run)
    return run


def show_verdict(verdict: Verdict) -> None:
    """A table population x backend of differing spikes, and the first difference."""
    cells = {(row.population, row.backend): row for row in verdict.populations}
    populations, backends = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    print_table(
        f"Values that differ from the simulator's ({counted(verdict.samples, 'sample')}, "
        f"{counted(verdict.steps, 'step')} each)",
        ["population", ">spikes", ">compared", *(f">{name}" for name in backends)],
        (
            (
                population,
                f"{cells[population, backends[0]].spikes:,}",
                f"{cells[population, backends[0]].compared:,}",
                *(f"{cells[population, name].differing:,}" for name in backends),
            )
            for population in populations
        ),
    )
    if integers := verdict.view.in_words:
        say(f"integers, each slot and relay compared: {integers}")
    seconds = ", ".join(f"{name} {value:.3g} s" for name, value in verdict.seconds.items())
    say(f"time, without start-up: {seconds}")
    if not any(row.spikes for row in verdict.rows if row.population != "input"):
        complain("warning: no population sent a single spike, so little was compared")
    if verdict.ok:
        say("every spike and every read-out is equal", GOOD)
    else:
        say(f"different: first in {verdict.first_difference}", BAD)
