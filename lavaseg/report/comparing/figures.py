"""The figures of one run or network in a comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.netx import stored_parameters
from lavaseg.report.comparing.subjects import Subject
from lavaseg.report.costs import Cost, cost
from lavaseg.results.energy import artificial
from lavaseg.runs.formats import Rows


@dataclass(frozen=True)
class Figures:
    """What tables show of one subject; nan or None where it is not known.

    Args:
        trained, exported: mIoU of the float network and of the integers, 0 .. 1.
        cost: operations and energies of one sample; of the integers, else of the float network.
        costs_of: "integers", "floats", or "" where nothing was measured.
        parameters: numbers that training learned.
        integers: weights and biases that the network in integers holds.
        steps: T.
        neurons: of all populations, of an artificial network 0.
        epochs, planned: epochs that are trained, and those of the recipe.
        best: the best validation mIoU.
        seconds: training time over all epochs.
        remarks: on results that do not fit the network.
    """

    trained: float
    exported: float
    cost: Cost
    costs_of: str
    parameters: int | None
    integers: int | None
    steps: int | None
    epochs: int
    planned: int | None
    best: float
    seconds: float
    remarks: tuple[str, ...] = ()

    @property
    def rounding(self) -> float:
        """mIoU points that the integers lost to the float network; below 0: gained."""
        return 100 * (self.trained - self.exported)


def figures_of(subject: Subject) -> Figures:
    """The figures of a subject."""
    run, net = subject.run, subject.net
    steps = net.steps if net is not None else None
    if run is not None:
        steps = run.recipe.encoder_object.steps
    spent, costs_of, remarks = _cost(subject)
    history = subject.history
    return Figures(
        trained=math.nan if subject.trained is None else subject.trained.miou,
        exported=math.nan if subject.exported is None else subject.exported.miou,
        cost=spent,
        costs_of=costs_of,
        parameters=None if run is None else run.model.parameter_count(steps or 1),
        integers=None if net is None else stored_parameters(net),
        steps=steps,
        epochs=int(history[-1]["epoch"]) if history else 0,
        planned=None if run is None or run.converted else run.recipe.training.epochs,
        best=max(finite(history, "val_miou"), default=math.nan),
        seconds=sum(finite(history, "seconds")) if history else math.nan,
        remarks=remarks,
    )


def finite(history: Rows, column: str) -> list[float]:
    """The numbers of a column of the table of epochs, without those that are none."""
    values = (row.get(column, math.nan) for row in history)
    return [value for value in values if math.isfinite(value)]


def _cost(subject: Subject) -> tuple[Cost, str, tuple[str, ...]]:
    """The cost, whose it is, and remarks."""
    run, net = subject.run, subject.net
    if run is not None and isinstance(run.model, AnalogModel):
        return Cost(estimates=(artificial(run.model.kim_macs()),)), "floats", ()
    remarks: list[str] = []
    candidates = [
        ("integers", subject.exported, None if net is None else net.network),
        ("floats", subject.trained, None if run is None else run.network),
    ]
    for whose, found, network in candidates:
        if found is None or network is None:
            continue
        try:
            return cost(network, found, run, exported=whose == "integers"), whose, tuple(remarks)
        except LavasegError as error:
            remarks.append(f"the evaluation of its {whose} does not fit its network: {error}")
    network = next((n for _, _, n in reversed(candidates) if n is not None), None)
    neurons = 0
    if network is not None:
        neurons = sum(network.neurons(p.name) for p in network.populations)
    return Cost(neurons=neurons), "", tuple(remarks)
