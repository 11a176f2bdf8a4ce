"""Figures by layer, of several networks: spike rates and energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.report import plots
from lavaseg.report.drawings.ask import Ask, is_artificial
from lavaseg.report.sources import RunSource, Source, Wanted
from lavaseg.results.energy import AC_PJ, MAC_PJ, describe


def rates(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """R_s of each layer: spikes of a neuron in one inference."""
    values = {}
    kept = all_kept(sources, ask.wanted)
    for source in sources:
        counts, samples, title = spike_totals(source, ask.wanted, kept=kept)
        names = source.chosen(ask.layers, source.firing)
        values[title] = {
            name: float(counts[name].sum() / (counts[name].size * samples)) for name in names
        }
    _check_titles(values, sources)
    return plots.by_layer(values, "spikes per neuron and inference, R_s")


def all_kept(sources: Sequence[Source], wanted: Wanted) -> bool:
    """Whether every source keeps an evaluation on all test data, and nothing else is asked for.

    Only then are these compared: networks that stand in one figure see the same number of samples.
    """
    if wanted.inputs or wanted.steps is not None or wanted.seed is not None or wanted.chosen:
        return False
    for source in sources:
        found = source.evaluation()
        if found is None or not set(source.shapes) <= set(found.spikes):
            return False
    return True


def spike_totals(
    source: Source, wanted: Wanted, *, kept: bool = False
) -> tuple[dict[str, np.ndarray], int, str]:
    """Spikes of each neuron over samples and steps, (C, h, w) each; their number; a title.

    Args:
        kept: take the evaluation on all test data, which is there (`all_kept`); else run samples.
    """
    names = list(source.shapes)
    if kept and (evaluation := source.evaluation()) is not None:
        spikes = evaluation.spikes
        counts = {name: spikes[name] for name in names}
        return counts, evaluation.samples, f"{source.title} ({evaluation.samples:,} test samples)"
    seen = source.scenes(wanted)
    found: dict[str, np.ndarray] = {}
    for sheets in source.spikes(names, seen, wanted):
        for name, sheet in sheets.items():
            count = source.fired(name, sheet).sum(0, dtype=np.int64)
            found[name] = found[name] + count if name in found else count
    several = f"{len(seen.numbers)} sample{'s' if len(seen.numbers) > 1 else ''}"
    return found, len(seen.numbers), f"{source.title} ({several})"


def _check_titles(values: dict[str, dict[str, float]], sources: Sequence[Source]) -> None:
    if len(values) < len(sources):
        raise LavasegError("two sources have the same title: give titles that tell them apart")


def energy(sources: Sequence[Source], ask: Ask) -> plots.Figure:
    """Energy of each layer as Kim et al. 2022 count it."""
    values: dict[str, dict[str, float]] = {}
    kept = all_kept([source for source in sources if not is_artificial(source)], ask.wanted)
    for source in sources:
        if isinstance(source, RunSource) and isinstance(source.run.model, AnalogModel):
            sheets = source.run.model.sheets
            values[source.title] = {n: MAC_PJ * macs for n, (_, _, macs) in sheets.items() if macs}
            continue
        counts, samples, title = spike_totals(source, ask.wanted, kept=kept)
        steps = ask.wanted.steps or source.steps
        layers = describe(source.described(counts), counts, samples, steps).layers
        spent: dict[str, float] = {}
        for layer in layers:
            spent[layer.target] = spent.get(layer.target, 0) + AC_PJ * layer.macs * layer.own
        values[title] = spent
    _check_titles(values, sources)
    most = max((value for found in values.values() for value in found.values()), default=0.0)
    unit, scale = next(
        ((unit, scale) for unit, scale in (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)) if most >= scale),
        ("pJ", 1.0),
    )
    scaled = {n: {k: v / scale for k, v in found.items()} for n, found in values.items()}
    return plots.by_layer(
        scaled,
        f"energy of one sample [{unit}]",
        "estimates by Kim et al.'s formula, not measured",
    )
