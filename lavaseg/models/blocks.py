"""Building blocks of models: a description under construction, branched convolutions, residuals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lavaseg.network import (
    Conv,
    ConvTranspose,
    Current,
    Input,
    Network,
    Node,
    OneToOne,
    Operator,
    Population,
    Projection,
    Shape,
    Size,
    SumPool,
)

Arriving = tuple[str, Operator]
"""One input of a node: the node that it comes from, and the operator on the way."""


class Sketch:
    """A description under construction.

    Args:
        input_: what the host feeds.
        neuron: fields that all its spiking populations share, unless a population says otherwise;
            with `levels`, all but those of spike logic are integer neurons.
    """

    def __init__(self, input_: Input, **neuron: Any) -> None:
        self.input = input_
        self.neuron = neuron
        self.nodes: list[Node] = []
        self.projections: list[Projection] = []
        self.shapes: dict[str, Shape] = {input_.name: input_.shape}

    def population(self, name: str, *arriving: Arriving, **fields: Any) -> str:
        """Add neurons; returns their name."""
        return self._add(Population(name, **{**self.neuron, **fields}), arriving)

    def current(self, name: str, *arriving: Arriving, **fields: Any) -> str:
        """Add a sum of currents; returns its name."""
        return self._add(Current(name, **fields), arriving)

    def readout(self, name: str, *arriving: Arriving, **fields: Any) -> str:
        """Add a population that never fires and whose membrane accumulates."""
        return self._add(Population(name, threshold=None, **fields), arriving)

    def fire(self, stream: str, name: str) -> str:
        """Neurons that a current drives one to one, without a norm of their own."""
        return self.population(name, (stream, OneToOne()), norm="none")

    def network(self, readout: str, auxiliaries: tuple[str, ...] = ()) -> Network:
        """The finished description."""
        return Network(self.input, tuple(self.nodes), tuple(self.projections), readout, auxiliaries)

    def _add(self, node: Node, arriving: tuple[Arriving, ...]) -> str:
        self.nodes.append(node)
        for source, operator in arriving:
            self.projections.append(Projection(source, node.name, operator))
            self.shapes[node.name] = operator.output_shape(self.shapes[source])
        return node.name


# --------------------------------------------------------------------------------------------
# Operators by their usual names


def conv1x1(channels: int, stride: int = 1, groups: int = 1) -> Conv:
    """A 1x1 convolution; with a stride of n it reads every n-th pixel."""
    return Conv(channels, (1, 1), (stride, stride), groups=groups)


def conv3x3(channels: int, stride: int = 1, dilation: int = 1, groups: int = 1) -> Conv:
    """A 3x3 convolution whose padding keeps the size at stride 1."""
    around = (dilation, dilation)
    return Conv(channels, (3, 3), (stride, stride), around, around, groups)


AVERAGE_3_2 = SumPool((3, 3), (2, 2), (1, 1), average=True)
"""Average pooling 3x3, stride 2, padding included: what Kim et al. put between layers."""


def enlarge_to(channels: int, source: Size, target: Size, kernel: int = 3) -> ConvTranspose:
    """A stride-2 transposed convolution from `source` to `target`, which is twice that or one less.

    Args:
        kernel: 3 or 4, padding 1, or 2, no padding. With 4 every output has the same number of
            synapses; a side of odd length uses 3 there.
    """
    if kernel == 2:  # what does not divide is an empty last row
        extra = tuple(t - 2 * s for s, t in zip(source, target, strict=True))
        return ConvTranspose(channels, (2, 2), (2, 2), (0, 0), (extra[0], extra[1]))
    odd = tuple(t % 2 for t in target)
    if kernel == 4:
        return ConvTranspose(channels, (4 - odd[0], 4 - odd[1]), (2, 2), (1, 1))
    return ConvTranspose(channels, (3, 3), (2, 2), (1, 1), (1 - odd[0], 1 - odd[1]))


# --------------------------------------------------------------------------------------------
# Convolutions that train as branches


def rep_branches(
    sketch: Sketch, name: str, source: str, conv: Conv, *, chain: bool = False
) -> tuple[str, ...]:
    """A 3x3 convolution as currents to be added up, each with its norm; one convolution on export.

    The convolution, a 1x1 beside it and, where both sheets have one shape, the source itself
    (RepVGG: Ding et al. 2021, Figure 4).

    Args:
        name: what the currents' names begin with.
        conv: a convolution whose padding is its dilation.
        chain: the 1x1 leads into a depthwise 3x3 of its own (RepConv of Yao et al. 2024, without
            its last 1x1). The norm between them covers the border of zeros, too, so that what pads
            the 3x3 is the norm's shift, and the chain is one padded 3x3 exactly.
    """
    scale = sketch.neuron.get("threshold", 1.0)
    same = sketch.shapes[source] == conv.output_shape(sketch.shapes[source])
    scale /= (2 + same) ** 0.5  # the sum starts with the spread of one norm
    channels, around = conv.channels, conv.dilation

    def branch(called: str, begin: str, operator: Operator) -> str:
        return sketch.current(f"{name}_{called}", (begin, operator), norm="batch", norm_scale=scale)

    found = [branch("wide", source, conv)]
    if chain:
        inner = sketch.current(
            f"{name}_pointed", (source, Conv(channels, (1, 1), padding=around)), norm="batch"
        )
        depthwise = Conv(channels, conv.kernel, conv.stride, (0, 0), around, channels)
        found.append(branch("chained", inner, depthwise))
    else:
        found.append(branch("narrow", source, Conv(channels, (1, 1), conv.stride)))
    if same:
        found.append(branch("same", source, OneToOne()))
    return tuple(found)


def rep_conv(sketch: Sketch, name: str, source: str, conv: Conv, *, chain: bool = False) -> str:
    """Neurons behind a 3x3 convolution that trains as branches (`rep_branches`)."""
    parts = rep_branches(sketch, name, source, conv, chain=chain)
    return sketch.population(name, *((part, OneToOne()) for part in parts), norm="none")


# --------------------------------------------------------------------------------------------
# Residual blocks: stream + branch(spikes of the stream), added as membrane currents

Residual = Callable[..., str]
"""(sketch, stream, name, spikes=None, *, ending=Ending()) -> the longer stream; `spikes` instead
of the stream's."""


@dataclass(frozen=True)
class Ending:
    """How a residual block ends.

    Args:
        scale: where the norm that ends a branch starts; 0 makes the block an identity at first.
        identity: False leaves the stream out of the sum: the branch alone, as in a plain network.

    Source of the start at 0: Hu et al. 2024 (MS-ResNet); Su et al. 2024, Proposition 1.
    """

    scale: float = 0.0
    identity: bool = True


def _ended(
    sketch: Sketch,
    stream: str,
    name: str,
    ending: Ending,
    *branches: tuple[str, str, Operator],
) -> str:
    """The stream that ends a block: the one before and its branches, each with its norm.

    Args:
        branches: what each is called behind the block's name, the spikes that it takes, and its
            last operator.
    """
    parts = [
        sketch.current(
            f"{name}_{called}", (source, operator), norm="batch", norm_scale=ending.scale
        )
        for called, source, operator in branches
    ]
    streams = [stream] if ending.identity else []
    return sketch.current(name, *((part, OneToOne()) for part in (*streams, *parts)))


def _branch(
    sketch: Sketch,
    stream: str,
    name: str,
    layers: tuple[Conv, ...],
    spikes: str | None,
    ending: Ending,
) -> str:
    """A block of one branch, whose layers are fire, convolve, normalise each."""
    source = spikes or sketch.fire(stream, f"{name}_fire0")
    for index, layer in enumerate(layers[:-1]):
        source = sketch.population(f"{name}_fire{index + 1}", (source, layer), norm="batch")
    return _ended(sketch, stream, name, ending, ("branch", source, layers[-1]))


def ms_block(
    sketch: Sketch,
    stream: str,
    name: str,
    spikes: str | None = None,
    *,
    ending: Ending = Ending(),
) -> str:
    """Two 3x3 convolutions (MS-Block, Su et al. 2024; Hu et al. 2024)."""
    channels = sketch.shapes[stream][0]
    return _branch(sketch, stream, name, (conv3x3(channels),) * 2, spikes, ending)


def efs_block(
    sketch: Sketch,
    stream: str,
    name: str,
    spikes: str | None = None,
    *,
    group: bool = True,
    ending: Ending = Ending(),
) -> str:
    """1x1 to twice the channels, depthwise 3x3, 1x1 back (EFS-Block, Su et al. 2024).

    Args:
        group: False makes the 3x3 dense ("w/o group" in their ablation).
    """
    channels = sketch.shapes[stream][0]
    wide = 2 * channels
    middle = conv3x3(wide, groups=wide if group else 1)
    layers = (conv1x1(wide), middle, conv1x1(channels))
    return _branch(sketch, stream, name, layers, spikes, ending)


def fire_block(
    sketch: Sketch,
    stream: str,
    name: str,
    spikes: str | None = None,
    *,
    ending: Ending = Ending(),
) -> str:
    """1x1 squeeze to a quarter, then 1x1 and 3x3 expand ("Spike Fire", Su et al. 2024, Table 2).

    Squeeze ratio and residual form are not published. The expansions are added up here, not
    concatenated: together they are one 3x3 convolution, which merges exactly on export.
    """
    channels = sketch.shapes[stream][0]
    source = spikes or sketch.fire(stream, f"{name}_fire0")
    squeezed = sketch.population(
        f"{name}_fire1", (source, conv1x1(max(channels // 4, 1))), norm="batch"
    )
    expansions = (
        ("branch1", squeezed, conv1x1(channels)),
        ("branch3", squeezed, conv3x3(channels)),
    )
    return _ended(sketch, stream, name, ending, *expansions)


def shuffle_block(
    sketch: Sketch,
    stream: str,
    name: str,
    spikes: str | None = None,
    *,
    ending: Ending = Ending(),
) -> str:
    """Grouped 1x1, depthwise 3x3, 1x1 ("Spike Shuffle", Su et al. 2024, Table 2).

    Groups and residual form are not published. The last 1x1 is dense, which mixes the two groups
    of the first as a shuffle of channels would.
    """
    channels = sketch.shapes[stream][0]
    layers = (
        conv1x1(channels, groups=2 if channels % 2 == 0 else 1),
        conv3x3(channels, groups=channels),
        conv1x1(channels),
    )
    return _branch(sketch, stream, name, layers, spikes, ending)


def spike_inception(
    sketch: Sketch, name: str, *sources: str, channels: int, both: bool = True
) -> str:
    """A 1x1 and a 3x3 convolution side by side, each with its norm, added up.

    Several sources stand for their concatenation. The two merge into one 3x3 exactly on export.

    Args:
        both: False leaves out the 1x1 ("w/o Inception" in the ablation of Su et al. 2024).
    """
    operators = {"3": conv3x3(channels)} | ({"1": conv1x1(channels)} if both else {})
    scale = sketch.neuron.get("threshold")
    branches = [
        sketch.current(
            f"{name}_conv{side}",
            *((source, operator) for source in sources),
            norm="batch",
            norm_scale=scale,
        )
        for side, operator in operators.items()
    ]
    if len(branches) == 1:
        return branches[0]
    return sketch.current(name, *((branch, OneToOne()) for branch in branches))
