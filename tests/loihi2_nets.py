"""Networks for the hardware path: like the demo, a U-Net, one of events with all that waits."""

from __future__ import annotations

import numpy as np

from lavaseg.encoders import Direct, Encoder, Poisson
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    Node,
    OneToOne,
    Population,
    Projection,
    Relay,
    SumPool,
)
from lavaseg.network.integers import Bias, IntegerNetwork


def network_of(
    source: Input,
    nodes: tuple[Node, ...],
    projections: tuple[Projection, ...],
    encoder: Encoder,
    *,
    biases: dict[str, Bias] | None = None,
    clocks: dict[str, np.ndarray] | None = None,
) -> IntegerNetwork:
    """A net with random even weights, read out at the last node."""
    network = Network(source, nodes, projections, nodes[-1].name)
    rng = np.random.default_rng(3)
    weights = {
        p.name: 2 * rng.integers(-8, 16, network.synapse_shape(p)).astype(np.int16)
        for p in projections
    }
    classes = tuple(str(i) for i in range(network.shape(network.readout)[0]))
    return IntegerNetwork(network, weights, encoder, classes, biases or {}, clocks=clocks or {})


def like_the_demo() -> IntegerNetwork:
    """Messages of 6 bits, convolutions at full resolution, biases, a 1 x 1 read-out."""
    return network_of(
        Input("input", (3, 6, 5), 6),
        (Population("a", 900, bias=True), Population("b", 60, 2048, 128), Population("out", None)),
        (
            Projection("input", "a", Conv(4, 3, 1, 1)),
            Projection("a", "b", Conv(4, 3, 1, 1)),
            Projection("b", "out", Conv(2, 1)),
        ),
        Direct(4, bits=6),
        biases={"a": Bias(np.array([300, -40, 0, 7]), 6)},
    )


def u_net() -> IntegerNetwork:
    """Down, up and across: the shorter path waits; five steps."""
    return network_of(
        Input("input", (2, 8, 8)),
        (
            Population("down", 20),
            Population("pooled", 10),
            Population("deep", 30, bias=True),
            Population("up", 12),
            Population("joined", 25),
            Population("out", None),
        ),
        (
            Projection("input", "down", Conv(3, 3, 1, 1)),
            Projection("down", "pooled", SumPool(2, 2)),
            Projection("pooled", "deep", Conv(4, 3, 1, 1)),
            Projection("deep", "up", ConvTranspose(3, 2, 2)),
            Projection("up", "joined", Conv(3, 3, 1, 1)),
            Projection("down", "joined", Conv(3, 3, 1, 1)),
            Projection("joined", "out", Conv(2, 1)),
        ),
        Poisson(5),
        biases={"deep": Bias(np.array([100, 0, -3, 50]), 5)},
    )


def of_events() -> IntegerNetwork:
    """Two polarities, a loop, a delay, a clock, a relay of sums, all-to-all ends; three steps."""
    return network_of(
        Input("input", (2, 6, 6)),
        (
            Population("seen", 8, 2048, bias=True),
            Population("looped", 30, clock=True),
            Relay("sum"),
            Population("late", 40),
            Population("never", 1),
            Population("out", None),
        ),
        (
            Projection("input", "seen", Conv(3, 3, 2, 1)),
            Projection("seen", "looped", OneToOne()),
            Projection("looped", "looped", OneToOne(), 1),
            Projection("seen", "sum", Conv(1, 1)),
            Projection("sum", "late", Conv(3, 1)),
            Projection("looped", "late", OneToOne(), 1),
            Projection("late", "out", Dense(4)),
            Projection("seen", "never", OneToOne(), 3),  # after the sample, and not in the next
            Projection("never", "out", Dense(4)),
            Projection("input", "out", Dense(4), 2),
        ),
        Poisson(3),
        biases={"seen": Bias(np.array([520, 520, 520]), 6)},  # fires before the first sample, too
        clocks={"looped": np.array([[10, 0, -20], [0, 40, 2], [6, -6, 0]])},
    )


def wide() -> IntegerNetwork:
    """260 columns, more than a convolution of the chip surely sees; a skip into all-to-all ends."""
    return network_of(
        Input("input", (1, 2, 260)),
        (Population("a", 12), Population("b", 30), Population("out", None)),
        (
            Projection("input", "a", Conv(2, 3, 1, 1)),
            Projection("a", "b", Conv(2, 3, 2, 1)),
            Projection("a", "out", Dense(3)),
            Projection("b", "out", Dense(3)),
        ),
        Poisson(5),
    )
