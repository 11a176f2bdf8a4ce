"""What cannot be put on Lava is refused here, by name; and how long a run is."""

from __future__ import annotations

from lavaseg.deploy.lava.errors import LavaError
from lavaseg.network import DECAY_UNITY, Current, Population
from lavaseg.network.integers import IntegerNetwork


def check_lava(net: IntegerNetwork) -> None:
    """Raise LavaError, naming the node or projection, unless `build` can express the network."""
    for node in net.network.nodes:
        if isinstance(node, Current):
            raise LavaError(
                f"current {node.name!r} cannot be put on Lava: unroll it into direct projections"
            )
        if isinstance(node, Population):
            _check_population(node)


def _check_population(population: Population) -> None:
    name = f"population {population.name!r}"
    if population.reset != "hard":
        raise LavaError(
            f"{name}: Lava's LIF resets to zero, reset {population.reset!r} cannot be put on it; "
            "use reset 'hard'"
        )
    if population.norm != "none":
        raise LavaError(f"{name}: norm {population.norm!r} must be folded into weights and bias")
    if population.current_decay == 0:
        raise LavaError(
            f"{name}: current_decay 0 cannot be put on Lava, whose LIF decays by at least 1/4096 "
            f"a step; use 1 to {DECAY_UNITY}"
        )
    if population.voltage_decay == DECAY_UNITY and not population.memoryless:
        raise LavaError(
            f"{name}: voltage_decay {DECAY_UNITY} does not fit Loihi's 12 bits; use 0 to "
            f"{DECAY_UNITY - 1}, or a current_decay of {DECAY_UNITY}, too, which a reset at each "
            "step makes"
        )


def checked_period(net: IntegerNetwork, period: int | None) -> int:
    """The period, T by default.

    Raises:
        LavaError: it is shorter than a sample.
    """
    if period is not None and period < net.steps:
        raise LavaError(f"period {period} is shorter than a sample of {net.steps} steps")
    return net.steps if period is None else period


def run_steps(net: IntegerNetwork, samples: int, period: int) -> int:
    """Physical steps until the last sample has left the last population."""
    return (samples - 1) * period + net.steps + max(net.network.latencies.values())
