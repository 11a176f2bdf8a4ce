"""Logic of spikes and pooling by neurons: what networks of rates do with maxima and products.

Neurons without memory compare a sum of binary spikes with a threshold. Integer neurons have no
such logic, since a sum of levels does not tell a large one from several small ones: with the
option `levels` the sum runs through a norm of its own, which learns where it begins to count.
"""

from __future__ import annotations

from lavaseg.models.blocks import Arriving, Sketch
from lavaseg.network import DECAY_UNITY, Network, OneToOne, Population, SumPool


def _gate(sketch: Sketch, name: str, threshold: float, *arriving: Arriving) -> str:
    """Neurons that forget at every step and compare a sum of spikes with a threshold."""
    return sketch.population(
        name,
        *arriving,
        threshold=threshold,
        current_decay=DECAY_UNITY,
        voltage_decay=DECAY_UNITY - 1,  # the most that 12 bits hold: it leaves nothing that counts
        reset="hard",
        norm="none",
        levels=None,
    )


def is_gate(network: Network, population: Population) -> bool:
    """Whether a population compares a sum of spikes without memory: spike logic, OR and AND."""
    binary = population.levels is None
    forgets = binary and population.voltage_decay >= DECAY_UNITY - 1 and population.norm == "none"
    incoming = network.incoming(population.name)
    return forgets and all(network.weight_shape(p) is None for p in incoming)


def spike_or(sketch: Sketch, name: str, *sources: str) -> str:
    """Spikes where any source spikes; with levels, their normalised sum."""
    return _compare(sketch, name, 0.5, *((source, OneToOne()) for source in sources))


def spike_and(sketch: Sketch, name: str, first: str | Arriving, second: str | Arriving) -> str:
    """Spikes where both sources spike: the product of binary spikes; with levels, their
    normalised sum.

    Args:
        first, second: nodes, read one to one, or with the operators on the way.
    """
    both = ((side, OneToOne()) if isinstance(side, str) else side for side in (first, second))
    return _compare(sketch, name, 1.5, *both)


def spike_or_pool(
    sketch: Sketch, name: str, source: str, kernel: int = 2, stride: int = 2, padding: int = 0
) -> str:
    """Spikes where any neuron of the window spikes: the maximum of binary spikes.

    With levels, their normalised sum: average pooling by neurons.
    """
    pool = SumPool((kernel, kernel), (stride, stride), (padding, padding))
    return _compare(sketch, name, 0.5, (source, pool))


def _compare(sketch: Sketch, name: str, threshold: float, *arriving: Arriving) -> str:
    if sketch.neuron.get("levels") is not None:
        return sketch.population(name, *arriving, norm="batch")
    return _gate(sketch, name, threshold, *arriving)


def if_pool(
    sketch: Sketch, name: str, source: str, kernel: int = 2, stride: int = 2, padding: int = 0
) -> str:
    """One spike for each window's worth of spikes: average pooling by integrating neurons.

    With levels, the mean of the window at each step, rounded; nothing is kept of it.

    Source: Kim et al. 2020 (Spiking-YOLO), with half a spike less than the window as threshold,
    since Loihi's neuron fires strictly above it.
    """
    pool = SumPool((kernel, kernel), (stride, stride), (padding, padding))
    window = kernel * kernel
    if sketch.neuron.get("levels") is not None:
        return sketch.population(name, (source, pool), threshold=window, norm="none")
    return sketch.population(
        name, (source, pool), threshold=window - 0.5, voltage_decay=0, norm="none"
    )
