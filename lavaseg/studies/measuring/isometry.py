"""The measure of block dynamical isometry: phi and varphi of each residual block and stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.studies import options as o
from lavaseg.studies.measures import Row, row

if TYPE_CHECKING:
    from lavaseg.runs import Run
    from lavaseg.training.isometry import BlockIsometry


def isometry(run: Run, options: o.IsometryOptions) -> Iterable[Row]:
    """phi and varphi of each block, of each stage as a whole, and over all blocks of a network.

    Over all blocks: means, and what is farthest from an isometry.
    """
    from lavaseg.training.isometry import isometries

    for weights in options.weights:
        found = isometries(
            run,
            trained=weights == "trained",
            samples=options.samples,
            probes=options.probes,
            seed=options.seed,
        )
        for part in found:
            column = "block" if part.blocks == 1 else "stage"
            if column == "block" and not options.blocks:
                continue
            yield from _of_part(part, {"weights": weights, column: part.name})
        yield from _of_all([part for part in found if part.blocks == 1], weights)


def _of_part(part: BlockIsometry, under: dict[str, str]) -> Iterable[Row]:
    """Estimates of a block or stage with their standard errors, and what the formula says."""
    measured = part.measured
    yield row("phi", measured.phi, **under)
    yield row("phi_error", measured.phi_error, **under)
    yield row("varphi", measured.varphi, **under)
    yield row("varphi_error", measured.varphi_error, **under)
    yield row("phi_formula", part.predicted_phi, **under)


def _of_all(blocks: Sequence[BlockIsometry], weights: str) -> Iterable[Row]:
    """All blocks of a network in a few numbers."""
    phi = np.array([block.measured.phi for block in blocks])
    varphi = np.array([block.measured.varphi for block in blocks])
    formula = np.mean([block.predicted_phi for block in blocks])
    yield row("phi", phi.mean(), weights=weights)
    yield row("varphi", varphi.mean(), weights=weights)
    yield row("phi_formula", float(formula), weights=weights)
    yield row("phi_distance", np.abs(phi - 1).max(), weights=weights)
    yield row("varphi_largest", varphi.max(), weights=weights)
