"""`lavaseg evaluate` and `lavaseg verify`: how good, how exact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.backends import ALL, backend_option
from lavaseg.cli.boards import Board, Generation, Host, Partition, check_used, system_of
from lavaseg.cli.conditions import (
    Conditions,
    NoiseSeed,
    NoiseWord,
    Steps,
    check_at,
    kept_clean,
    where,
)
from lavaseg.cli.console import (
    DIFFERENT,
    complain,
    only_json,
    print_json,
    print_table,
    say,
    warn_if_silent,
)
from lavaseg.cli.inputs import (
    ROOT,
    DataOptions,
    Json,
    check_exists,
    data_beside,
    data_options,
    open_net,
    open_run,
    prediction_of,
    run_of,
)
from lavaseg.cli.limits import say_remarks
from lavaseg.cli.machine import AUTO, Device, Threads
from lavaseg.data.inputs import check_fits, choose_inputs, load_data
from lavaseg.deploy.backends import BACKENDS, COMPARABLE, COMPARED, REFERENCE
from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.system.styles import BAD, GOOD
from lavaseg.system.words import counted, percent

if TYPE_CHECKING:
    from lavaseg.deploy import Verdict
    from lavaseg.encoders import Encoder
    from lavaseg.network import Network
    from lavaseg.results.energy import DescribedWork, EnergyAccount
    from lavaseg.results.evaluation import Evaluation
    from lavaseg.runs import Run

Target = Annotated[Path, typer.Argument(metavar="RUN|NET", help="A run folder or a .net file.")]


def evaluate(
    target: Target,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Data set for a .net file.", show_default="that of its run folder"
        ),
    ] = None,
    set_: DataOptions = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most this many test samples.")
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="network|labels",
            help="Where to compare: at the size of the samples that the network sees, to which "
            "labels are resized; or at that of the label files, to which read-outs are.",
        ),
    ] = "network",
    noise: NoiseWord = None,
    noise_seed: NoiseSeed = 0,
    steps: Steps = None,
    device: Device = AUTO,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure mIoU, spike rates, synaptic operations and energy on test data.

    Of a run, the float network as trained; of a .net file, the integers that Lava runs. mIoU is
    that of the whole data set's confusion matrix. Operations are counted exactly from the spikes;
    papers' formulas take the network as described. Energies are estimates, each with its
    definition (--json shows them in full). --at labels judges what `lavaseg predict` writes. With
    --noise or --steps the result is shown and not
    kept, and compared with the clean one where that is kept.

    Example: `lavaseg evaluate runs/demo/net.net --limit 100`
    """
    check_exists(target)
    conditions = Conditions.of(noise, noise_seed, steps)
    at_labels = check_at(at, conditions)
    with only_json(json):
        if target.is_dir():
            if data is not None:
                raise LavasegError("a run is evaluated on its own data: leave out --data")
            found = _evaluate_run(target, set_, limit, conditions, at_labels, device)
        else:
            found = _evaluate_net(target, data, set_ or [], limit, conditions, at_labels, device)
    result, model = found.result, found.model
    if isinstance(model, AnalogModel):
        _show_artificial(target, found, model, conditions, json)
        return
    account, uncounted = _account(target, model, result)
    work, remark = _work(target, model, result)
    if json:
        from lavaseg.results.energy import to_dict

        energy = to_dict(work, account, uncounted)
        facts = conditions.facts(found.encoder, result, found.clean)
        print_json({"target": target, **result.to_dict(), **facts, "energy": energy})
        return
    _show_classes(target, result)
    conditions.show(found.encoder, result, found.clean)
    _show_activity(result, account)
    _show_energy(work, account, uncounted, remark)
    warn_if_silent(model, {k: float(count.sum()) for k, count in result.counts.items()})


@dataclass(frozen=True)
class _Found:
    """An evaluation, of which model and code, and the clean one of the same where it is kept."""

    result: Evaluation
    model: Network | AnalogModel
    encoder: Encoder
    clean: Evaluation | None = None


def _evaluate_run(
    path: Path,
    set_: list[str] | None,
    limit: int | None,
    conditions: Conditions,
    at_labels: bool,
    device: str,
) -> _Found:
    run = open_run(path, set_)
    if at_labels:
        from lavaseg.inference import evaluate_at_labels

        found = evaluate_at_labels(run, limit=limit, device=device)
        return _Found(found, run.model, run.recipe.encoder_object)

    from lavaseg.training import evaluate as evaluate_run

    noise, steps = conditions.noise, conditions.steps
    found = evaluate_run(run, limit=limit, noise=noise, steps=steps, device=device)
    clean = kept_clean(run.files.evaluation, found)
    return _Found(found, run.model, run.recipe.encoder_object, clean)


def _evaluate_net(
    path: Path,
    name: str | None,
    set_: list[str],
    limit: int | None,
    conditions: Conditions,
    at_labels: bool,
    device: str,
) -> _Found:
    beside = data_beside(path)
    options = data_options(set_)
    own = beside is not None and name in (None, beside.name) and options.keys() <= {"root"}
    run = run_of(path) if own and path.is_file() else None
    net = run.net() if run else open_net(path)
    if run and options:
        run = run.with_data_in(str(options["root"]))
    data = run.data if run else load_data(name, options, beside)
    check_fits(net, data)

    from lavaseg.deploy import evaluate as evaluate_net

    how: dict[str, Any] = {"limit": limit, "device": device}
    how |= {"noise": conditions.noise, "steps": conditions.steps}
    if at_labels:
        from lavaseg.inference import evaluate_at_labels

        samples, ignored = (None, None) if run else (data.test, data.ignore_index)
        found = evaluate_at_labels(
            run or net,
            samples,
            backend=REFERENCE,
            limit=limit,
            ignore_index=ignored,
            device=device,
        )
        return _Found(found, net.network, net.encoder)
    if run:  # its own network on its own test data, so that its folder keeps the result
        found = evaluate_net(run, **how)
        clean = kept_clean(run.files.net_evaluation, found)
        return _Found(found, net.network, net.encoder, clean)
    found = evaluate_net(net, data.test, ignore_index=data.ignore_index, **how)
    return _Found(found, net.network, net.encoder)


def _account(
    target: Path, network: Network, result: Evaluation
) -> tuple[EnergyAccount | None, str]:
    """The operations, or None and why they are not counted."""
    from lavaseg.export.lowering import countable
    from lavaseg.results.energy import account

    counted, reason = countable(network, result.counts, run=target)
    if counted is None:
        return None, reason
    return account(counted, result.counts, result.samples, result.steps), ""


def _work(target: Path, network: Network, result: Evaluation) -> tuple[DescribedWork, str]:
    """The work as papers count it, and "" or a remark on the network that was counted."""
    from lavaseg.export.lowering import described
    from lavaseg.results.energy import describe

    remark = ""
    if target.is_file():
        run = run_of(target)
        trained = None if run is None else run.network
        network, remark = described(network, trained, result.counts)
    return describe(network, result.counts, result.samples, result.steps), remark


def _show_artificial(
    target: Path, found: _Found, model: AnalogModel, conditions: Conditions, json: bool
) -> None:
    from lavaseg.results.energy import artificial, format_energy

    macs = model.kim_macs()
    estimate = artificial(macs)
    assert estimate.picojoules is not None
    result = found.result
    if json:
        energy = {"macs": macs, "picojoules": estimate.picojoules[0]}
        facts = conditions.facts(found.encoder, result, found.clean)
        print_json({"target": target, **result.to_dict(), **facts, "energy": energy})
        return
    _show_classes(target, result)
    conditions.show(found.encoder, result, found.clean)
    say(
        f"artificial network: {macs:,} MACs a sample, "
        f"{format_energy(estimate.picojoules[0])} (estimate: {estimate.definition})"
    )


def _show_classes(target: Path, result: Evaluation) -> None:
    print_table(
        f"{target}: mIoU {percent(result.miou)} on {counted(result.samples, 'sample')} "
        f"(pixel accuracy {percent(result.accuracy)}), {where(result)}",
        ["class", ">IoU"],
        ((name, percent(value)) for name, value in zip(result.classes, result.iou, strict=True)),
    )
    for name, value in result.comparison.items():
        say(f"only to compare with papers: {name} {percent(value)}")


def _show_activity(result: Evaluation, account: EnergyAccount | None) -> None:
    view = result.view
    print_table(
        f"Spikes in {counted(result.steps, 'step')}",
        ["population", ">per neuron", ">per neuron and step", ">synaptic operations into it"],
        (
            (
                name,
                f"{rate:.4f}",
                f"{result.rates_per_step[name]:.4f}",
                f"{view.operations_into(account, name):,.0f}" if account else "-",
            )
            for name, rate in result.rates.items()
        ),
    )
    if shares := result.level_shares:
        most = max(map(len, shares.values()))
        print_table(
            "Integers that neurons send at a step: how often each, in percent",
            ["population", ">mean", *(f">{level}" for level in range(most))],
            (
                (
                    name,
                    f"{result.rates_per_step[name]:.4f}",
                    *(f"{100 * share:.1f}" for share in found),
                    *["-"] * (most - len(found)),
                )
                for name, found in shares.items()
            ),
            tight=True,
        )
        say(f"integers    {view.in_words}")


def _show_energy(
    work: DescribedWork, account: EnergyAccount | None, uncounted: str, remark: str
) -> None:
    from lavaseg.results.energy import estimates, format_energy

    rows = []
    for estimate in estimates(work, account):
        energies = [format_energy(e) for e in estimate.picojoules or ()]
        ratio = "-"
        if estimate.ratio is not None:
            less = estimate.ratio >= 1
            ratio = f"{estimate.ratio:.3g}x less" if less else f"{1 / estimate.ratio:.3g}x more"
        rows.append((estimate.title, " to ".join(dict.fromkeys(energies)) or "-", ratio))
    counts = f"{work.macs:,} MACs as {'exported' if remark else 'described'}"
    if account is not None:
        counts += f", {account.synaptic_operations:,.0f} synaptic operations as deployed"
    print_table(
        f"Energy of a sample (estimates): {counts}",
        ["definition", ">energy", ">than the ANN"],
        rows,
    )
    for sentence in filter(None, (uncounted, remark)):
        say(sentence)


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
    check_exists(target)
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
