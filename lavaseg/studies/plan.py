"""The runs of a study: one job for each run, however many places of the study share it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import product
from typing import Any

from lavaseg import recipes
from lavaseg.errors import LavasegError
from lavaseg.recipes import Recipe
from lavaseg.studies.measures import measure_named
from lavaseg.studies.study import Measured, Study, StudyError, merged

UNIMPORTANT = frozenset({"name", "title", "paper", "machine"})
"""Fields of a recipe that change nothing of what is trained."""


@dataclass(frozen=True)
class Cell:
    """One place of a study: a label of each axis, and a seed.

    Args:
        job: index of the job whose run stands there.
    """

    labels: dict[str, str]
    seed: int
    job: int

    @property
    def title(self) -> str:
        """'network plain, RMP all, seed 0'."""
        words = [f"{axis} {label}" for axis, label in self.labels.items()]
        return ", ".join([*words, f"seed {self.seed}"])


@dataclass(frozen=True)
class Job:
    """One run: a recipe to train, and what to measure of it.

    Args:
        title: of the first place that it stands in.
        key: of everything of the recipe that matters.
    """

    title: str
    recipe: Recipe
    key: str
    measures: tuple[Measured, ...]

    @property
    def folder(self) -> str:
        """Name of a new run's folder."""
        return f"{self.recipe.name}-{self.key}"


@dataclass(frozen=True)
class Plan:
    """All of a study, in the order in which it is done: the first seed of everything first."""

    study: Study
    jobs: tuple[Job, ...]
    cells: tuple[Cell, ...]


def key_of(recipe: Recipe) -> str:
    """Twelve hexadecimal digits of all fields of a recipe that matter.

    Fields at their defaults do not count, so that a field that a later version adds does not make
    every run another one.
    """
    # the digest of the weights that it began with is noted by the run
    unimportant: Any = {**dict.fromkeys(UNIMPORTANT, True), "init": {"sha256": True}}
    fields = recipe.model_dump(mode="json", exclude=unimportant, exclude_defaults=True)
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan(study: Study) -> Plan:
    """The jobs and places of a study.

    Raises:
        StudyError: a recipe that is unknown, that cannot have such fields, or whose runs cannot be
            measured so; says where.
    """
    jobs: dict[str, Job] = {}
    cells = []
    for seed in study.seeds:
        for labels in product(*study.axes.values()):
            chosen = dict(zip(study.axes, labels, strict=True))
            place = Cell(chosen, seed, 0)
            recipe = _recipe(study, chosen, seed, place.title)
            _check_measures(study, recipe, place.title)
            key = key_of(recipe)
            job = jobs.setdefault(key, Job(place.title, recipe, key, study.measure))
            cells.append(Cell(chosen, seed, list(jobs).index(job.key)))
    return Plan(study, tuple(jobs.values()), tuple(cells))


def _check_measures(study: Study, recipe: Recipe, title: str) -> None:
    for measured in study.measure:
        try:
            options = measure_named(measured.name).parse(measured.name, measured.options)
            options.check(recipe)
        except LavasegError as error:
            where = f"study {study.name}, {title}, measure {measured.name}"
            raise StudyError(f"{where}: {error}") from None


def _recipe(study: Study, labels: dict[str, str], seed: int, title: str) -> Recipe:
    source, fields = study.recipe, dict(study.set)
    for axis, label in labels.items():
        variant = study.axes[axis][label]
        source = variant.recipe or source
        fields = merged(fields, variant.fields)
    try:
        if source is None:
            raise LavasegError("it has no recipe")
        words = [f"{field}={json.dumps(value)}" for field, value in fields.items()]
        return recipes.load(source, [*words, f"seed={seed}"])
    except LavasegError as error:
        raise StudyError(f"study {study.name}, {title}: {error}") from None
