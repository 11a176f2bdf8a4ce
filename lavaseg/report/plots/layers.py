"""Figures by layer: spike rates of one network, and a quantity of several networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.report.plots.style import (
    BLUE,
    INK,
    LETTER,
    MARKERS,
    SERIES,
    Figure,
    dress,
    without_formulas,
)


def spike_rates(rates: Mapping[str, float]) -> Figure:
    """Spikes per neuron and step of each population, in percent.

    Args:
        rates: spikes per neuron and step (0 .. 1) of each population, from input to read-out.
    """
    if not rates:
        raise LavasegError("there are no spike rates to draw")
    figure = Figure(figsize=(9.0, 0.36 * len(rates) + 1.1), layout="constrained")
    axes = figure.subplots()
    percent = [100 * rate for rate in rates.values()]
    bars = axes.barh(list(rates), percent, color=BLUE, height=0.66)
    axes.bar_label(bars, [f"{value:.2f} %" for value in percent], padding=4, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, max(max(percent) * 1.14, 0.1))
    axes.set_title("spike rate of each population", fontsize=10, loc="left", color=INK)
    axes.set_xlabel("spikes per neuron and step [%]", fontsize=9)
    dress(axes, grid="x")
    return figure


def by_layer(values: Mapping[str, Mapping[str, float]], label: str, title: str = "") -> Figure:
    """A quantity of each layer, a line for each network: Kim et al. 2022, figure 14.

    Args:
        values: for each network, by the name that the legend shows, the quantity of each layer
            from input to read-out. Layers are told by their names; networks need not share them.
        label: what is drawn, with its unit.
        title: above the figure.

    Raises:
        LavasegError: there is nothing to draw.
    """
    layers = in_one_order([list(found) for found in values.values()])
    if not layers:
        raise LavasegError("there are no layers to draw")
    place = {name: index for index, name in enumerate(layers)}
    longest = max(map(len, layers))
    tilted = longest * LETTER > 0.45
    width = max(7.0, 0.9 + (0.27 if tilted else 0.55) * len(layers))
    height = 3.2 + (min(longest, 40) * LETTER * 0.8 if tilted else 0.2)
    height += 0.22 * ((len(values) + 1) // 2)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for number, (name, found) in enumerate(values.items()):
        style = ("-", "--", ":", "-.")[number // len(SERIES) % 4]
        axes.plot(
            [place[layer] for layer in found],
            list(found.values()),
            linestyle=style,
            marker=MARKERS[number % len(MARKERS)],
            color=SERIES[number % len(SERIES)],
            linewidth=1.5,
            markersize=5,
            label=name,
        )
    axes.set_xticks(
        np.arange(len(layers)),
        layers,
        rotation=55 if tilted else 0,
        ha="right" if tilted else "center",
        rotation_mode="anchor" if tilted else "default",
    )
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(label, fontsize=9)
    axes.set_xlabel("layer, from input to read-out", fontsize=9)
    if title:
        axes.set_title(title, fontsize=10, loc="left", color=INK)
    dress(axes)
    without_formulas(axes.get_xticklabels())
    if len(values) > 1 or "" not in values:
        legend = figure.legend(
            loc="outside upper right", ncols=min(len(values), 2), frameon=False, fontsize=8.5
        )
        without_formulas(legend.get_texts())
    return figure


def in_one_order(lists: Sequence[Sequence[str]]) -> list[str]:
    """All names in one order that keeps, as far as it can, that of each list."""
    found: list[str] = []
    for names in lists:
        after = 0
        for name in names:
            if name in found:
                after = found.index(name) + 1
            else:
                found.insert(after, name)
                after += 1
    return found
