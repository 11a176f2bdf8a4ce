"""Figures of a report as data URIs, which the page holds itself."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib
from matplotlib.figure import Figure

from lavaseg.models.analog import AnalogModel
from lavaseg.report import plots
from lavaseg.report.chips import chip_map, svg
from lavaseg.report.contents import ReportData


def figures(data: ReportData) -> dict[str, str]:
    """Data URIs of all figures for which there are data; no `matplotlibrc` changes them."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        return _figures(data)


def _figures(data: ReportData) -> dict[str, str]:
    figures: dict[str, str] = {}
    if data.examples is not None:
        e = data.examples
        figure = plots.prediction_grid(
            e.pictures,
            e.truths,
            e.predictions,
            data.classes,
            ignore_index=e.ignore_index,
            colours=data.colours,
        )
        figures["examples"] = _embedded(figure, "png")
    if data.over_steps is not None:
        o = data.over_steps
        figure = plots.prediction_grid(
            o.pictures,
            o.truths,
            o.rows,
            data.classes,
            ignore_index=o.ignore_index,
            colours=data.colours,
        )
        figures["over_steps"] = _embedded(figure, "png")
    if data.coded:
        figures["code"] = _embedded(plots.rate_code(data.coded), "png")
    if data.maps:
        figures["maps"] = _embedded(plots.spike_maps(data.maps), "png")
    if data.membranes:
        others = {other.title: other.membranes for other in data.comparisons}
        figures["membranes"] = _embedded(plots.membrane_histograms(data.membranes, others))
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
    if data.chip is not None and data.chip.placed:
        figures["chips"] = _embedded(chip_map(data.chip))
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
        {"validation": miou} if miou else {},
        best=max(miou, key=lambda epoch: miou[epoch]) if miou else None,
    )


def _embedded(figure: Figure, kind: Literal["svg", "png"] = "svg") -> str:
    """The figure as a data URI."""
    if kind == "png":
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
        mime, content = "image/png", buffer.getvalue()
    else:
        mime, content = "image/svg+xml", svg(figure)
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
