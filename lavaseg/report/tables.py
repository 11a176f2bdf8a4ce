"""Tables of a report: rows of text for layers, roundings, classes, energies and verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lavaseg.models.analog import AnalogModel
from lavaseg.network import Network, Population
from lavaseg.network.levels import refolded
from lavaseg.report.contents import ReportData
from lavaseg.report.plots import class_colours
from lavaseg.report.wording import (
    against_the_ann,
    energy_range,
    format_count,
    format_percent,
)
from lavaseg.results.chip import chip_conditions, chip_rows
from lavaseg.results.energy import Estimate
from lavaseg.results.levels import LevelView
from lavaseg.results.rounding import Calibrated, Fit


def layer_rows(data: ReportData) -> list[dict[str, str]]:
    """One row a node, from the input to the read-out; '–' where it was not measured.

    Integer neurons are one row, whose threshold is the distance between levels.
    """
    net, energy = data.network, data.energy
    if isinstance(net, AnalogModel):
        return []
    rates = data.evaluation.rates_per_step if data.evaluation else {}
    counted = {p.name for p in energy.populations} if energy else set()
    kind = "input, graded" if net.input.graded else "input"
    view, shown = LevelView.of(net), refolded(net)
    rows = [_node_row(net, net.input.name, kind, "–", rates)]
    for node in shown.ordered:
        if isinstance(node, Population):
            threshold = "never fires" if node.threshold is None else f"{node.threshold:g}"
            operators = ", ".join(p.operator.kind for p in shown.incoming(node.name))
            if node.levels is not None:
                operators += f"; {node.levels} levels"
        else:
            threshold, operators = "–", "current"
        row = _node_row(shown, node.name, operators.replace("_", " "), threshold, rates)
        if isinstance(node, Population) and node.threshold is None:
            row["rate"] = "–"
        if energy is not None and view.members(node.name)[0] in counted:
            received = view.operations_into(energy, node.name)
            share = received / energy.synaptic_operations if energy.synaptic_operations else 0.0
            row |= {"operations": format_count(round(received)), "share": format_percent(share)}
        rows.append(row)
    return rows


def _node_row(
    network: Network, name: str, kind: str, threshold: str, rates: Mapping[str, float]
) -> dict[str, str]:
    """The row of one node, without its operations."""
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


def projection_rows(data: ReportData) -> list[dict[str, Any]]:
    """The operations of each projection, as `EnergyAccount.rows`; those with shared weights as one.

    Numbers of such a row are sums.
    """
    network = data.counted or data.network
    if data.energy is None or isinstance(network, AnalogModel):
        return []
    stored = {p.name: p.stored_as for p in network.projections}
    found: dict[str, dict[str, Any]] = {}
    for row in data.energy.rows():
        name = stored.get(row["projection"], row["projection"])
        before = found.setdefault(name, {**row, "projection": name})
        if before["projection"] != row["projection"]:
            for figure in ("source_spikes", "synapses", "operations", "dense_macs"):
                before[figure] += row[figure]
    return list(found.values())


def _rounding(fit: Fit) -> str:
    """How the weights of a population that reads the input are rounded."""
    if fit.compensated:
        return "compensated"
    return "diffused" if fit.diffused else "to the nearest"


def fit_rows(calibrated: Calibrated | None) -> list[dict[str, str]]:
    """One row a population that calibration rounds otherwise."""
    return [
        {
            "name": fit.population,
            "threshold": " → ".join("–" if t is None else str(t) for t in (fit.before, fit.after)),
            "clipped": f"{format_count(fit.clipped)} of {format_count(fit.values)}",
            "diffused": _rounding(fit),
            "before": "–" if fit.error_before is None else format_percent(fit.error_before, 2),
            "after": format_percent(fit.error_after, 2),
        }
        for fit in (calibrated.fits if calibrated else ())
    ]


def class_rows(data: ReportData) -> list[dict[str, str]]:
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
            zip(data.classes, class_colours(data.classes, data.colours), strict=True)
        )
    ]


def estimate_row(estimate: Estimate) -> dict[str, str]:
    """The row of one energy."""
    return {
        "title": estimate.title,
        "energy": energy_range(estimate),
        "ratio": "–" if estimate.ratio is None else against_the_ann(estimate),
        "definition": estimate.definition,
        "source": estimate.source,
    }


def board_table(profile: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a board measured: conditions, rows, and a remark or ""."""
    if profile is None:
        return None
    remark = profile["derived"].get("remark", "")
    return {
        "conditions": chip_conditions(profile),
        "rows": chip_rows(profile),
        "remark": remark,
    }


def verified_rows(verification: Mapping[str, Any] | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows of the verdict by population, then backend."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    rows = verification or {"rows": ()}
    for row in rows.get("populations") or rows["rows"]:
        table.setdefault(row["population"], {})[row["backend"]] = row
    return table
