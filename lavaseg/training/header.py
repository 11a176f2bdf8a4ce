"""What is about to be trained, in a few lines: network, parameters, data, device, memory."""

from __future__ import annotations

from lavaseg.data.base import DataSet, Samples
from lavaseg.events import Events
from lavaseg.kernels.devices_torch import devices_of
from lavaseg.models.analog import AnalogModel
from lavaseg.network import Network, Population
from lavaseg.recipes import Training
from lavaseg.runs import Run
from lavaseg.system.limits import free_memory, gigabytes, resident_memory
from lavaseg.system.shown import by
from lavaseg.system.words import counted
from lavaseg.training.footprint import LIBRARIES, working_memory
from lavaseg.training.resuming import surroundings

KEY = 12
"""Columns in front of what each line says."""
_NAMED = 12
"""Classes that are named; of more, the first ones."""


def header(
    run: Run, data_set: DataSet, training: Samples, validation: Samples | None, finished: int = 0
) -> list[str]:
    """The lines, each of which begins with what it is about, `KEY` columns wide.

    Args:
        training, validation: the samples as they are divided; None: nothing is held out.
        finished: epochs that are trained already.
    """
    plan = run.recipe.training
    size = min(plan.batch_size, len(training))
    batches = len(training) // size  # what does not fill the last one waits for another epoch
    more = f", {finished} of them done" if finished else ""
    chosen = devices_of(run.recipe.machine.device, run.recipe.machine.devices)
    device = surroundings(chosen)
    each = " each" if run.recipe.machine.devices > 1 else ""
    threads = f"{counted(device['threads'], 'thread')}{each}"
    where = f"{device['device'].replace('cpu', 'CPU')}, {threads}"
    facts = {
        "network": _network(run),
        "parameters": _parameters(run),
        "data": _data(run, data_set, training, validation),
        "classes": _classes(run),
        "training": f"{counted(plan.epochs, 'epoch')}{more} of "
        f"{counted(batches, 'batch', 'batches')} of {counted(size, 'sample')}{_summed(plan)}",
        "device": where,
        "memory": _memory(run, chosen.kind == "cuda"),
    }
    return [f"{key:<{KEY}}{fact}" for key, fact in facts.items()]


def _summed(plan: Training) -> str:
    """What a step of the optimiser is, where it is not a batch in float32."""
    several = f", {plan.accumulate} to a step" if plan.accumulate > 1 else ""
    return several + (f", {plan.precision}" if plan.precision != "float32" else "")


def _network(run: Run) -> str:
    model, name = run.model, run.recipe.model.name
    if isinstance(model, AnalogModel):
        layers = counted(len(model.layers), "layer")
        return f"{name}, artificial, {layers} with weights, {model.macs():,} MACs a sample"
    firing = [p for p in model.populations if p.threshold is not None]
    neurons = sum(model.neurons(p.name) for p in model.populations)
    steps = run.recipe.encoder_object.steps
    return (
        f"{name}, {counted(len(firing), 'spiking layer')}{_levels(firing)}, {neurons:,} neurons, "
        f"T={steps}"
    )


def _levels(firing: list[Population]) -> str:
    """How far integer neurons count."""
    found = sorted({p.levels for p in firing if p.levels is not None})
    return f" of {' or '.join(map(str, found))} levels" if found else ""


def _parameters(run: Run) -> str:
    """As many as the report says, and those that it does not count."""
    model = run.model
    total = model.parameter_count(run.recipe.encoder_object.steps)
    if not isinstance(model, Network):
        return f"{total:,}, as the report counts them"
    weights = model.weight_count()
    found = f"{total:,} ({weights:,} weights, {total - weights:,} of norms and biases)"
    if delays := learned_delays(model):
        return f"{found}; the report counts them without {delays:,} delays of channels"
    return found


def learned_delays(network: Network) -> int:
    """Delays of channels that training learns, which are no parameters of the description."""
    return sum(network.shape(p.source)[0] for p in network.projections if p.learns)


def _data(run: Run, data_set: DataSet, training: Samples, validation: Samples | None) -> str:
    parts = {"train": training, "validation": validation, "test": data_set.test}
    sizes = ", ".join(f"{part} {len(found):,}" for part, found in parts.items() if found)
    events = isinstance(data_set.test[0][0], Events)
    kind = "recordings" if events else "pictures"
    seen = run.model.input.shape
    coded = "" if seen == run.picture_shape else f", which the network sees as {by(seen)}"
    return f"{data_set.name}: {sizes} {kind} of {by(run.picture_shape)}{coded}"


def _classes(run: Run) -> str:
    names = ", ".join(run.classes[:_NAMED]) + ", ..." * (len(run.classes) > _NAMED)
    ignored = "" if run.ignore_index is None else f"; {run.ignore_index} does not count"
    return f"{len(run.classes)}: {names}{ignored}"


def _memory(run: Run, on_gpu: bool) -> str:
    """What training is expected to take; on a CPU with what the process has by now."""
    needed = working_memory(run)
    if on_gpu:
        return f"about {gigabytes(needed)} on the device, estimated from the graph"
    taken, free = resident_memory() or 0, free_memory()
    found = f"about {gigabytes(needed + taken + LIBRARIES)}, estimated from the graph"
    return found if free is None else f"{found}; {gigabytes(free + taken)} are there"
