"""Training that begins with other weights: what fits is taken, the rest is drawn, some is frozen.

`begin` gives a model what the section `init` of its run's recipe names; `frozen_layers` and
`freeze` keep layers as they are.
"""

from lavaseg.training.transfer.begin import Begun, begin, settled
from lavaseg.training.transfer.layers import freeze, frozen_layers

__all__ = ["Begun", "begin", "freeze", "frozen_layers", "settled"]
