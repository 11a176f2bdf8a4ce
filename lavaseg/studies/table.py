"""Tables of a study in Markdown: what papers print, what was measured, spread and seeds.

Of a quantity that a paper prints, printed, measured and spread have columns of their own.
Made of the study and its results alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from lavaseg.studies.measures import QUANTITIES
from lavaseg.studies.results import Results
from lavaseg.studies.study import Study, TableSpec
from lavaseg.studies.verdicts import seeds_in_words, verdicts

NONE = "-"
_ROUNDING = 1e-9
"""Spreads below this part of the mean come from rounding sums."""
_SIZES = {
    "standard": "",
    "quick": "Quick version, which only shows that everything works: {note}.",
    "full": "Full version: {note}.",
}
_NOTES = {"quick": "narrow, minutes on two cores", "full": "the published size"}


@dataclass(frozen=True)
class Table:
    """Cells as text.

    Args:
        columns: their headings; those of numbers begin with '>'.
        labels: how many columns, from the left, say what a row is.
        sources: of the printed figures.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int
    sources: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table, its title before it and sources behind it."""
        heads = [column.removeprefix(">") for column in self.columns]
        rule = ["---:" if column.startswith(">") else "---" for column in self.columns]
        lines = [_line(cells) for cells in (heads, rule, *self.rows)]
        if self.title:
            lines = [f"**{self.title}**", "", *lines]
        if self.sources:
            lines += ["", f"Printed: {'; '.join(self.sources)}."]
        return "\n".join(lines)


def tables(study: Study, results: Results) -> list[Table]:
    """The tables that a study asks for, but those of which nothing is measured or printed."""
    made = [_table(study, results, spec) for spec in study.table]
    return [table for table in made if table.rows]


def remarks(study: Study, results: Results) -> list[str]:
    """What every output says of a study's results: version, changed fields, seeds."""
    size, *words = results.settings.split("; ")
    note = study.note or _NOTES.get(size, "")
    found = [_SIZES[size].format(note=note)] if _SIZES.get(size) else []
    if words:
        found.append(f"Changed for this run: {', '.join(f'`{word}`' for word in words)}.")
    seeds = tuple(value.seed for value in results.values)
    if not seeds:
        return [*found, "Nothing is measured yet."]
    if len({*seeds}) == 1:
        return [*found, f"One seed ({seeds[0]}): no spread is known."]
    return [*found, f"Mean and standard deviation (n - 1) over {seeds_in_words(seeds)}."]


def markdown(study: Study, results: Results) -> str:
    """All tables, and a sentence for each claim."""
    parts = [" ".join(remarks(study, results))]
    parts += [table.markdown() for table in tables(study, results)]
    if claims := verdicts(study, results):
        parts.append("\n".join(f"- {verdict.sentence}" for verdict in claims))
    return "\n\n".join(parts) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _table(study: Study, results: Results, spec: TableSpec) -> Table:
    printed = {
        quantity: [
            (at, p)
            for p in study.printed
            if p.quantity == quantity and (at := _row_of(study, p.at, spec)) is not None
        ]
        for quantity in spec.columns
    }
    there = {value.quantity for value in results.values}
    quantities = [q for q in spec.columns if q in there or printed[q]]
    columns = list(spec.rows)
    for quantity in quantities:
        heading = QUANTITIES[quantity].heading
        if printed[quantity]:
            columns += [f">{heading}, printed", f">{heading}, measured", ">spread"]
        else:
            columns.append(f">{heading}")
    rows = []
    for labels in _combinations(
        study, results, spec, [at for p in printed.values() for at, _ in p]
    ):
        cells = []
        found = {q: results.select(q, {**spec.where, **labels}) for q in quantities}
        seeds = sorted({value.seed for values in found.values() for value in values})
        for quantity, values in found.items():
            if printed[quantity]:
                figures = [p.value for at, p in printed[quantity] if at == labels]
                texts = map(QUANTITIES[quantity].text, dict.fromkeys(figures))
                cells.append(" / ".join(texts) or NONE)
            shown, *spread = _measured(
                quantity, [value.value for value in values], bool(printed[quantity])
            )
            own = tuple(value.seed for value in values)
            cells += [
                f"{shown} ({seeds_in_words(own)})" if own and {*own} != {*seeds} else shown,
                *spread,
            ]
        if {*cells} - {NONE}:
            seeds_text = ", ".join(map(str, seeds)) or NONE
            rows.append((*(labels[name] for name in spec.rows), *cells, seeds_text))
    sources = dict.fromkeys(p.source for figures in printed.values() for _, p in figures)
    return Table(spec.title, (*columns, "seeds"), tuple(rows), len(spec.rows), tuple(sources))


def _measured(quantity: str, values: list[float], apart: bool) -> list[str]:
    """Mean and spread as text, in cells of their own, or in one that leaves out a spread of 0."""
    text = QUANTITIES[quantity].text
    if not values:
        return [NONE] * (1 + apart)
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1)) if values[1:] else 0.0
    shown = text(mean)
    behind = _to_the_digits_of(shown, QUANTITIES[quantity].factor * spread)
    if apart:
        return [shown, behind if values[1:] else NONE]
    return [f"{shown} ± {behind}" if spread > _ROUNDING * abs(mean) else shown]


def _to_the_digits_of(shown: str, spread: float) -> str:
    """A spread with as many digits behind the point as the mean has."""
    if "e" in shown:
        return f"{spread:.1e}"
    return f"{spread:,.{len(shown.partition('.')[2])}f}"


def _row_of(study: Study, at: Mapping[str, str], spec: TableSpec) -> dict[str, str] | None:
    """The row of a table that a printed figure stands in, or None."""
    given = complete(study, at)
    rest = {name: label for name, label in given.items() if name not in spec.rows}
    where = complete(study, spec.where)
    if {*spec.rows} - given.keys() or rest != {k: v for k, v in where.items() if k in rest}:
        return None
    if any(given[name] != spec.where.get(name, given[name]) for name in spec.rows):
        return None
    missing = {name for name in where if name not in given}
    return None if missing else {name: given[name] for name in spec.rows}


def complete(study: Study, labels: Mapping[str, str]) -> dict[str, str]:
    """Labels, and the label of each axis that has only one."""
    only = {name: next(iter(axis)) for name, axis in study.axes.items() if len(axis) == 1}
    return {**only, **labels}


def _combinations(
    study: Study, results: Results, spec: TableSpec, printed: list[dict[str, str]]
) -> list[dict[str, str]]:
    """Labels of the rows: of the study, of the results, and of printed figures, in this order."""
    known = []
    for name in spec.rows:
        own = list(study.axes.get(name, ()))
        extra = [*results.labels(name), *(labels[name] for labels in printed)]
        shown = dict.fromkeys([*own, *extra])
        known.append([label for label in shown if label == spec.where.get(name, label)])
    return [dict(zip(spec.rows, labels, strict=True)) for labels in product(*known)]
