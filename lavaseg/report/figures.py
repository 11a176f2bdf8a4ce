"""Figures of a report as data URIs, which the page holds itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lavaseg.models.analog import AnalogModel
from lavaseg.report import plots
from lavaseg.report.chips import chip_map
from lavaseg.report.contents import ReportData
from lavaseg.report.embedding import embedded

PANELS = 12
"""Most populations whose histograms are drawn with lines, which take more bytes than dots."""


def figures(data: ReportData) -> dict[str, str]:
    """Data URIs of all figures for which there are data; no `matplotlibrc` changes them."""
    with plots.own_style():
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
        figures["examples"] = embedded(figure, "png")
    if data.coded:
        figures["code"] = embedded(plots.rate_code(data.coded), "png")
    if data.maps:
        figures["maps"] = embedded(plots.spike_maps(data.maps), "png")
    if data.membranes:
        figures["membranes"] = embedded(
            plots.membrane_histograms(data.membranes),
            "svg" if len(data.membranes) <= PANELS else "png",
        )
    if data.evaluation is not None and not isinstance(data.network, AnalogModel):
        silent = {p.name for p in data.network.populations if p.threshold is None}
        rates = data.evaluation.rates_per_step
        names = data.evaluation.view.folded(data.network.shapes)
        shown = {name: rates[name] for name in names if name in rates}
        figures["rates"] = embedded(
            plots.spike_rates({k: v for k, v in shown.items() if k not in silent})
        )
    if data.chip is not None and data.chip.placed:
        figures["chips"] = embedded(chip_map(data.chip))
    if data.history:
        figures["training"] = embedded(_training_figure(data.history))
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
