"""`lavaseg evaluate`: how good."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    only_json,
    print_json,
    print_table,
    say,
    warn_if_silent,
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
from lavaseg.cli.machine import AUTO, Device, Threads
from lavaseg.data.inputs import check_fits, load_data
from lavaseg.deploy.backends import REFERENCE
from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.system.faults import check_target
from lavaseg.system.words import counted, percent

if TYPE_CHECKING:
    from lavaseg.encoders import Encoder
    from lavaseg.network import Network
    from lavaseg.results.energy import DescribedWork, EnergyAccount
    from lavaseg.results.evaluation import Evaluation

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
    check_target(target)
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
    view, per_step = result.view, result.rates_per_step
    print_table(
        f"Spikes in {counted(result.steps, 'step')}",
        ["population", ">per neuron", ">per neuron and step", ">synaptic operations into it"],
        (
            (
                name,
                f"{rate:.4f}",
                f"{per_step[name]:.4f}",
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
                    f"{per_step[name]:.4f}",
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
