"""The papers' tables and figures: the list has no gaps, and what it names exists."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Literal, cast

import pytest
import typer
from typer.testing import CliRunner

from lavaseg import models, recipes
from lavaseg.cli import app
from lavaseg.models.systems import SYSTEMS
from lavaseg.network import Input
from lavaseg.runs import Run
from lavaseg.studies import files, papers
from lavaseg.studies.measuring import networks
from lavaseg.studies.options import StepsOptions
from lavaseg.studies.papers import Item
from lavaseg.studies.plan import Job, plan
from lavaseg.studies.study import Size

KINDS: tuple[Literal["Table", "Figure"], ...] = ("Table", "Figure")
SIZES: tuple[Size, ...] = ("standard", "quick", "full")
PAPERS = {item.paper for item in papers.items()}


def of(cite: str) -> list[Item]:
    return [item for item in papers.items() if item.paper.cite == cite]


def cited(text: str) -> Iterable[tuple[str, str, int]]:
    """Paper, kind and number of each table and figure that a text cites."""
    places = sorted((match.start(), p.cite) for p in PAPERS for match in re.finditer(p.cite, text))
    ends = [*(start for start, _ in places), len(text)][1:]
    for (start, cite), end in zip(places, ends, strict=True):
        for kind, numbers in re.findall(
            r"\b(Table|Figure)s? (\d+(?:(?:, | and )\d+)*)", text[start:end]
        ):
            for number in re.findall(r"\d+", numbers):
                yield cite, kind, int(number)


def known(cite: str, kind: Literal["Table", "Figure"]) -> set[int]:
    """Numbers of the tables or figures of a paper that are known for certain."""
    return {n for item in of(cite) if item.certain for n in item.numbers(kind)}


@pytest.mark.parametrize("item", papers.items(), ids=lambda i: f"{i.paper.key}: {i.item}")
def test_each_item_is_reproduced_in_one_way_or_says_why_not(item: Item) -> None:
    assert [item.study, item.command, item.why_not].count(None) == 2
    assert item.shows
    if item.study is not None:
        assert item.study in files.names()
    if item.command is not None:
        program, command, *_ = item.command.split()
        assert program == "lavaseg"
        assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("paper", sorted(PAPERS, key=lambda p: p.key), ids=lambda p: p.key)
def test_no_table_and_no_figure_is_left_out(
    paper: papers.Paper, kind: Literal["Table", "Figure"]
) -> None:
    numbers = [number for item in of(paper.cite) for number in item.numbers(kind)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_all_three_papers_are_listed() -> None:
    assert {paper.cite for paper in PAPERS} == {
        "Kim et al. 2022",
        "Yadolahi & Abolmaali 2025",
        "Su et al. 2024",
    }


def test_the_command_lists_every_item_and_marks_what_is_not_certain() -> None:
    found = CliRunner().invoke(app, ["study", "list", "--json"])
    listed = json.loads(found.stdout)["papers"]
    assert [(i["paper"], i["item"]) for i in listed] == [
        (i.paper.cite, i.item) for i in papers.items()
    ]
    marked = [i.label for i in papers.items() if not i.certain]
    assert marked
    assert all(label.endswith("(?)") for label in marked)


def test_citations_are_found_in_a_text() -> None:
    text = "Kim et al. 2022, Tables 2 and 3 and Figure 12; Yadolahi & Abolmaali 2025, Table 1"
    assert list(cited(text)) == [
        ("Kim et al. 2022", "Table", 2),
        ("Kim et al. 2022", "Table", 3),
        ("Kim et al. 2022", "Figure", 12),
        ("Yadolahi & Abolmaali 2025", "Table", 1),
    ]


def _texts() -> dict[str, str]:
    found = {f"recipe {name}": recipes.load(name).paper for name in recipes.names()}
    found |= {f"system {key}": system.source for key, system in SYSTEMS.items()}
    for name in files.names():
        study = files.load(name)
        sources = [part.source for part in (*study.printed, *study.claims)]
        found[f"study {name}"] = "; ".join([study.paper, *sources])
    return found


def test_what_recipes_systems_and_studies_cite_is_in_that_paper() -> None:
    wrong = [
        f"{where}: {cite} has no {kind} {number}"
        for where, text in _texts().items()
        for cite, kind, number in cited(text)
        if number not in known(cite, kind)  # type: ignore[arg-type]
    ]
    assert not wrong


@functools.cache
def jobs(name: str, size: Size = "standard") -> tuple[Job, ...]:
    """The runs of a study."""
    return plan(files.load(name, size)).jobs


def keys(name: str) -> set[str]:
    return {job.key for job in jobs(name)}


@pytest.mark.parametrize("name", files.names())
def test_every_shipped_study_runs_at_three_sizes(name: str) -> None:
    standard, quick, full = (files.load(name, size) for size in SIZES)
    assert standard.name == name
    assert len(standard.seeds) == len(full.seeds) == 3
    assert len(quick.seeds) == 1
    assert len(jobs(name, "quick")) <= 6
    assert len(jobs(name, "quick")) < len(jobs(name)) < 120


@pytest.mark.parametrize("name", files.names())
def test_full_studies_have_the_size_of_the_published_recipes(name: str) -> None:
    published = set(recipes.names("papers"))
    for job in jobs(name, "full"):
        if job.recipe.seed:
            continue
        recipe = recipes.load(job.recipe.name)
        assert recipe.name in published
        assert job.recipe.training == recipe.training
        assert job.recipe.data == recipe.data


def test_studies_of_the_same_networks_share_their_runs() -> None:
    assert keys("noise") == keys("kim-systems")
    assert keys("noise-rmp") < keys("rmp")
    assert keys("rmp-cost") < keys("rmp")
    assert keys("rates") < keys("rmp") | keys("noise")
    assert keys("time-steps-inference") < keys("noise")
    assert keys("conversion") < keys("noise") | keys("rmp")
    assert keys("mfs-blocks") & keys("mfs-systems") & keys("energy")


WORDS = {"layer", "rule", "formula", "weights"}
"""Conditions whose labels are no numbers."""


@pytest.mark.parametrize("name", files.names())
def test_lines_have_numbers_along_their_horizontal(name: str) -> None:
    for size in SIZES:
        study = files.load(name, size)
        for figure in study.figure:
            if figure.kind == "lines":
                assert figure.x not in WORDS
                assert all(re.fullmatch(r"[\d.]+", label) for label in study.axes.get(figure.x, ()))


def test_every_printed_figure_has_a_place_in_a_table_of_its_study() -> None:
    for name in files.names():
        study = files.load(name)
        for printed in study.printed:
            assert any(
                printed.quantity in table.columns and {*printed.at} <= {*table.rows, *table.where}
                for table in study.table
            ), f"{name}: {printed.value} of {printed.at}"


def test_other_numbers_of_steps_give_nothing_for_artificial_networks() -> None:
    """Studies compare networks at several T with converted ones, in one list of measures."""
    model = models.build("ann_fcn", Input("input", (3, 32, 32), 6), 2, width=8)
    run = cast(Run, SimpleNamespace(model=model))
    assert not list(networks.steps(run, StepsOptions(steps=(1, 2))))
