"""Exact counting: each measured spike times the synapses that it really crosses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network import Current, Network, Population, Relay, Shape
from lavaseg.network.delays import Delay, plan
from lavaseg.network.grids import fan_out
from lavaseg.results.energy.accounts import (
    DelayAccount,
    EnergyAccount,
    PopulationAccount,
    ProjectionAccount,
)


def trains_only(network: Network) -> str | None:
    """The reason why an operator of a description has no synapses to count, or None."""
    reasons = (p.operator.trains_only for p in network.projections)
    return next((reason for reason in reasons if reason), None)


def uncountable(network: Network) -> str | None:
    """The reason why the synaptic operations of a description cannot be counted as it stands.

    None if they can. `lavaseg.export.lowering.countable` unrolls currents first.
    """
    reason = trains_only(network)
    if reason:
        return reason
    for node in network.nodes:
        if isinstance(node, Current):
            return (
                f"current {node.name!r} carries no spikes: count the exported network, in which "
                "it is unrolled into projections"
            )
    return None


def account(
    network: Network, counts: Mapping[str, np.ndarray], samples: int, steps: int
) -> EnergyAccount:
    """Count the operations that measured spikes caused.

    Integer neurons count as they run with binary spikes: each number as as many spikes behind
    them, and inside, at most, a sum that each neuron sends to its levels at every step.

    Args:
        network: the description as it runs, without `Current`s.
        counts: spikes of each neuron summed over samples and steps, integers (C, H, W), for the
            input and each population that fires; graded input counts messages.
        samples: number of samples that were summed.
        steps: logical time steps T of one sample.

    Raises:
        LavasegError: spikes of a population are missing, have another shape or are impossible;
            or the network is `uncountable`.
    """
    if samples < 1 or steps < 1:
        raise LavasegError(f"samples and steps must be at least 1, got {samples} and {steps}")
    reason = uncountable(network)
    if reason:
        raise LavasegError(reason)
    silent = {p.name for p in network.populations if p.threshold is None}
    sheets = {
        name: _checked(
            name, counts, shape, samples * steps * network.most_spikes(name), name in silent
        )
        for name, shape in network.shapes.items()
    }
    projections = _projections(network, sheets, samples, steps)
    return EnergyAccount(
        samples,
        steps,
        projections,
        _populations(network, sheets, samples, steps),
        _delays(network, sheets, projections, samples, steps),
    )


def _graded(network: Network) -> set[str]:
    """Nodes that send graded spikes."""
    graded = {node.name for node in network.nodes if isinstance(node, Relay)}
    if network.input.graded:
        graded.add(network.input.name)
    return graded


def _projections(
    network: Network, sheets: Mapping[str, np.ndarray], samples: int, steps: int
) -> tuple[ProjectionAccount, ...]:
    """One row for each projection, then one for each clock."""
    graded = _graded(network)
    found = []
    for p in network.projections:
        shape = network.shape(p.source)
        synapses, spikes = fan_out(p.operator, shape), sheets[p.source]
        found.append(
            ProjectionAccount(
                name=p.name,
                source=p.source,
                target=p.target,
                kind=p.operator.kind,
                analog=p.source in graded,
                weighted=p.operator.weight_shape(shape) is not None,
                synapses=int(synapses.sum()),
                dense_macs=network.dense_macs(p),
                spikes=int(spikes.sum()),
                operations=int((spikes * synapses).sum()),
            )
        )
    for population in network.populations:
        if population.clock or population.norm == "bntt_shift":
            found.append(_clock(network, population.name, samples, steps))
        if population.levels is not None:
            found.append(_inside(network, population, samples, steps))
    return tuple(found)


def _inside(
    network: Network, population: Population, samples: int, steps: int
) -> ProjectionAccount:
    """The synapses from the sums of integer neurons to the populations of their levels."""
    assert population.levels is not None
    neurons = network.neurons(population.name)
    return ProjectionAccount(
        name=f"levels_of_{population.name}",
        source=population.name,
        target=population.name,
        kind="one_to_one",
        analog=True,
        weighted=False,
        synapses=population.levels * neurons,
        dense_macs=0,
        spikes=samples * steps * neurons,
        operations=samples * steps * neurons * population.levels,
    )


def _clock(network: Network, name: str, samples: int, steps: int) -> ProjectionAccount:
    """The axons of a population's clock."""
    neurons = network.neurons(name)
    return ProjectionAccount(
        name=f"clock_to_{name}",
        source="clock",
        target=name,
        kind="clock",
        analog=False,
        weighted=False,
        synapses=steps * neurons,
        dense_macs=0,
        spikes=samples * steps,
        operations=samples * steps * neurons,
    )


def _populations(
    network: Network,
    sheets: Mapping[str, np.ndarray],
    samples: int,
    steps: int,
) -> tuple[PopulationAccount, ...]:
    """One row for each population and relay."""
    found = []
    for node in network.senders:
        name = node.name
        total, neurons = int(sheets[name].sum()), network.neurons(name)
        found.append(
            PopulationAccount(
                name=name,
                shape=network.shape(name),
                fires=isinstance(node, Relay) or node.threshold is not None,
                spikes=total,
                rate=total / (neurons * samples * steps),
                spikes_per_neuron=total / (neurons * samples),
            )
        )
    return tuple(found)


def _delays(
    network: Network,
    sheets: Mapping[str, np.ndarray],
    projections: tuple[ProjectionAccount, ...],
    samples: int,
    steps: int,
) -> tuple[DelayAccount, ...]:
    """One row for each chain of relays that makes spikes wait, and two for each echo."""
    graded = _graded(network)
    planned = plan(network, steps)
    found = []
    for (source, delay), relays in planned.chains.items():
        neurons = network.neurons(source)
        held = _held(network, source, delay, samples)
        operations = int(sheets[source].sum()) * relays + held
        longest = int(np.max(delay))
        found.append(DelayAccount(source, longest, relays, neurons, source in graded, operations))
    for (source, delay), rows in planned.rows.items():
        assert isinstance(delay, tuple)
        hops = rows.lengths(delay) + rows.links
        operations = int((sheets[source].sum((1, 2)) * hops).sum())
        operations += _held(network, source, delay, samples)
        neurons = planned.relays(network, (source, delay))
        found.append(DelayAccount(source, max(delay), 1, neurons, False, operations))
    for name in planned.echoes:
        neurons = network.neurons(name)
        for analog in (False, True):  # an echo has its population's input once more
            operations = sum(
                p.operations for p in projections if p.target == name and p.analog == analog
            )
            count = 0 if analog else 1
            operations += count * neurons * samples
            found.append(DelayAccount(name, 1, count, neurons, analog, operations))
    return tuple(found)


def _held(network: Network, source: str, delay: Delay, samples: int) -> int:
    """Inhibition that keeps the last steps of samples out of the next ones, in all."""
    channels, height, width = network.shape(source)
    return int(np.broadcast_to(delay, channels).sum()) * height * width * samples


def _checked(
    name: str, counts: Mapping[str, np.ndarray], shape: Shape, most: int, silent: bool
) -> np.ndarray:
    """Spikes of one node, int64 (C, H, W); zeros for a read-out that was not recorded."""
    if name not in counts:
        if silent:
            return np.zeros(shape, np.int64)
        raise LavasegError(f"spike counts of {name!r} are missing")
    found = np.asarray(counts[name])
    if found.shape != shape or not np.issubdtype(found.dtype, np.integer):
        raise LavasegError(
            f"spike counts of {name!r} must be integers of shape {shape}, got {found.dtype} "
            f"{found.shape}"
        )
    if found.size and not 0 <= found.min() <= found.max() <= most:
        raise LavasegError(
            f"spike counts of {name!r} reach from {found.min()} to {found.max()}, "
            f"possible are 0 to {most} (samples x steps, and levels where there are some)"
        )
    return found.astype(np.int64)
