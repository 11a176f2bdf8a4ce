"""Report data to one HTML page: figures inline, no request to anywhere."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from lavaseg.models.analog import AnalogModel
from lavaseg.network import Current, Network, Population
from lavaseg.report import plots
from lavaseg.results.energy import EnergyAccount, Estimate, account, artificial, format_energy
from lavaseg.results.metrics import Evaluation


@dataclass(frozen=True)
class Examples:
    """A few pictures with truth and prediction.

    Args:
        pictures: uint8 (N, C, H, W).
        truths, predictions: class ids (N, H, W).
        predicted_by: which network made the predictions, in words.
        ignore_index: label that does not count, or None.
    """

    pictures: np.ndarray
    truths: np.ndarray
    predictions: np.ndarray
    predicted_by: str
    ignore_index: int | None = None


@dataclass(frozen=True)
class Comparison:
    """Another run, to see what one setting changed.

    Args:
        title: what tells it from the run of the report, such as "without RMP".
        trained, exported: evaluations of its float and its integer network, where there are.
        membranes: histogram of each population.
    """

    title: str
    trained: Evaluation | None = None
    exported: Evaluation | None = None
    membranes: Mapping[str, plots.Histogram] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportData:
    """All that the page shows. What is None or empty is said to be missing, with the remedy.

    Args:
        title: of the experiment; name: of its recipe.
        network: what was evaluated: as exported (thresholds are integers), else as trained; or
            an artificial network.
        classes: class names.
        steps: logical time steps T of one sample.
        paper: what it reproduces; data_source: where the data came from.
        encoder: `Encoder.to_dict()`.
        parameters: that training learned, norms and biases included.
        trained, exported: evaluations of the float and of the exported integer network.
        verification: `Verdict.to_dict()`: ok, rows, first_difference.
        membranes: histogram of each population's membranes, in units of its threshold.
        history: one row an epoch, as in metrics.csv.
        recipe: as YAML.
        environment: name -> version or value.
        notes: what was left out and why, shown at the top.
    """

    title: str
    network: Network | AnalogModel
    classes: tuple[str, ...]
    steps: int
    name: str = ""
    paper: str = ""
    data_source: str = ""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0
    trained: Evaluation | None = None
    exported: Evaluation | None = None
    verification: Mapping[str, Any] | None = None
    examples: Examples | None = None
    membranes: Mapping[str, plots.Histogram] = field(default_factory=dict)
    comparison: Comparison | None = None
    history: Sequence[Mapping[str, float]] = ()
    recipe: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation to show: the exported network's, else the float one's."""
        return self.exported or self.trained

    @property
    def artificial(self) -> AnalogModel | None:
        """The network, if it is artificial."""
        return self.network if isinstance(self.network, AnalogModel) else None

    @cached_property
    def energy(self) -> EnergyAccount | None:
        """The account of that evaluation; None where spikes were not measured on this graph."""
        found = self.evaluation
        if isinstance(self.network, AnalogModel):
            return None
        unrolled = not any(isinstance(node, Current) for node in self.network.nodes)
        if found is None or not unrolled:
            return None
        return account(self.network, found.counts, found.samples, found.steps)

    @property
    def quantisation_cost(self) -> float | None:
        """mIoU points that the integer network lost to the float one (negative: gained)."""
        return quantisation_cost(self.trained, self.exported)


def quantisation_cost(trained: Evaluation | None, exported: Evaluation | None) -> float | None:
    """mIoU points lost between two evaluations; None unless both are there."""
    if trained is None or exported is None:
        return None
    return 100 * (trained.miou - exported.miou)


def render(data: ReportData) -> str:
    """The page as one HTML string; everything from users is escaped."""
    environment = Environment(
        loader=PackageLoader("lavaseg.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "count": format_count,
        "percent": format_percent,
        "points": format_points,
        "value": _cell,
    }
    page = environment.get_template("report.html")
    return page.render(
        data=data,
        tiles=_tiles(data),
        layers=_layers(data),
        class_rows=_class_rows(data),
        compared=_compared(data),
        energies=[_energy_row(estimate) for estimate in _estimates(data)],
        verified=_verified(data.verification),
        figures=_figures(data),
    )


# --------------------------------------------------------------------------------------------
# Headline


@dataclass(frozen=True)
class Tile:
    """One headline figure; `state` colours it, and `note` says the same in words."""

    label: str
    value: str
    note: str
    state: Literal["good", "bad", "missing", "plain"] = "plain"


def _estimates(data: ReportData) -> tuple[Estimate, ...]:
    if data.artificial is not None:
        return (artificial(data.artificial.macs()),)
    return data.energy.estimates() if data.energy else ()


def _tiles(data: ReportData) -> list[Tile]:
    parameters = format_count(data.parameters)
    if isinstance(data.network, AnalogModel):
        (estimate,) = _estimates(data)
        return [
            _miou_tile("mIoU, artificial network", data.trained, "not evaluated yet"),
            Tile("energy estimate of one sample", _energy(estimate), "45 nm, arithmetic only"),
            Tile("parameters", parameters, f"{format_count(data.network.macs())} MACs a sample"),
        ]
    neurons = sum(data.network.neurons(p.name) for p in data.network.populations)
    return [
        _miou_tile("mIoU, exported integer network", data.exported, "not evaluated yet"),
        _miou_tile("mIoU, float network", data.trained, "not evaluated yet"),
        _cost_tile(data.quantisation_cost),
        _verification_tile(data.verification),
        _energy_tile(data),
        Tile("parameters", parameters, f"{format_count(neurons)} neurons, {data.steps} time steps"),
    ]


def _miou_tile(label: str, evaluation: Evaluation | None, missing: str) -> Tile:
    if evaluation is None:
        return Tile(label, "–", missing, "missing")
    return Tile(
        label,
        format_percent(evaluation.miou),
        f"{format_count(evaluation.samples)} samples, dataset-level confusion matrix",
    )


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
    if not any(name.startswith("lava") for name in backends):
        compared = ", ".join(backends) or "nothing"
        return Tile(label, "not verified", f"compared: {compared}, not Lava", "missing")
    note = f"every population, step and neuron: {', '.join(backends)}"
    return Tile(label, "✓ identical", note, "good")


def _energy_tile(data: ReportData) -> Tile:
    label = "energy estimate of one sample"
    if data.energy is None:
        return Tile(label, "–", "no measured spikes yet", "missing")
    estimate = data.energy.estimates()[0]
    note = "45 nm, arithmetic only"
    if estimate.ratio is not None:
        note = f"{_ratio(estimate)} of the same shape; {note}"
    return Tile(label, _energy(estimate), note)


# --------------------------------------------------------------------------------------------
# Tables


def _layers(data: ReportData) -> list[dict[str, str]]:
    """One row a node, from the input to the read-out; '–' where it was not measured."""
    net, energy = data.network, data.energy
    if isinstance(net, AnalogModel):
        return []
    rates = data.evaluation.rates_per_step if data.evaluation else {}
    kind = "input, graded" if net.input.message_bits > 1 else "input"
    rows = [_layer(net, net.input.name, kind, "–", rates)]
    for node in net.ordered:
        if isinstance(node, Population):
            threshold = "never fires" if node.threshold is None else f"{node.threshold:g}"
            operators = ", ".join(p.operator.kind for p in net.incoming(node.name))
        else:
            threshold, operators = "–", "current"
        row = _layer(net, node.name, operators.replace("_", " "), threshold, rates)
        if isinstance(node, Population) and node.threshold is None:
            row["rate"] = "–"
        if energy is not None:
            received = energy.operations_into(node.name)
            share = received / energy.synaptic_operations if energy.synaptic_operations else 0.0
            row |= {"operations": format_count(round(received)), "share": format_percent(share)}
        rows.append(row)
    return rows


def _layer(
    network: Network, name: str, kind: str, threshold: str, rates: Mapping[str, float]
) -> dict[str, str]:
    return {
        "name": name,
        "kind": kind,
        "shape": " × ".join(map(str, network.shape(name))),
        "neurons": format_count(network.neurons(name)),
        "threshold": threshold,
        "rate": format_percent(rates[name], 2) if name in rates else "–",
        "operations": "–",
        "share": "–",
    }


def _class_rows(data: ReportData) -> list[dict[str, str]]:
    """IoU of each class in the exported and in the float network."""
    exported, trained = (
        None if e is None else e.iou.tolist() for e in (data.exported, data.trained)
    )
    return [
        {
            "name": name,
            "colour": colour,
            "exported": "–" if exported is None else format_percent(exported[index]),
            "trained": "–" if trained is None else format_percent(trained[index]),
        }
        for index, (name, colour) in enumerate(
            zip(data.classes, plots.class_colours(len(data.classes)), strict=True)
        )
    ]


def _compared(data: ReportData) -> list[dict[str, str]]:
    """This run and the other, one row each."""
    if data.comparison is None:
        return []
    other = data.comparison
    found = (
        ("this run", data.trained, data.exported),
        (other.title, other.trained, other.exported),
    )
    rows = []
    for title, trained, exported in found:
        cost = quantisation_cost(trained, exported)
        rows.append(
            {
                "title": title,
                "trained": "–" if trained is None else format_percent(trained.miou, 2),
                "exported": "–" if exported is None else format_percent(exported.miou, 2),
                "cost": "–" if cost is None else format_points(cost),
            }
        )
    return rows


def _energy_row(estimate: Estimate) -> dict[str, str]:
    return {
        "title": estimate.title,
        "energy": _energy(estimate),
        "ratio": "–" if estimate.ratio is None else _ratio(estimate),
        "definition": estimate.definition,
        "source": estimate.source,
    }


def _ratio(estimate: Estimate) -> str:
    """The comparison with the artificial network, in words that cannot be read the wrong way."""
    ratio = estimate.ratio or 1.0
    if ratio >= 1:
        return f"{ratio:.3g} times less than the ANN"
    return f"{1 / ratio:.3g} times more than the ANN"


def _verified(verification: Mapping[str, Any] | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows of the verdict by population, then backend."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for row in verification["rows"] if verification else ():
        table.setdefault(row["population"], {})[row["backend"]] = row
    return table


# --------------------------------------------------------------------------------------------
# Figures


def _figures(data: ReportData) -> dict[str, str]:
    """Data URIs of all figures for which there are data."""
    figures: dict[str, str] = {}
    if data.examples is not None:
        e = data.examples
        figure = plots.prediction_grid(
            e.pictures, e.truths, e.predictions, data.classes, ignore_index=e.ignore_index
        )
        figures["examples"] = _embedded(figure, "png")
    if data.membranes:
        other = data.comparison
        figures["membranes"] = _embedded(
            plots.membrane_histograms(
                data.membranes,
                other.membranes if other else None,
                compare_label=other.title if other else "",
            )
        )
    if data.evaluation is not None and not isinstance(data.network, AnalogModel):
        silent = {p.name for p in data.network.populations if p.threshold is None}
        rates = data.evaluation.rates_per_step
        shown = {name: rates[name] for name in data.network.shapes if name in rates}
        figures["rates"] = _embedded(
            plots.spike_rates({k: v for k, v in shown.items() if k not in silent})
        )
    if data.evaluation is not None:
        figures["confusion"] = _embedded(
            plots.confusion_matrix(data.evaluation.confusion, data.classes)
        )
    if data.history:
        figures["training"] = _embedded(_training_figure(data.history))
    return figures


def _training_figure(history: Sequence[Mapping[str, float]]) -> Figure:
    """Curves from the rows of metrics.csv; the kept epoch has the best validation mIoU."""

    def curve(column: str) -> dict[int, float]:
        return {
            int(row["epoch"]): row[column]
            for row in history
            if math.isfinite(row.get(column, math.nan))
        }

    miou = curve("val_miou")
    loss = {"training": curve("loss"), "validation": curve("val_loss"), "RMP": curve("rmp")}
    return plots.training_curves(
        {name: values for name, values in loss.items() if values},
        {"validation": miou},
        best=max(miou, key=lambda epoch: miou[epoch]) if miou else None,
    )


def _embedded(figure: Figure, kind: Literal["svg", "png"] = "svg") -> str:
    """The figure as a data URI."""
    buffer = io.BytesIO()
    if kind == "png":
        figure.savefig(buffer, format="png", dpi=150)
        mime = "image/png"
    else:
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
        mime = "image/svg+xml"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


# --------------------------------------------------------------------------------------------
# Numbers in words


def format_count(number: float) -> str:
    """A whole number in groups of three: '1 234 567' (narrow no-break spaces)."""
    return f"{number:,.0f}".replace(",", "\u202f")


def format_percent(fraction: float, digits: int = 1) -> str:
    """A fraction in percent: '95.3 %'; '–' for what is not a number."""
    return f"{100 * fraction:.{digits}f} %" if math.isfinite(fraction) else "–"


def format_points(points: float) -> str:
    """A difference of percentages: '0.31 points'."""
    return f"{points:.2f} points".replace("-", "−")


def _energy(estimate: Estimate) -> str:
    if estimate.picojoules is None:
        return "no figure"
    least, most = (format_energy(pj) for pj in estimate.picojoules)
    return least if least == most else f"{least} to {most}"


def _cell(value: Any) -> str:
    """A value of a verification row: whole numbers grouped, lists and the rest as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return format_count(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)
