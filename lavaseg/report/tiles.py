"""Tiles of a report: its headline figures at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lavaseg.deploy.backends import RUNTIMES
from lavaseg.models.analog import AnalogModel
from lavaseg.network.levels import integer_neurons
from lavaseg.report.contents import ReportData
from lavaseg.report.wording import (
    against_the_ann,
    energy_range,
    format_count,
    format_percent,
    format_points,
)
from lavaseg.results.evaluation import Evaluation
from lavaseg.system.words import counted


@dataclass(frozen=True)
class Tile:
    """One headline figure; `state` colours it, and `note` says the same in words."""

    label: str
    value: str
    note: str
    state: Literal["good", "bad", "missing", "plain"] = "plain"


def tiles(data: ReportData) -> list[Tile]:
    """The tiles of a spiking network, or those of an artificial one."""
    parameters = format_count(data.parameters)
    if isinstance(data.network, AnalogModel):
        (estimate,) = data.estimates
        return [
            _miou_tile("mIoU, artificial network", data.trained, data.trained_at_labels),
            Tile("energy estimate of one sample", energy_range(estimate), "45 nm, arithmetic only"),
            Tile("parameters", parameters, f"{format_count(data.network.macs())} MACs a sample"),
        ]
    neurons = sum(data.network.neurons(p.name) for p in data.network.populations)
    slots = ", slots one by one" if integer_neurons(data.network) else ""
    return [
        _miou_tile("mIoU, exported integer network", data.exported, data.exported_at_labels),
        _miou_tile("mIoU, float network", data.trained, data.trained_at_labels),
        _cost_tile(data.quantisation_cost),
        _verification_tile(data.verification),
        _energy_tile(data),
        Tile(
            "parameters",
            parameters,
            f"{format_count(neurons)} neurons{slots}, {counted(data.steps, 'time step')}",
        ),
    ]


def _miou_tile(label: str, evaluation: Evaluation | None, at_labels: Evaluation | None) -> Tile:
    """The mIoU at the size of the samples, and what it is at that of the label files, if known."""
    if evaluation is None:
        return Tile(label, "–", "not evaluated yet", "missing")
    note = f"{format_count(evaluation.samples)} samples, dataset-level confusion matrix"
    note += ", at the size that the network sees"
    if at_labels is not None:
        note += f"; {format_percent(at_labels.miou)} at the size of the label files"
    return Tile(label, format_percent(evaluation.miou), note)


def _cost_tile(cost: float | None) -> Tile:
    label = "quantisation cost"
    if cost is None:
        return Tile(label, "–", "needs both evaluations", "missing")
    return Tile(label, format_points(cost), "mIoU of float minus integer network")


def _verification_tile(verification: Mapping[str, Any] | None) -> Tile:
    label = "spikes on Lava as trained"
    if verification is None:
        return Tile(label, "not verified", "run lavaseg verify", "missing")
    if not verification["ok"]:
        return Tile(label, "✗ different", "the first difference is named below", "bad")
    backends = dict.fromkeys(row["backend"] for row in verification["rows"])
    if not any(name in RUNTIMES for name in backends):
        compared = ", ".join(backends) or "nothing"
        return Tile(label, "not verified", f"compared: {compared}, not Lava", "missing")
    note = f"every population, step and neuron: {', '.join(backends)}"
    return Tile(label, "✓ identical", note, "good")


def _energy_tile(data: ReportData) -> Tile:
    label = "energy estimate of one sample"
    if not data.estimates:
        note = "not counted, see below" if data.uncounted else "no measured spikes yet"
        return Tile(label, "–", note, "missing")
    estimate = data.estimates[0]
    note = "45 nm, arithmetic only"
    if data.energy is None:
        note = f"{estimate.title}, {note}"
    if estimate.ratio is not None:
        note = f"{against_the_ann(estimate)} of the same shape; {note}"
    return Tile(label, energy_range(estimate), note)
