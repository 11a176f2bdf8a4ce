"""Measures that evaluate a run's networks: on test data, with noise, at other T, as integers.

A run that cannot have a quantity has none: an artificial network has no spikes and no steps, and a
preset that only trains no integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.studies import options as o
from lavaseg.studies.measures import Row, row

if TYPE_CHECKING:
    from lavaseg.network import Network
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.results.evaluation import Evaluation
    from lavaseg.runs import Run

_PICO = 1e-12


def test(run: Run, options: o.Options) -> Iterable[Row]:
    """mIoU and pixels right in percent, spikes of a neuron (over all that can fire), parameters."""
    found = _evaluated(run)
    yield row("miou", 100 * found.miou)
    yield row("accuracy", 100 * found.accuracy)
    yield row("parameters", run.model.parameter_count(found.steps))
    if not isinstance(run.model, AnalogModel):
        spikes = _spikes(run.network, found)
        yield row("spikes", spikes)
        yield row("rate", spikes / found.steps)


def classes(run: Run, options: o.ClassesOptions) -> Iterable[Row]:
    """IoU of each class in percent; a class that neither labels nor predictions have has none."""
    integers = options.on == "integers"
    if integers and not exports(run):
        return
    found = _integers_at(run, _net(run), kept=True) if integers else _evaluated(run)
    for name, value in zip(run.classes, found.iou, strict=True):
        yield row("integer_iou" if integers else "iou", 100 * value, **{"class": name})


def rates(run: Run, options: o.Options) -> Iterable[Row]:
    """Spikes of a neuron of each layer, and of the input, in an inference and in a step."""
    if isinstance(run.model, AnalogModel):
        return
    found = _evaluated(run)
    for name, rate in _firing(run.network, found).items():
        yield row("spikes", rate, layer=name)
        yield row("rate", rate / found.steps, layer=name)


def energy(run: Run, options: o.Options) -> Iterable[Row]:
    """Energy by each formula of `lavaseg.results.energy`, and that of the artificial network."""
    from lavaseg.export.lowering import countable
    from lavaseg.results.energy import account, artificial, describe, estimates

    found = _evaluated(run)
    if isinstance(run.model, AnalogModel):
        pass_ = artificial(run.model.kim_macs())
        assert pass_.picojoules is not None
        yield row("macs", run.model.kim_macs())
        yield row("ann_energy", _PICO * pass_.picojoules[1])
        return
    work = describe(run.network, found.counts, found.samples, found.steps)
    counted, _ = countable(run.network, found.counts)
    exact = None
    if counted is not None:
        exact = account(counted, found.counts, found.samples, found.steps)
    yield row("macs", work.macs)
    for estimate in estimates(work, exact):
        if estimate.picojoules is None:
            continue
        joules = _PICO * estimate.picojoules[1]
        if estimate.name == "ann":
            yield row("ann_energy", joules)
            continue
        yield row("energy", joules, formula=estimate.name)
        if estimate.ratio is not None:
            yield row("energy_ratio", estimate.ratio, formula=estimate.name)


def noise(run: Run, options: o.NoiseOptions) -> Iterable[Row]:
    """mIoU with each amount of noise, and the share of the clean mIoU that is lost, in percent."""
    from lavaseg.encoders import Noise

    if options.on == "integers" and not exports(run):
        return
    whose = "integer_" if options.on == "integers" else ""
    clean = _at(run, options)
    for amount in options.amounts:
        with_noise = Noise(options.kind, amount, options.seed)
        found = _at(run, options, noise=with_noise) if amount else clean
        under = {options.condition: amount}
        yield row(f"{whose}miou", 100 * found.miou, **under)
        yield row(f"{whose}drop", 100 * found.drop_from(clean), **under)


def steps(run: Run, options: o.StepsOptions) -> Iterable[Row]:
    """mIoU and spikes of a neuron in an inference at other numbers of time steps."""
    if isinstance(run.model, AnalogModel) or (options.on == "integers" and not exports(run)):
        return
    whose = "integer_" if options.on == "integers" else ""
    for count in options.steps:
        found = _at(run, options, steps=count)
        network = _net(run).network if options.on == "integers" else run.network
        yield row(f"{whose}miou", 100 * found.miou, steps=count)
        yield row(f"{whose}spikes", _spikes(network, found), steps=count)


def integers(run: Run, options: o.IntegersOptions) -> Iterable[Row]:
    """The exported network on test data, and how many values differ on Lava."""
    if not exports(run):
        return
    from lavaseg import deploy
    from lavaseg.results.energy import account

    floats = _evaluated(run)
    net = _net(run, options.finetune)
    found = _integers_at(run, net, options.finetune)
    yield row("integer_miou", 100 * found.miou)
    yield row("integer_accuracy", 100 * found.accuracy)
    yield row("rounding_loss", 100 * (floats.miou - found.miou))
    yield row("integer_spikes", _spikes(net.network, found))
    work = account(net.network, found.counts, found.samples, found.steps)
    yield row("operations", work.synaptic_operations)
    if options.verify:
        count = min(options.verify, len(run.data.test))
        stimuli = [run.data.test[index][0] for index in range(count)]
        verdict = deploy.verify(net, stimuli, progress=False)
        yield row("differing", sum(line.differing for line in verdict.rows))
        yield row("compared", sum(line.compared for line in verdict.rows))


def _integers_at(run: Run, net: IntegerNetwork, kept: bool) -> Evaluation:
    """The exported network on the whole test set; that of the run's own file stays there."""
    from lavaseg import deploy

    if not kept:
        return deploy.evaluate(net, run.data.test, ignore_index=run.ignore_index, progress=False)
    file = run.files.net_evaluation
    return file.load() if file.current() else deploy.evaluate(run, progress=False)


def exports(run: Run) -> bool:
    """Whether a run's network becomes integers."""
    from lavaseg.export.lowering import deployed

    if isinstance(run.model, AnalogModel):
        return False
    try:
        deployed(run.model)
    except LavasegError:
        return False
    return True


def _evaluated(run: Run) -> Evaluation:
    """The float network on the whole test set, evaluated once."""
    from lavaseg import training

    kept = run.files.evaluation
    return kept.load() if kept.current() else training.evaluate(run, progress=False)


def _net(run: Run, finetune: bool = True) -> IntegerNetwork:
    """The exported network; that of another way of rounding does not take its place."""
    from lavaseg import export
    from lavaseg.netx import read

    if finetune:
        return run.net() if run.files.net.current() else export.export(run, progress=False)
    path = run.files.net.path.with_name("rounded.net")
    weights = run.files.weights.path
    if path.exists() and path.stat().st_mtime_ns >= weights.stat().st_mtime_ns:
        return read(path)
    return export.export(run, path, finetune=False, progress=False)


def _at(
    run: Run,
    options: o.NoiseOptions | o.StepsOptions,
    noise: object = None,
    steps: int | None = None,
) -> Evaluation:
    """An evaluation of the network that the options name, under conditions."""
    from lavaseg import deploy, training

    given = {"limit": options.limit, "noise": noise, "steps": steps, "progress": False}
    if options.on == "integers":
        return deploy.evaluate(
            _net(run),
            run.data.test,
            ignore_index=run.ignore_index,
            **given,  # type: ignore[arg-type]
        )
    if noise is None and steps is None and options.limit is None:
        return _evaluated(run)
    return training.evaluate(run, **given)  # type: ignore[arg-type]


def _firing(network: Network, found: Evaluation) -> dict[str, float]:
    """Spikes of a neuron in an inference, of the input and each population that can fire."""
    silent = {p.name for p in network.populations if p.threshold is None}
    return {name: rate for name, rate in found.rates.items() if name not in silent}


def _spikes(network: Network, found: Evaluation) -> float:
    """Spikes of a neuron in an inference, over all neurons that can fire, the input left out."""
    names = _firing(network, found).keys() - {network.input.name}
    counts = [count for name, count in found.spikes.items() if name in names]
    neurons = sum(count.size for count in counts)
    return float(sum(np.sum(count) for count in counts) / (neurons * found.samples))
