"""The contents of a report, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lavaseg.chip import Mapping as ChipMapping
from lavaseg.chip import Prediction
from lavaseg.models.analog import AnalogModel
from lavaseg.network import Network
from lavaseg.network.reach import beyond_in_words
from lavaseg.report.animation import Spikes
from lavaseg.report.drawings import LabelsOverSteps
from lavaseg.report.plots import CodedSample, SpikeMaps
from lavaseg.results.energy import (
    DescribedWork,
    EnergyAccount,
    Estimate,
    account,
    artificial,
    describe,
    estimates,
    uncountable,
)
from lavaseg.results.evaluation import Evaluation
from lavaseg.results.membranes import Histogram
from lavaseg.results.rounding import Calibrated


@dataclass(frozen=True)
class Examples:
    """A few pictures with truth and prediction.

    Args:
        pictures: uint8 (N, C, H, W).
        truths, predictions: class ids (N, H, W).
        predicted_by: the network that made the predictions, in words.
        ignore_index: label that does not count, or None.
    """

    pictures: np.ndarray
    truths: np.ndarray
    predictions: np.ndarray
    predicted_by: str
    ignore_index: int | None = None


@dataclass(frozen=True)
class ReportData:
    """All that the page shows. Fields that are None or empty are named as missing, with the remedy.

    Args:
        title, name: titles of the experiment and of its recipe.
        network: the network that was evaluated: as exported (thresholds are integers), else as
            trained; or an artificial network.
        classes: class names.
        colours: of the classes, uint8 (K, 3); None: those that no data set gives.
        steps: logical time steps T of one sample.
        paper, data_source: the table that it reproduces, and the origin of the data.
        encoder: `Encoder.to_dict()`.
        parameters: number of parameters that training learned, norms and biases included.
        parameters_said: that number and the number of integers, and why they differ; "" before
            export.
        trained, exported: evaluations of the float and of the exported integer network.
        trained_at_labels, exported_at_labels: the same at the size of the label files.
        calibration: what calibration changed of the rounding, if scales were measured.
        verification: `Verdict.to_dict()`: ok, rows, first_difference.
        board: what a board with Loihi 2 measured of the exported network, if it ran on one.
        counted: the network in which the spikes of that evaluation are counted, if it is not
            `network` as it stands (`lavaseg.export.lowering.countable`).
        uncounted: the reason why they cannot be counted, or "".
        described: the description whose dense MACs papers would count, if it is not `network`
            (`lavaseg.export.lowering.described`).
        membranes: histogram of each population's membranes, in units of its threshold.
        maps: spikes of a few layers while they see the first test sample.
        animation: the same layers and the input for one sample, frame by frame.
        coded: what a rate code makes of the first test samples; none of other codes.
        over_steps: label maps of a few test samples after each step; None where T is 1.
        chip: how the exported network lies on Loihi 2.
        prediction: its time and energy there, from the spikes on the test set.
        history: one row an epoch, as in metrics.csv.
        recipe: as YAML.
        begun: the weights that training began with, in a sentence; "" if all were drawn.
        environment: name -> version or value.
        notes: sentences on parts that were left out, and why; shown at the top.
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
    parameters_said: str = ""
    trained: Evaluation | None = None
    exported: Evaluation | None = None
    trained_at_labels: Evaluation | None = None
    exported_at_labels: Evaluation | None = None
    calibration: Calibrated | None = None
    verification: Mapping[str, Any] | None = None
    board: Mapping[str, Any] | None = None
    counted: Network | None = None
    uncounted: str = ""
    described: Network | None = None
    examples: Examples | None = None
    membranes: Mapping[str, Histogram] = field(default_factory=dict)
    maps: Sequence[SpikeMaps] = ()
    animation: Spikes | None = None
    coded: Sequence[CodedSample] = ()
    over_steps: LabelsOverSteps | None = None
    chip: ChipMapping | None = None
    prediction: Prediction | None = None
    history: Sequence[Mapping[str, float]] = ()
    recipe: str = ""
    begun: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    colours: np.ndarray | None = None

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation to show: the exported network's, else the float one's."""
        return self.exported or self.trained

    @property
    def beyond(self) -> str:
        """What dilations that reach beyond their sheet do, in a sentence, or ""."""
        net = self.network
        found = net.description if isinstance(net, AnalogModel) else net
        return "" if found is None else beyond_in_words(found)

    @property
    def selected(self) -> bool:
        """Whether validation data selected the epoch that was kept."""
        return any("val_miou" in row for row in self.history)

    @property
    def artificial(self) -> AnalogModel | None:
        """The network, if it is artificial."""
        return self.network if isinstance(self.network, AnalogModel) else None

    @cached_property
    def energy(self) -> EnergyAccount | None:
        """The account of that evaluation; None where spikes were not measured on this graph."""
        found = self.evaluation
        if isinstance(self.network, AnalogModel) or found is None:
            return None
        network = self.counted or self.network
        if uncountable(network):
            return None
        return account(network, found.counts, found.samples, found.steps)

    @cached_property
    def work(self) -> DescribedWork | None:
        """The work of that evaluation as papers count it; None where there is none."""
        found = self.evaluation
        if isinstance(self.network, AnalogModel) or found is None:
            return None
        network = self.described or self.network
        return describe(network, found.counts, found.samples, found.steps)

    @cached_property
    def estimates(self) -> tuple[Estimate, ...]:
        """The energies to show; the first is the one to quote."""
        if self.artificial is not None:
            return (artificial(self.artificial.kim_macs()),)
        return estimates(self.work, self.energy) if self.work else ()

    @property
    def quantisation_cost(self) -> float | None:
        """mIoU points that the integer network lost to the float one (negative: gained)."""
        return quantisation_cost(self.trained, self.exported)


def quantisation_cost(trained: Evaluation | None, exported: Evaluation | None) -> float | None:
    """mIoU points lost between two evaluations; None unless both are there."""
    if trained is None or exported is None:
        return None
    return 100 * (trained.miou - exported.miou)
