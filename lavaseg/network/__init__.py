"""A spiking network as data: operators, nodes and the graph that they form.

`lavaseg.network.integers` adds the numbers that hardware holds, `lavaseg.network.ranges` bounds of
the sums that they can reach.
"""

from lavaseg.network.base import (
    DECAY_UNITY,
    NEVER,
    STATE_LIMIT,
    STATE_SCALE,
    NetworkError,
    Shape,
    Size,
)
from lavaseg.network.geometry import Axis, Geometry
from lavaseg.network.graph import Network
from lavaseg.network.nodes import (
    MOST_LEVELS,
    NORMS,
    Current,
    Input,
    Node,
    NormKind,
    Population,
    Projection,
    Relay,
)
from lavaseg.network.operators import (
    OPERATORS,
    Conv,
    ConvTranspose,
    Dense,
    OneToOne,
    Operator,
    Resize,
    SumPool,
    Upsample,
)

__all__ = [
    "DECAY_UNITY",
    "MOST_LEVELS",
    "NEVER",
    "NORMS",
    "OPERATORS",
    "STATE_LIMIT",
    "STATE_SCALE",
    "Axis",
    "Conv",
    "ConvTranspose",
    "Current",
    "Dense",
    "Geometry",
    "Input",
    "Network",
    "NetworkError",
    "Node",
    "NormKind",
    "OneToOne",
    "Operator",
    "Population",
    "Projection",
    "Relay",
    "Resize",
    "Shape",
    "Size",
    "SumPool",
    "Upsample",
]
