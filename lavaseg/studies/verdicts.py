"""Whether what a paper claims was seen, by a rule that is fixed beforehand.

The claim's two sides are compared in pairs of equal seed and equal labels of the axes that the
claim does not name. It held in sign if every pair has the printed sign, it did not hold if every
pair has the other one, and else it is undecided. It held in size if the mean over the pairs lies
within a factor of two of the printed figure and has its sign.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lavaseg.studies.measures import QUANTITIES, neutral
from lavaseg.studies.results import Results, Value
from lavaseg.studies.study import Claim, Study
from lavaseg.system.words import counted

Sign = Literal["held", "did not hold", "undecided", "not measured"]
FACTOR = 2.0
"""Within which a mean must lie of the printed figure, to be called of its size."""


@dataclass(frozen=True)
class Verdict:
    """A claim, what was measured of it, and what follows.

    Args:
        values: of each pair.
        size: whether it held in size; None where no size is printed, or nothing was measured.
    """

    claim: Claim
    values: tuple[float, ...]
    seeds: tuple[int, ...]
    sign: Sign
    size: bool | None

    @property
    def mean(self) -> float:
        """Over the pairs; nan if there are none."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def sentence(self) -> str:
        """The claim, the verdict and its figures."""
        claim = self.claim
        printed = "" if claim.printed is None else f", printed {_text(claim, claim.printed)}"
        head = f"{claim.says} ({claim.source}{printed}): "
        if self.sign == "not measured":
            return f"{head}**not measured here**."
        size = {True: " and in size", False: ", not in size", None: ""}[self.size]
        several = len({*self.seeds}) > 1
        words = {
            "held": f"held in sign{size}",
            "did not hold": "did not hold",
            "undecided": "undecided, seeds disagree" if several else "undecided, pairs disagree",
        }[self.sign]
        turns = neutral(claim.quantity, claim.how)
        if claim.how == "value" and turns == 0 and self.size is not None:
            words = "held in size" if self.size else "did not hold in size"
        if self.sign == "undecided" and {*self.values} == {turns}:
            words = "undecided, no difference"
        found = _text(claim, self.mean)
        if len(self.values) > 1:
            found += f" ± {_text(claim, float(np.std(self.values, ddof=1)), signed=False)}"
        pairs = counted(len(self.values), "value" if claim.how == "value" else "pair")
        return f"{head}**{words}**; measured {found} ({pairs}, {seeds_in_words(self.seeds)})."

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        claim = self.claim
        return {
            "says": claim.says,
            "quantity": claim.quantity,
            "as": claim.how,
            "printed": claim.printed,
            "source": claim.source,
            "values": self.values,
            "mean": self.mean,
            "sign": self.sign,
            "in_size": self.size,
            "sentence": self.sentence,
        }


def verdicts(study: Study, results: Results) -> list[Verdict]:
    """One verdict for each claim of a study."""
    return [_verdict(claim, results) for claim in study.claims]


def seeds_in_words(seeds: tuple[int, ...]) -> str:
    """'seed 0', 'seeds 0, 1, 2'."""
    different = sorted({*seeds})
    return f"seed{'s' * (len(different) > 1)} {', '.join(map(str, different))}"


def _verdict(claim: Claim, results: Results) -> Verdict:
    of = results.select(claim.quantity, claim.of)
    pairs = [(v, None) for v in of] if claim.how == "value" else _pairs(claim, of, results)
    found = [(_compared(claim, one, other), one.seed) for one, other in pairs]
    finite = [(value, seed) for value, seed in found if math.isfinite(value)]
    values, seeds = tuple(v for v, _ in finite), tuple(s for _, s in finite)
    sign = _sign(claim, values)
    size = None
    if values and claim.printed is not None:
        size = sign == "held" and _near(float(np.mean(values)), claim.printed)
    return Verdict(claim, values, seeds, sign, size)


def _pairs(claim: Claim, of: list[Value], results: Results) -> list[tuple[Value, Value | None]]:
    """Values of the two sides with equal seeds, and equal labels where the claim names none."""
    where = {**claim.of, **claim.against}

    def place(value: Value) -> tuple[object, ...]:
        rest = sorted((k, label) for k, label in value.labels.items() if k not in where)
        return value.seed, *rest

    others = {place(v): v for v in results.select(claim.quantity, where)}
    return [(v, others[place(v)]) for v in of if place(v) in others]


def _compared(claim: Claim, one: Value, other: Value | None) -> float:
    if other is None:
        return one.value
    if claim.how == "difference":
        return one.value - other.value
    if other.value == 0:
        return math.nan
    if claim.how == "relative":
        return 100 * (one.value - other.value) / abs(other.value)
    return one.value / other.value


def _sign(claim: Claim, values: tuple[float, ...]) -> Sign:
    if not values:
        return "not measured"
    turns = neutral(claim.quantity, claim.how)
    upwards = claim.sign == "+" if claim.printed in (None, turns) else claim.printed > turns
    signed = [value - turns if upwards else turns - value for value in values]
    if all(value > 0 for value in signed):
        return "held"
    return "did not hold" if all(value < 0 for value in signed) else "undecided"


def _near(mean: float, printed: float) -> bool:
    return printed != 0 and 1 / FACTOR <= mean / printed <= FACTOR


def _text(claim: Claim, value: float, *, signed: bool = True) -> str:
    """A figure of a claim with its unit."""
    if claim.how == "ratio":
        return f"{value:.2f}x" if signed else f"{value:.2f}"
    if claim.how == "relative":
        return f"{value:+.1f} %" if signed else f"{value:.1f}"
    quantity = QUANTITIES[claim.quantity]
    plus = "+" if signed and value > 0 and claim.how == "difference" else ""
    unit = "points" if quantity.unit == "%" and claim.how == "difference" else quantity.unit
    return f"{plus}{quantity.text(value)}{f' {unit}' if unit and signed else ''}"
