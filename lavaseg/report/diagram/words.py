"""What a drawing says of neurons and operators, in few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lavaseg.network import (
    DECAY_UNITY,
    Conv,
    ConvTranspose,
    Dense,
    Node,
    OneToOne,
    Operator,
    Population,
    Projection,
    Relay,
    Resize,
    Shape,
    Size,
    SumPool,
    Upsample,
)
from lavaseg.network.levels import Form

_NORMS = {
    "batch": "batch norm",
    "bntt": "BNTT",
    "bntt_shift": "BNTT with one scale",
}


def by(shape: Iterable[int]) -> str:
    """A shape in short: 3×64×64."""
    return "×".join(map(str, shape))


def operator_words(operator: Operator, source: Shape) -> str:
    """An operator with what is not usual of it: "conv 3×3, stride 2, dilation 12".

    Args:
        source: shape of the sheet that it reads.
    """
    if isinstance(operator, Conv | ConvTranspose):
        return ", ".join([_kernel(operator), *_convolution(operator, source)])
    if isinstance(operator, Dense):
        return "dense"
    if isinstance(operator, OneToOne):
        return "one to one"
    if isinstance(operator, SumPool):
        name = "average pool" if operator.average else "sum pool"
        parts = [f"{name} {by(operator.kernel)}"]
        parts += _not((f"stride {_size(operator.stride)}", operator.stride != operator.kernel))
        return ", ".join(parts)
    if isinstance(operator, Upsample):
        return f"upsample ×{_size(operator.factor)}"
    if isinstance(operator, Resize):
        return f"bilinear resize to {by(operator.size)}"
    return operator.kind.replace("_", " ")


def _kernel(operator: Conv | ConvTranspose) -> str:
    kind = "conv" if isinstance(operator, Conv) else "transposed conv"
    return f"{kind} {by(operator.kernel)}"


def _convolution(operator: Conv | ConvTranspose, source: Shape) -> list[str]:
    """Stride, dilation, padding and groups of a convolution, where they are not the usual ones."""
    kernel, dilation = operator.kernel, operator.dilation
    around = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    transposed = isinstance(operator, ConvTranspose)
    depthwise = operator.groups == source[0] > 1
    groups = "depthwise" if depthwise else f"{operator.groups} groups"
    return [
        *_not((f"stride {_size(operator.stride)}", operator.stride != (1, 1))),
        *_not((f"dilation {_size(dilation)}", dilation != (1, 1))),
        *_not(
            (f"padding {_size(operator.padding)}", not transposed and operator.padding != around)
        ),
        *_not((groups, operator.groups > 1)),
    ]


def _not(item: tuple[str, bool]) -> list[str]:
    """The words, if they are worth saying."""
    words, said = item
    return [words] * said


def _size(size: Size) -> str:
    """An extent, once where rows and columns have the same."""
    return str(size[0]) if size[0] == size[1] else by(size)


Words = dict[str, str]
"""What is said of a node's neurons, by what it is about; nothing of what is as usual."""
_WITHOUT = {
    "norm": "no norm",
    "current": "no current memory",
    "voltage": "no leak",
    "reset": "hard reset",
    "bias": "no bias",
    "clock": "no clock",
}
"""What is said where others have such words and a node has none."""


def neuron_words(node: Node) -> Words:
    """Levels, threshold, norm, decays and so on of a node; of a sum, its norm and bias."""
    if isinstance(node, Relay):
        return {}
    found = {"norm": _NORMS.get(node.norm, ""), "bias": "bias" * node.bias}
    if isinstance(node, Population):
        levels, decays = node.levels, (node.current_decay, node.voltage_decay)
        usual = (DECAY_UNITY, 0 if levels is None else DECAY_UNITY)
        named = zip(("current", "voltage"), decays, usual, strict=True)
        found = {
            "levels": "" if levels is None else f"integers 0 to {levels}",
            "threshold": "" if node.threshold is None else f"threshold {node.threshold:.4g}",
            **found,
            **{k: f"{k} decay {d}/{DECAY_UNITY}" * (d != u) for k, d, u in named},
            "reset": "soft reset" * (node.reset == "soft"),
            "clock": "clock" * node.clock,
        }
    return {what: words for what, words in found.items() if words}


def other_words(words: Words, shared: Words, *, gathers: bool) -> list[str]:
    """What a population that fires has to say, beside what most of them share.

    Args:
        gathers: it adds up sums that others made, so that nobody expects a norm of it.
    """
    found = [said for what, said in words.items() if shared.get(what) != said]
    lacking = (what for what in shared if what in _WITHOUT and what not in words)
    return found + [_WITHOUT[what] for what in lacking if not (gathers and what == "norm")]


def delay_words(projection: Projection) -> str:
    """How late a projection is, or ''."""
    if projection.learns:
        return f"delays learned, up to {projection.max_delay}"
    if projection.by_channel:
        return f"{projection.shortest} to {projection.longest} steps late"
    if projection.longest:
        return f"{projection.longest} step{'s' * (projection.longest > 1)} late"
    return ""


def integer_words(levels: int, form: Form, threshold: float) -> Words:
    """What is said of integer neurons that hardware holds in parts.

    Args:
        threshold: the distance between two levels.
    """
    how = f"in {levels} slots" if form == "binary" else "graded"
    return {"levels": f"integers 0 to {levels}, {how}", "threshold": f"threshold {threshold:.4g}"}


def usual(firing: Sequence[Words]) -> Words:
    """The words that more than half of the populations that fire share, if there are several."""
    count = Counter(item for words in firing for item in words.items())
    return {
        what: said for (what, said), times in count.items() if times > 1 and 2 * times > len(firing)
    }
