"""The results of a study as one tidy table, and its CSV file.

One row a value. Columns: settings ("standard", or "quick" or "full" and what `--set` changed), the
axes, seed, the conditions of measures (empty where there is none), quantity and value.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.studies.measures import QUANTITIES, Row
from lavaseg.studies.plan import Plan
from lavaseg.studies.pool import Pool
from lavaseg.system.faults import reading
from lavaseg.system.files import write_atomically
from lavaseg.system.words import meant_path


@dataclass(frozen=True)
class Value:
    """One value.

    Args:
        labels: of the axes, and of the conditions under which it was measured.
    """

    labels: Mapping[str, str]
    seed: int
    quantity: str
    value: float


@dataclass(frozen=True)
class Results:
    """What was measured in a study.

    Args:
        settings: of the study as it was run.
        axes, conditions: names of columns.
    """

    settings: str
    axes: tuple[str, ...]
    conditions: tuple[str, ...]
    values: tuple[Value, ...]

    def __repr__(self) -> str:
        names = ", ".join((*self.axes, *self.conditions))
        return f"Results({self.settings}, {len(self.values):,} values by {names or 'seed'})"

    def select(
        self, quantity: str, where: Mapping[str, str], columns: Iterable[str] = ()
    ) -> list[Value]:
        """Values of a quantity under exactly the conditions that are named.

        Args:
            where: labels and conditions that they have.
            columns: further conditions under which they were measured, whichever.
        """
        named = {*where, *columns}
        wanted = {name for name in self.conditions if name in named}
        return [
            v
            for v in self.values
            if v.quantity == quantity
            and wanted == v.labels.keys() - {*self.axes}
            and all(v.labels.get(name) == label for name, label in where.items())
        ]

    def labels(self, column: str) -> list[str]:
        """The labels of a column, in the order in which they appear."""
        return list(dict.fromkeys(v.labels[column] for v in self.values if column in v.labels))


def gather(plan: Plan, pool: Pool) -> Results:
    """Everything that was measured of a study's runs so far, but what is damaged."""
    found: list[tuple[Mapping[str, str], int, Row]] = []
    kept: dict[int, list[Row]] = {}
    for cell in plan.cells:
        if cell.job not in kept:
            kept[cell.job] = pool.measured(plan.jobs[cell.job])
        found += [(cell.labels, cell.seed, row) for row in kept[cell.job]]
    own = ("quantity", "value")
    conditions = dict.fromkeys(key for _, _, row in found for key in row if key not in own)
    return Results(
        plan.study.settings,
        tuple(plan.study.axes),
        tuple(conditions),
        tuple(
            Value({**labels, **{c: row[c] for c in conditions if c in row}}, seed, *_own(row))
            for labels, seed, row in found
        ),
    )


def _own(row: Row) -> tuple[str, float]:
    return row["quantity"], row["value"]


def write_csv(results: Results, path: Path) -> None:
    """Write the table, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [*results.axes, "seed", *results.conditions]
    writer.writerow(["settings", *columns, "quantity", "value"])
    for v in results.values:
        labels = {**v.labels, "seed": str(v.seed)}
        cells = [labels.get(column, "") for column in columns]
        writer.writerow([results.settings, *cells, v.quantity, repr(v.value)])
    write_atomically(path, text.getvalue())


def read_csv(path: Path) -> Results:
    """The table that `write_csv` wrote.

    Raises:
        LavasegError: there is none, or it is damaged; names the line.
    """
    if not path.is_file():
        made = ": `lavaseg study run NAME` makes one"
        raise LavasegError(f"there is no file {path}{meant_path(path) or made}")
    with reading(path, "is no text"):
        text = path.read_text("utf-8-sig")  # spreadsheets put a mark in front
    with reading(path, "is no table of results"):
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    if (
        header[:1] != ["settings"]
        or header[-2:] != ["quantity", "value"]
        or header.count("seed") != 1
        or len({*header}) < len(header)
    ):
        raise LavasegError(
            f"{path} is no table of results: expected columns settings, axes, seed, conditions, "
            "quantity, value"
        )
    at = header.index("seed")
    axes, conditions = tuple(header[1:at]), tuple(header[at + 1 : -2])
    if not lines:
        raise LavasegError(f"{path} holds no results: nothing was measured yet")
    values = [_value(path, number, header, line) for number, line in enumerate(lines, 2)]
    settings = {line[0] for line in lines}
    if len(settings) != 1:
        raise LavasegError(f"{path} must hold results of one study, got settings {settings or ''}")
    seen: set[tuple[object, ...]] = set()
    for number, v in enumerate(values, 2):
        place = (*sorted(v.labels.items()), v.seed, v.quantity)
        if place in seen:
            raise LavasegError(f"{path}, line {number}: the same value is there twice")
        seen.add(place)
    return Results(settings.pop(), axes, conditions, tuple(values))


def _value(path: Path, number: int, header: Sequence[str], line: Sequence[str]) -> Value:
    """One line, checked."""
    if len(line) != len(header):
        raise LavasegError(f"{path}, line {number}: expected {len(header)} cells, got {len(line)}")
    cells = dict(zip(header, line, strict=True))
    seed, quantity = cells.pop("seed"), cells.pop("quantity")
    del cells["settings"]
    try:
        value = float(cells.pop("value"))
    except ValueError:
        value = math.nan
    if not seed.isdecimal() or not math.isfinite(value):
        raise LavasegError(f"{path}, line {number}: seed and value must be numbers")
    axes = header[1 : header.index("seed")]
    if missing := [axis for axis in axes if not cells[axis]]:
        raise LavasegError(f"{path}, line {number}: axis {missing[0]!r} has no label")
    if quantity not in QUANTITIES:
        raise LavasegError(f"{path}, line {number}: there is no quantity {quantity!r}")
    return Value({k: v for k, v in cells.items() if v}, int(seed), quantity, value)
