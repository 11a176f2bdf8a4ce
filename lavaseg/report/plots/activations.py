"""Largest activations of layers, by channel and by place: what normalisation divides by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.report.plots.style import (
    BLUE,
    INK,
    ORANGE,
    Figure,
    dress,
    left_margin,
    row_label,
    sheet,
)


@dataclass(frozen=True)
class Activations:
    """The largest activation of each neuron of a layer over all samples.

    Args:
        largest: (C, H, W), not negative.
    """

    largest: np.ndarray

    @property
    def of_channels(self) -> np.ndarray:
        """Of each channel, divided by that of the layer, (C,); zeros in a layer of zeros."""
        return self._shares(self.largest.max((1, 2)))

    @property
    def of_places(self) -> np.ndarray:
        """Of each place, over channels, divided by that of the layer, (H, W)."""
        return self._shares(self.largest.max(0))

    def _shares(self, values: np.ndarray) -> np.ndarray:
        most = float(self.largest.max())
        return values / most if most > 0 else np.zeros(values.shape)


def activation_maxima(layers: Mapping[str, Activations], what: str, samples: int) -> Figure:
    """Normalised maximum activations by channel and by place: Kim et al. 2022, figure 4.

    Where they are uneven, a threshold that is normalised for a whole layer leaves many neurons
    with few spikes.

    Args:
        layers: from input to read-out.
        what: what an activation is, such as "activation" or "spikes in T = 20 steps".
        samples: over how many the largest was taken.

    Raises:
        LavasegError: there is nothing to draw.
    """
    if not layers:
        raise LavasegError("there are no activations to draw")
    labels = [
        f"{name}\n{' × '.join(map(str, found.largest.shape))}\nlargest {found.largest.max():.3g}"
        for name, found in layers.items()
    ]
    cell = (2.7, 1.35)
    made = sheet(
        len(layers),
        2,
        cell,
        left=left_margin(labels) + 0.35,
        top=0.65,
        bottom=0.3,
        gap=(0.35, 0.32),
        bar=True,
    )
    for row, (label, found) in enumerate(zip(labels, layers.values(), strict=True)):
        left, right = made.cells[row]
        ordered = np.sort(found.of_channels)[::-1]
        left.stairs(ordered, np.arange(len(ordered) + 1) + 0.5, fill=True, color=BLUE, alpha=0.75)
        left.axhline(ordered.mean(), color=ORANGE, linestyle="--", linewidth=1.2)
        left.set(xlim=(0.5, len(ordered) + 0.5), ylim=(0, 1.02), yticks=[0, 0.5, 1])
        ticks = sorted({1, len(ordered)})
        left.set_xticks(ticks, [str(tick) for tick in ticks])
        dress(left)
        row_label(left, label, beside_axis=True)
        image = right.imshow(
            found.of_places, cmap="cividis", vmin=0, vmax=1, interpolation="nearest"
        )
        right.set_anchor("E")
        bar = made.figure.colorbar(image, cax=made.bars[row])
        bar.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1"])
        bar.ax.tick_params(labelsize=7.5, colors=INK)
    made.cells[0, 0].set_title("by channel, largest first\n(dashed: mean)", fontsize=8.5, color=INK)
    made.cells[0, 1].set_title("by place, over channels", fontsize=8.5, color=INK)
    made.cells[-1, 0].set_xlabel("channel, in the order of size", fontsize=8.5, color=INK)
    made.figure.text(
        0.08 / made.figure.get_figwidth(),
        1 - 0.06 / made.figure.get_figheight(),
        f"largest {what} over {samples} sample{'s' if samples > 1 else ''}, divided by the layer's",
        fontsize=8.5,
        color=INK,
        va="top",
    )
    return made.figure
