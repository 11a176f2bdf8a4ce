"""A study: one YAML file that says what is trained, what is measured, and what a paper prints.

Every field is checked when the file is read, before anything runs. `lavaseg/studies/plan.py` makes
the runs of it, and `lavaseg/studies/table.py` and `figure.py` show what they gave.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lavaseg.errors import LavasegError
from lavaseg.system.shown import html_table
from lavaseg.system.words import counted

RESERVED = ("settings", "seed", "quantity", "value")
"""Columns that every table of results has besides axes and conditions."""
Size = Literal["standard", "quick", "full"]


class StudyError(LavasegError):
    """A study that cannot be read or run; the message names the file and the field."""


def label_of(value: Any) -> str:
    """How a value is called in results: 'all', '4', '0.1', 'true'."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def merged(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted fields with changes, which come last: a section may hold what a field changes."""
    return {field: v for field, v in fields.items() if field not in changes} | dict(changes)


def _label(value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise ValueError("expected a word or a number")
    return label_of(value)


def _several(value: Any) -> Any:
    """A single mapping stands for a list of one."""
    return value if isinstance(value, list) else [value]


Label = Annotated[str, BeforeValidator(_label)]
Labels = dict[Label, Label]
"""Labels of some axes, and values of conditions, by name."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Variant(_Part):
    """What one label of an axis stands for.

    Args:
        recipe: of its runs, or None for the study's.
        fields: dotted fields of the recipe and their values.
    """

    recipe: str | None = None
    fields: dict[str, Any] = {}


class Measured(_Part):
    """A name of `MEASURES` with its options.

    Args:
        name: of the measure.
        options: of that measure, by name.
    """

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """`test`, or `noise: {sigma: [0, 0.1]}`."""
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and len(value) == 1 and not {"name"} & value.keys():
            ((name, options),) = value.items()
            return {"name": name, "options": {} if options is None else options}
        if isinstance(value, dict) and value.keys() <= {"name", "options"}:
            return value
        raise ValueError("expected the name of a measure, or 'NAME: {OPTION: VALUE}'")


class TableSpec(_Part):
    """A table: one row for each combination of labels, some columns for each quantity.

    Args:
        title: above the table; empty: none.
        rows: axes and conditions. Conditions that are not named here or in `where` are none: the
            table shows what was measured without them.
        columns: quantities.
        where: the only labels or conditions that it shows.
    """

    title: str = ""
    rows: tuple[str, ...] = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)
    where: Labels = {}


class FigureSpec(_Part):
    """A figure: one line, or group of bars, for each combination of labels.

    Args:
        kind: lines, bars, or points, which set one quantity against another.
        title: above the figure; the study's by default.
        x: axis or condition along the horizontal; of points a quantity.
        y: the quantity.
        lines: axes and conditions, one line for each combination.
        where: the only labels or conditions that it shows.
        log: logarithmic horizontal axis; of bars, the vertical one.
        along: of points, an axis whose labels a line goes through, in their order.
    """

    kind: Literal["lines", "bars", "points"] = "lines"
    title: str = ""
    x: str
    y: str
    lines: tuple[str, ...] = ()
    where: Labels = {}
    log: bool = False
    along: str = ""


class Printed(_Part):
    """A figure that a paper prints, beside ours with the same labels and conditions.

    Args:
        at: the labels and conditions that it was measured with.
        quantity: what it is.
        value: in the unit that our tables show.
        source: paper, and table or figure.
    """

    at: Labels
    quantity: str
    value: float
    source: str


class Claim(_Part):
    """What a paper says; the verdict is computed from the results.

    Args:
        says: the claim in words.
        quantity: what it is about.
        of: labels and conditions of what it is about.
        against: those that differ in what it is compared with; the others are as in `of`.
        how: (`as` in the file) difference, ratio, relative (difference over what it is compared
            with, in percent), or value, which compares with nothing.
        printed: the paper's figure of it, None if it gives none.
        sign: where no figure is printed: + or - of a difference, above or below 1 of a ratio.
        source: paper, and table, figure or section.
    """

    says: str
    quantity: str
    of: Labels = {}
    against: Labels = {}
    how: Literal["difference", "ratio", "relative", "value"] = Field("difference", alias="as")
    printed: float | None = None
    sign: Literal["+", "-"] | None = None
    source: str

    @model_validator(mode="after")
    def _has_a_sign(self) -> Claim:
        if self.printed is None and self.sign is None:
            raise ValueError("expected printed, or the sign that is claimed ('+' or '-')")
        if (self.how == "value") == bool(self.against):
            raise ValueError("expected against, what it is compared with, except with as: value")
        return self


class Version(_Part):
    """What `quick` and `full` replace: fields of `set` and axes that they name, the rest whole.

    A field of `set` that is null is again as the recipe has it. An axis may be a list of some of
    its labels.

    Args:
        note: what the version is.
        recipe: of its runs; None: the study's.
        set: dotted fields of every run.
        seeds: instead of the study's; None: those.
        axes: for each axis that differs, its labels.
        measure: instead of the study's; None: those.
    """

    note: str = ""
    recipe: str | None = None
    set: dict[str, Any] = {}
    seeds: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    axes: dict[str, Any] = {}
    measure: tuple[Measured, ...] | None = None


class Study(_Part):
    """One study, every field checked.

    Args:
        name: of the study, and of the folder of its results.
        title: what it asks.
        paper: paper and table that it follows.
        recipe: of all runs, unless an axis chooses.
        seeds: each combination of labels is trained once with each of them.
        set: dotted fields of every run.
        axes: for each, labels and what they stand for.
        settings: how it differs from the file: "standard", or "quick" or "full" and the words of
            `--set`. It stands in every output.
        note: what that version is.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str
    paper: str = ""
    recipe: str | None = None
    set: dict[str, Any] = {}
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), min_length=1)
    axes: dict[str, dict[Label, Variant]] = {}
    measure: tuple[Measured, ...] = Field(min_length=1)
    table: Annotated[tuple[TableSpec, ...], BeforeValidator(_several)] = ()
    figure: Annotated[tuple[FigureSpec, ...], BeforeValidator(_several)] = ()
    printed: tuple[Printed, ...] = ()
    claims: tuple[Claim, ...] = ()
    quick: Version | None = None
    full: Version | None = None
    settings: str = "standard"
    note: str = ""

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {self.settings}, {counted(self.count, 'run')})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = [(axis, ", ".join(labels)) for axis, labels in self.axes.items()]
        rows.append(("seeds", ", ".join(map(str, self.seeds))))
        return html_table(f"{self!r}: {self.title}", ["axis", "labels"], rows)

    @property
    def size(self) -> str:
        """standard, quick or full."""
        return self.settings.partition(";")[0]

    @property
    def versions(self) -> list[str]:
        """The versions that it has besides the standard one."""
        return [size for size in ("quick", "full") if getattr(self, size) is not None]

    @property
    def count(self) -> int:
        """Places of the study: labels of all axes, and seeds."""
        return math.prod(map(len, self.axes.values())) * len(self.seeds)
