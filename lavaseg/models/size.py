"""How large a model is: parameters, operations, neurons and memory, as papers' tables show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lavaseg.models.analog import AnalogModel, Layer
from lavaseg.network import Network
from lavaseg.results.energy import MAC_PJ, mfs_seg_picojoules

ASSUMED_RATE = 0.2
"""Spikes a neuron and step for energies of networks that did not run; tables say so.

Su et al. 2024 print 0.179 to 0.245 for their trained networks at CamVid, DDD17 and DSEC.
"""


@dataclass(frozen=True)
class Size:
    """Figures of one model.

    Args:
        parameters: trained numbers, norms and biases included.
        weights: synaptic weights alone, shared ones once.
        macs: multiply-accumulates of one dense pass through all layers with weights, zero padding
            included; a transposed convolution counts each of its inputs.
        kim_macs: by the formula of Kim et al. 2022, kernel^2 x output pixels x channels in and
            out, which for a transposed convolution counts its outputs, stride^2 for each input
            (what it adds at the border is resized away in their network).
        torchstat_macs: as torchstat counts, from which Su et al. 2024 have their figures: without
            transposed convolutions.
        neurons: of all populations; 0 for an artificial network.
        latency: hardware steps from input to read-out; None for an artificial network.
    """

    parameters: int
    weights: int
    macs: int
    kim_macs: int
    torchstat_macs: int
    neurons: int
    latency: int | None

    @property
    def ann_millijoules(self) -> float:
        """4.6 pJ x `kim_macs`: the papers' estimate for an artificial network of this shape."""
        return MAC_PJ * self.kim_macs / 1e9

    @property
    def flops(self) -> int:
        """Floating-point operations of one dense pass: two for each of `kim_macs`."""
        return 2 * self.kim_macs

    def total_millijoules(self, steps: int, rate: float = ASSUMED_RATE) -> float:
        """E_total of papers' tables: of an artificial network, `ann_millijoules`.

        Of a spiking one, equation 7 of Su et al. 2024: 0.9 pJ x T x rate x `kim_macs`.

        Args:
            rate: spikes a neuron and step, the mean of the whole network.
        """
        if not self.neurons:
            return self.ann_millijoules
        return mfs_seg_picojoules([(self.kim_macs, rate)], steps) / 1e9


def layers(model: Network | AnalogModel) -> tuple[Layer, ...]:
    """All layers that have weights, from input to output."""
    if isinstance(model, AnalogModel):
        return tuple(layer for layer in model.layers if layer.weights)
    found = []
    for node in model.ordered:
        for p in model.incoming(node.name):
            shape = model.weight_shape(p)
            if shape is not None:
                weights = model.synapse_count(p)
                macs = model.dense_macs(p)
                sheet = model.shape(node.name)
                enlarges = math.prod(model.geometry(p).enlarges)
                found.append(
                    Layer(p.name, p.operator.kind, sheet, weights, weights, macs, enlarges)
                )
    return tuple(found)


def size(model: Network | AnalogModel, steps: int = 1) -> Size:
    """The figures of a model.

    Args:
        steps: T of a sample; a norm or clock with values of its own for each step has T of them.
    """
    rows = layers(model)
    neurons, latency = 0, None
    if isinstance(model, Network):
        neurons = sum(model.neurons(population.name) for population in model.populations)
        latency = model.latency
    return Size(
        parameters=model.parameter_count(steps),
        weights=sum(row.weights for row in rows),
        macs=sum(row.macs for row in rows),
        kim_macs=sum(row.macs * row.enlarges for row in rows),
        torchstat_macs=sum(row.macs for row in rows if not row.transposed),
        neurons=neurons,
        latency=latency,
    )


def synaptic_memory(network: Network, steps: int) -> int:
    """Bytes that the synapses of a network hold as it runs on hardware.

    One for each weight, or gain of an operator without weights, those that a sheet's places share
    once; projections that share weights have a copy each. A clock has T
    axons with a weight for each channel (`lavaseg/deploy/lava/lines.py`). Neurons, biases and what
    delays need are not counted.

    Args:
        network: as `lavaseg.export.lowering.deployed` gives it.
        steps: T of a sample.
    """
    weights = sum(map(network.synapse_count, network.projections))
    clocks = sum(network.shape(p.name)[0] for p in network.populations if p.clock)
    return weights + steps * clocks
