"""Rules by which conversion chooses the scale of a population, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lavaseg.errors import LavasegError
from lavaseg.system.words import or_like


@dataclass(frozen=True)
class Rule:
    """A rule by which the scale of a population is chosen.

    Args:
        measure: "input": the largest input current that one step brings once all populations
            before it spike; "activation": what the ReLU gives.
        channels: one scale for each channel, else one for all.
        percentile: of the positive values measured; 100 is the largest.
        factor: on the scale. Below 1 it fires sooner, and large activations are cut off.
        forgets_source: treat all spikes of a source as worth the same (its largest scale), as if
            there were one scale for all channels.
        source: who published it.
    """

    measure: Literal["input", "activation"]
    channels: bool
    percentile: float = 100.0
    factor: float = 1.0
    forgets_source: bool = False
    source: str = ""


RULES: dict[str, Rule] = {
    "layer": Rule(
        "input", False, source="Sengupta et al. 2019, Spike-Norm; Kim et al. 2022, layer-wise"
    ),
    "channel_published": Rule(
        "input",
        True,
        forgets_source=True,
        source="Kim et al. 2022, channel-wise, as their code does it",
    ),
    "channel": Rule("activation", True, 99.9, source="Kim et al. 2020, Spiking-YOLO, channel-wise"),
    "percentile": Rule("activation", False, 99.9, source="Rueckauer et al. 2017, data-based"),
}


def find_rule(name: str) -> Rule:
    """The rule of that name; LavasegError names those that there are."""
    if name not in RULES:
        raise LavasegError(f"there is no conversion rule {name!r}{or_like(name, RULES)}")
    return RULES[name]
