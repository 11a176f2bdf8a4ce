"""`lavaseg.compare`: runs and networks side by side, as data, page and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.report.comparing.fields import differing_fields
from lavaseg.report.comparing.figures import Figures, figures_of
from lavaseg.report.comparing.groups import Group, Member, grouped
from lavaseg.report.comparing.subjects import Given, Missing, Subject, open_subjects
from lavaseg.system.files import write_atomically
from lavaseg.system.shown import html_table
from lavaseg.system.words import percent

ENDINGS = (".html", ".csv")
"""Endings of the files that a comparison is written as."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs and networks side by side.

    Args:
        subjects: in the order in which they were given.
        notes: sentences on what was left out.
    """

    subjects: tuple[Subject, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Comparison({', '.join(subject.title for subject in self.subjects)})"

    def _repr_html_(self) -> str:
        columns = ["run", "data", ">mIoU trained", ">mIoU integers", ">synaptic operations"]
        rows = [
            (
                member.subject.title,
                member.subject.data or "-",
                percent(found.trained),
                percent(found.exported),
                "-" if found.cost.operations is None else f"{found.cost.operations:,.0f}",
            )
            for member, found in zip(self.members, self.figures, strict=True)
        ]
        return html_table(repr(self), columns, rows)

    @cached_property
    def groups(self) -> list[Group]:
        """Those whose mIoU can be compared with each other."""
        return grouped(self.subjects)

    @property
    def members(self) -> list[Member]:
        """All of them with their numbers."""
        return [Member(number, subject) for number, subject in enumerate(self.subjects, 1)]

    @cached_property
    def figures(self) -> list[Figures]:
        """The figures of each, in order."""
        return [figures_of(subject) for subject in self.subjects]

    @cached_property
    def fields(self) -> dict[str, list[str]]:
        """Fields of the recipes that differ, with the value of each."""
        return differing_fields([None if s.run is None else s.run.recipe for s in self.subjects])

    @property
    def missing(self) -> list[tuple[Member, Missing]]:
        """Parts that are not there, and the commands that make them."""
        return [(member, part) for member in self.members for part in member.subject.missing]

    @cached_property
    def remarks(self) -> list[str]:
        """All that a reader must know: what was left out, state of runs, what is not compared."""
        found = list(self.notes)
        if len(self.groups) > 1:
            parts = "; ".join(
                f"{', '.join(m.mark for m in group.members)}: {group.title}"
                for group in self.groups
            )
            found.append(
                "data sets or classes differ, so mIoU and IoU are compared within each of these "
                f"alone: {parts}"
            )
        for member, figures in zip(self.members, self.figures, strict=True):
            said = (*member.subject.remarks, *figures.remarks)
            found += [f"{member.mark} {member.subject.title}: {sentence}" for sentence in said]
        for group in self.groups:
            found += group.notes()
        devices = {s.device for s in self.subjects if s.device}
        if len(devices) > 1:
            found.append(
                f"trained on different machines ({'; '.join(sorted(devices))}): curves over time "
                "say nothing of the recipes alone"
            )
        return found

    def rows(self) -> list[dict[str, Any]]:
        """One row each, as plain data: figures, IoU of each class, fields that differ.

        mIoU and IoU are fractions, energies in pJ a sample, `against_first` in mIoU points.
        """
        found = []
        for group in self.groups:
            for member in group.members:
                found.append((member.number, self._row(group, member)))
        return [row for _, row in sorted(found, key=lambda pair: pair[0])]

    def _row(self, group: Group, member: Member) -> dict[str, Any]:
        subject, figures = member.subject, self.figures[member.number - 1]
        verdict = subject.verdict
        energy = figures.cost.picojoules
        row: dict[str, Any] = {
            "number": member.number,
            "name": subject.title,
            "path": "" if subject.path is None else str(subject.path),
            "data": subject.data,
            "classes": len(subject.classes),
            "test_samples": None if subject.evaluation is None else subject.evaluation.samples,
            "miou_trained": figures.trained,
            "miou_integers": figures.exported,
            "against_first_trained": group.against(member, "trained"),
            "against_first_integers": group.against(member, "exported"),
            "miou_trained_at_labels": _miou(subject.trained_at_labels),
            "miou_integers_at_labels": _miou(subject.exported_at_labels),
            "costs_of": figures.costs_of,
            "synaptic_operations": figures.cost.operations,
            "energy_least_pj": None if energy is None else energy[0],
            "energy_most_pj": None if energy is None else energy[1],
            "energy_estimate": figures.cost.estimates[0].title if figures.cost.estimates else "",
            "spikes_per_neuron_and_step": figures.cost.rate,
            "parameters": figures.parameters,
            "integers": figures.integers,
            "neurons": figures.cost.neurons,
            "steps": figures.steps,
            "epochs": figures.epochs,
            "epochs_planned": figures.planned,
            "best_validation_miou": figures.best,
            "training_seconds": figures.seconds,
            "trained_on": subject.device,
            "equal_on_lava": None if verdict is None else verdict["ok"],
            "missing": "; ".join(part.command or part.what for part in subject.missing),
        }
        for whose, evaluation in (("trained", subject.trained), ("integers", subject.exported)):
            if evaluation is not None:
                values = zip(evaluation.classes, evaluation.iou.tolist(), strict=True)
                row |= {f"iou_{whose}/{name}": value for name, value in values}
        row |= {f"recipe/{name}": texts[member.number - 1] for name, texts in self.fields.items()}
        return row

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "runs": self.rows(),
            "differing_fields": self.fields,
            "missing": [
                {"number": member.number, "what": part.what, "command": part.command}
                for member, part in self.missing
            ],
            "remarks": self.remarks,
        }

    def to_csv(self) -> str:
        """`rows` as CSV, one line each; cells are empty where nothing is known."""
        rows = self.rows()
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        return text.getvalue()

    def to_html(self) -> str:
        """One page that loads nothing."""
        from lavaseg.report.comparing.page import render_comparison

        return render_comparison(self)

    def save(self, path: str | Path) -> Path:
        """Write the page (.html) or the rows (.csv), whole or not at all.

        Raises:
            LavasegError: another ending, or the file cannot be written.
        """
        target = check_ending(path)
        html = target.suffix.lower() == ".html"
        write_atomically(target, self.to_html() if html else self.to_csv())
        return target


def check_ending(path: str | Path) -> Path:
    """The path; LavasegError unless its ending is one of `ENDINGS`."""
    found = Path(path)
    if found.suffix.lower() not in ENDINGS:
        raise LavasegError(f"--out {found} must end in {' or '.join(ENDINGS)}")
    return found


def compare(
    given: Given | Sequence[Given], out: str | Path | Sequence[str | Path] = ()
) -> Comparison:
    """Runs and networks in integers side by side: mIoU, IoU of classes, curves, costs, recipes.

    Nothing is trained, evaluated or run: only what their folders keep is read, and what is not
    there is named with the command that makes it.

    Args:
        given: runs, their folders, `.net` files or networks, any number; the first one of each
            data set is what the others are held against.
        out: files to write, ending in .html or .csv.

    Raises:
        LavasegError: a path that does not exist or is no run, nothing that can be read, another
            ending, or a file that cannot be written.
    """
    targets = [out] if isinstance(out, (str, Path)) else [*out]
    for target in targets:
        check_ending(target)
    subjects, notes = open_subjects(given)
    found = Comparison(tuple(subjects), tuple(notes))
    for target in targets:
        found.save(target)
    return found


def _miou(evaluation: Any) -> float | None:
    return None if evaluation is None else evaluation.miou


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return value
