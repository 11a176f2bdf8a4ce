"""`lavaseg train --try-rates`: a learning-rate range test, as a table, a picture and a file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lavaseg.cli.console import print_table, say

if TYPE_CHECKING:
    from lavaseg.recipes import Recipe
    from lavaseg.training import RateTest

ROWS = 13
"""Rates that the table shows, spread over all."""


def try_rates(recipe: Recipe, folder: Path, words: Sequence[str], init: Path | None) -> None:
    """Try rates, print what they gave, and write it beside the run's folder, which is left alone.

    Args:
        folder: that of the run that shall follow.
        words: the command that trains it.
    """
    from lavaseg.report.plots import rate_curve
    from lavaseg.report.plotting import save
    from lavaseg.runs.formats import TABLE
    from lavaseg.runs.run import make_folder
    from lavaseg.training import try_rates

    found = try_rates(recipe, init=init)
    table, picture = (folder.with_name(f"{folder.name}-rates{end}") for end in (".csv", ".png"))
    make_folder(folder.parent)
    TABLE.write(table, found.rows())
    save(rate_curve(found.rates, found.losses, found.smoothed, found.suggestion), picture)
    print_table(_title(recipe, found), [">learning rate", ">loss", ""], _rows(found))
    say(f"curve: {picture}, {table}")
    if found.suggestion is None:
        say(
            "No rate can be suggested: the loss falls at none of them. Look at the data "
            "(`lavaseg data show`), or try larger batches (training.batch_size)."
        )
        return
    rate = f"training.learning_rate={found.suggestion:.2g}"
    say(f"suggested: {rate}, where the loss falls fastest; the recipe has "
        f"{recipe.training.learning_rate:.2g}")  # fmt: skip
    say(f"Next: `{shlex.join([*words, '--set', rate])}`")


def _title(recipe: Recipe, found: RateTest) -> str:
    batch, every = recipe.training.batch_size, len(found.rates)
    return f"{recipe.name}: {every} steps of {batch} samples, at rates that rise"


def _rows(found: RateTest) -> list[tuple[str, str, str]]:
    """The smoothed loss of some rates, the suggested one and the one of the lowest loss."""
    last = len(found.rates) - 1
    shown = {round(k * last / (ROWS - 1)) for k in range(ROWS)} if last > 0 else {0}
    marks = {found.lowest: "lowest", found.suggestion: "suggested"}
    shown |= {k for k, rate in enumerate(found.rates) if rate in marks}
    return [
        (f"{found.rates[k]:.1e}", f"{found.smoothed[k]:.4f}", marks.get(found.rates[k], ""))
        for k in sorted(shown)
        if found.rates
    ]
