"""What an evaluated network costs: operations, and energies by papers' formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lavaseg.models.analog import AnalogModel
from lavaseg.network import Network
from lavaseg.results.energy import (
    EnergyAccount,
    Estimate,
    account,
    describe,
    estimates,
    uncountable,
)
from lavaseg.results.evaluation import Evaluation
from lavaseg.results.levels import LevelView
from lavaseg.runs import Run


@dataclass(frozen=True)
class Cost:
    """Figures of one sample.

    Args:
        operations: synaptic operations; None where they cannot be counted.
        uncounted: the reason, or "".
        estimates: energies; the first is the one to quote.
        rate: spikes of a neuron and step, over all neurons that can fire, of integer neurons the
            mean of what they send; None of artificial ones.
        neurons: neurons of all populations, of integer neurons on hardware each slot; 0 of an
            artificial network.
    """

    operations: float | None = None
    uncounted: str = ""
    estimates: Sequence[Estimate] = ()
    rate: float | None = None
    neurons: int = 0

    @property
    def picojoules(self) -> tuple[float, float] | None:
        """The energy to quote, from and to; None where there is none."""
        return self.estimates[0].picojoules if self.estimates else None


def cost(network: Network, found: Evaluation, run: Run | None, *, exported: bool) -> Cost:
    """The cost of an evaluated spiking network.

    Args:
        network: the one that was evaluated: as trained, or as exported.
        run: where it comes from; None of a network alone.
        exported: whether it is the network in integers.

    Raises:
        LavasegError: the evaluation is of another network.
    """
    where, reason = counted_network(run, network, found)
    exact: EnergyAccount | None = None
    if where is not None and not uncountable(where):
        exact = account(where, found.counts, found.samples, found.steps)
    as_described = described_network(run, network, found if exported else None) or network
    work = describe(as_described, found.counts, found.samples, found.steps)
    return Cost(
        None if exact is None else exact.synaptic_operations,
        reason,
        estimates(work, exact),
        _rate(network, found),
        sum(network.neurons(p.name) for p in network.populations),
    )


def _rate(network: Network, found: Evaluation) -> float | None:
    """Spikes of a neuron and step, the input left out; of integer neurons what they send."""
    view = LevelView.of(network)
    firing = view.folded(p.name for p in network.populations if p.threshold is not None)
    spikes = view.spikes(found.counts)
    counts = [spikes[name] for name in firing if name in spikes]
    neurons = sum(count.size for count in counts)
    if not neurons:
        return None
    return float(sum(np.sum(count) for count in counts) / (neurons * found.samples * found.steps))


def counted_network(
    run: Run | None, network: Network | AnalogModel, shown: Evaluation | None
) -> tuple[Network | None, str]:
    """The network in which the spikes of an evaluation are counted, or None and the reason."""
    if shown is None or isinstance(network, AnalogModel):
        return None, ""
    from lavaseg.export.lowering import countable

    return countable(network, shown.counts, run="RUN" if run is None else run.path)


def described_network(
    run: Run | None, network: Network | AnalogModel, exported: Evaluation | None
) -> Network | None:
    """The description of an exported network, whose dense MACs papers would count."""
    if exported is None or isinstance(network, AnalogModel):
        return None
    if run is None or isinstance(run.model, AnalogModel):
        return None
    from lavaseg.export.lowering import described

    return described(network, run.model, exported.counts)[0]
