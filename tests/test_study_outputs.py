"""Outputs of studies as one sees them: figures, and tables at a terminal."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from lavaseg.cli.console import print_table
from lavaseg.studies.figure import clouds_of, curves_of, draw, printed_points
from lavaseg.studies.files import parse
from lavaseg.studies.results import Results, Value
from lavaseg.studies.table import tables

STUDY: dict[str, Any] = {
    "name": "own",
    "title": "a question",
    "recipe": "demo",
    "axes": {
        "data": {"digits": {}},
        "RMP": {"off": {}, "all": {"rmp.weight": 0.1}},
    },
    "measure": ["test", {"noise": {"sigma": [0, 0.1]}}],
    "table": {"rows": ["RMP"], "columns": ["miou", "spikes"]},
    "figure": {"x": "sigma", "y": "drop", "lines": ["data", "RMP"]},
}


def test_a_legend_leaves_out_labels_that_all_curves_share() -> None:
    study = parse(STUDY)
    values = tuple(
        Value({"data": "digits", "RMP": rmp, "sigma": "0.1"}, 0, "drop", 1.0)
        for rmp in ("off", "all")
    )
    both = Results("standard", ("data", "RMP"), ("sigma",), values)
    assert [name for name, _ in curves_of(study, both, study.figure[0])] == ["off", "all"]
    one = Results("standard", ("data", "RMP"), ("sigma",), values[:1])
    assert [name for name, _ in curves_of(study, one, study.figure[0])] == ["digits, off"]


def test_printed_figures_stand_where_a_point_of_the_same_labels_is_drawn() -> None:
    figure = {"kind": "bars", "x": "RMP", "y": "energy", "lines": ["data"]}
    where = {"formula": "mfs-seg"}
    at = [
        {"data": "digits", "RMP": "all", **where},
        {"data": "digits", "RMP": "all", "formula": "kim"},
        {"data": "VOC", "RMP": "all", **where},  # not measured
        {"data": "digits", "RMP": "off", **where},  # not measured
    ]
    printed = [{"at": a, "quantity": "energy", "value": 0.002, "source": "a paper"} for a in at]
    axes = {**STUDY["axes"], "data": {"digits": {}, "VOC": {"recipe": "voc"}}}
    measure = ["test", "energy"]
    study = parse(
        STUDY
        | {"axes": axes, "measure": measure, "table": []}
        | {"figure": {**figure, "where": where}, "printed": printed}
    )
    value = Value({"data": "digits", "RMP": "all", **where}, 0, "energy", 0.001)
    results = Results("standard", ("data", "RMP"), ("formula",), (value,))
    assert printed_points(study, results, study.figure[0]) == [("digits", "all", 2.0)], "in mJ"


def test_points_are_means_of_two_quantities_joined_along_an_axis(tmp_path: Path) -> None:
    axes = {
        "RMP": {"off": {}, "all": {"rmp.weight": 0.1}},
        "epochs": {"field": "training.epochs", "values": [1, 2, 4]},
    }
    figure = {"kind": "points", "x": "step_memory", "y": "miou", "lines": ["RMP"]}
    plain = {"figure": {**figure, "along": "epochs", "log": True}, "table": []}
    study = parse(STUDY | {"axes": axes, "measure": ["test", "cost"]} | plain)
    values = [
        Value({"RMP": rmp, "epochs": str(epochs)}, seed, quantity, value)
        for rmp, epochs in itertools.product(("off", "all"), (2, 1))  # 4 not yet
        for seed in (0, 1)
        for quantity, value in (("step_memory", 2.0**20 * epochs), ("miou", 10.0 * epochs + seed))
    ]
    lonely = Value({"RMP": "all", "epochs": "4"}, 0, "miou", 99.0)  # its memory is not known
    results = Results("standard", ("RMP", "epochs"), (), (*values, lonely))
    clouds = dict(clouds_of(study, results, study.figure[0]))
    spread = pytest.approx(0.5**0.5)
    wanted = [(1.0, 0.0, 10.5, spread), (2.0, 0.0, 20.5, spread)]  # MiB, in the axis' order
    assert clouds == {"off": wanted, "all": wanted}
    draw(study, results, study.figure[0], tmp_path / "points.png")
    assert (tmp_path / "points.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_has_no_rows_of_runs_that_gave_nothing() -> None:
    study = parse(STUDY)
    nothing = Results("standard", ("data", "RMP"), (), ())
    assert tables(study, nothing) == []
    value = Value({"data": "digits", "RMP": "all"}, 0, "miou", 50.0)
    some = Results("standard", ("data", "RMP"), (), (value,))
    assert [row[0] for table in tables(study, some) for row in table.rows] == ["all"]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_at_a_terminal_breaks_no_cell_and_fits(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    columns = ["network", *(f">energy of a sample number {i} (mJ)" for i in range(6))]
    rows = [
        ("Spiking-DeepLab", *(f"{i}.25 ± 0.12" for i in range(6))),
        ("FCN", *("-" for _ in range(6))),
    ]
    print_table("title", columns, rows, whole=columns[1:])
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert all(len(line) <= width for line in lines)
    for cell in rows[0][1:]:
        assert sum(cell in line and "Spiking-DeepLab" in line for line in lines) == 1
    assert any("FCN" in line for line in lines) == (width == 200)
