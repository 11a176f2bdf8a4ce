"""Published energies of an operation, by technology."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """Published energies of one technology, in pJ an operation.

    Args:
        name, title: short identifier, and how tables call it.
        accumulate: energy of one synaptic operation of a binary spike (an addition).
        multiply_accumulate: energy of one synaptic operation of a graded spike; None if the device
            has none.
        neuron_update: (least, most) energy of one neuron and step; (0, 0) if it is not charged.
        source: the publication.
        note: the limits of these figures, in words.
    """

    name: str
    title: str
    accumulate: float
    multiply_accumulate: float | None
    neuron_update: tuple[float, float]
    source: str
    note: str


AC_PJ, MAC_PJ = 0.9, 4.6
"""One addition, and one multiplication with addition, in 45 nm (Horowitz 2014)."""

CMOS_45NM = Device(
    name="cmos-45nm",
    title="45 nm CMOS",
    accumulate=AC_PJ,
    multiply_accumulate=MAC_PJ,
    neuron_update=(0.0, 0.0),
    source="Horowitz, ISSCC 2014: 32-bit floating point, addition 0.9 pJ, MAC 4.6 pJ",
    note="arithmetic only: memory, communication, neuron updates and leakage are not charged",
)
LOIHI_1 = Device(
    name="loihi-1",
    title="Loihi 1 (pre-silicon)",
    accumulate=23.6,
    multiply_accumulate=None,
    neuron_update=(52.0, 81.0),
    source="Davies et al., IEEE Micro 2018, Table 2: synaptic operation 23.6 pJ (minimum), "
    "neuron update 52 pJ inactive, 81 pJ active",
    note="pre-silicon values of another chip, not of Loihi 2, for which none are published; "
    "spike routing, leakage and host are not charged",
)
