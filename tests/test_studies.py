"""Studies: files are checked before anything runs, and shown from their results alone."""

from __future__ import annotations

import itertools
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lavaseg.errors import LavasegError
from lavaseg.recipes import load as load_recipe
from lavaseg.studies import load, names
from lavaseg.studies.figure import curves_of, draw
from lavaseg.studies.files import dump, load_kept, parse
from lavaseg.studies.measures import MEASURES, QUANTITIES
from lavaseg.studies.page import filled, refresh
from lavaseg.studies.plan import key_of, plan
from lavaseg.studies.results import Results, Value, read_csv, write_csv
from lavaseg.studies.showing import shown, write_outputs
from lavaseg.studies.study import Study
from lavaseg.studies.table import markdown, tables
from lavaseg.studies.verdicts import verdicts

ROOT = Path(__file__).resolve().parents[1]

OWN: dict[str, Any] = {
    "name": "own",
    "title": "Does RMP cost mIoU?",
    "recipe": "demo",
    "seeds": [0, 1],
    "axes": {"RMP": {"off": {}, "all": {"rmp.weight": 0.1}}},
    "measure": ["test", {"noise": {"sigma": [0, 0.1]}}],
    "table": {"rows": ["RMP"], "columns": ["miou", "spikes"]},
    "figure": {"x": "sigma", "y": "drop", "lines": ["RMP"]},
    "printed": [{"at": {"RMP": "all"}, "quantity": "miou", "value": 48.48, "source": "A, Table 1"}],
    "claims": [
        {
            "says": "RMP raises mIoU",
            "quantity": "miou",
            "of": {"RMP": "all"},
            "against": {"RMP": "off"},
            "printed": 0.7,
            "source": "A, Table 1",
        }
    ],
    "quick": {"seeds": [0], "measure": ["test"], "axes": {"RMP": ["all"]}},
    "full": {"set": {"training.epochs": 50}, "note": "50 epochs"},
}


def study_with(**changes: Any) -> Study:
    return parse({**OWN, **changes})


def results_of(
    values: dict[tuple[str, int], float], quantity: str = "miou", settings: str = "standard"
) -> Results:
    """Results of `OWN` by label and seed."""
    found = tuple(Value({"RMP": rmp}, seed, quantity, v) for (rmp, seed), v in values.items())
    return Results(settings, ("RMP",), ("sigma",), found)


@pytest.mark.parametrize("name", names())
def test_every_version_of_a_study_that_ships_can_be_planned_and_is_kept_as_it_is(
    name: str, tmp_path: Path
) -> None:
    for size in ("standard", *load(name).versions):
        study = load(name, size)  # type: ignore[arg-type]
        planned = plan(study)
        assert len(planned.cells) == study.count
        assert {cell.job for cell in planned.cells} == {*range(len(planned.jobs))}
        (tmp_path / "study.yaml").write_text(dump(study), "utf-8")
        kept = load_kept(tmp_path / "study.yaml")
        assert plan(kept).cells == planned.cells
        assert [job.key for job in plan(kept).jobs] == [job.key for job in planned.jobs]
        shown_fields = ("title", "table", "figure", "printed", "claims", "measure", "settings")
        assert all(getattr(kept, field) == getattr(study, field) for field in shown_fields)


@pytest.mark.parametrize("name", names())
def test_every_study_that_ships_has_a_quick_version(name: str) -> None:
    assert load(name).quick is not None


def test_axes_are_labels_values_of_a_field_or_recipes() -> None:
    axes = {
        "RMP": {"off": {}, "all": {"rmp.weight": 0.1}},
        "T": {"field": "encoder.steps", "values": [2, 4]},
        "system": ["demo", "quick-deeplab"],
    }
    planned = plan(study_with(axes=axes, seeds=[3], table=[], figure=[], claims=[], printed=[]))
    assert len(planned.jobs) == 8
    assert planned.cells[2].labels == {"RMP": "off", "T": "4", "system": "demo"}
    job = planned.jobs[planned.cells[-1].job]
    assert job.recipe.name == "quick-deeplab"
    assert (job.recipe.seed, job.recipe.encoder["steps"], job.recipe.rmp.weight) == (3, 4, 0.1)


def test_words_of_yaml_stay_labels(tmp_path: Path) -> None:
    text = yaml.safe_dump(OWN, sort_keys=False).replace("'off'", "off")
    assert "off: {}" in text
    (tmp_path / "own.yaml").write_text(text)
    assert list(load(tmp_path / "own.yaml").axes["RMP"]) == ["off", "all"]


def test_places_that_are_the_same_run_share_it_and_the_first_seed_comes_first() -> None:
    axes = {"RMP": {"off": {}, "none": {"rmp.weight": 0.0}, "all": {"rmp.weight": 0.1}}}
    planned = plan(study_with(axes=axes, claims=[], printed=[]))
    assert [cell.job for cell in planned.cells] == [0, 0, 1, 2, 2, 3]
    assert [job.recipe.seed for job in planned.jobs] == [0, 0, 1, 1]


def test_the_key_of_a_run_is_that_of_the_fields_that_matter() -> None:
    recipe = load_recipe("demo")
    renamed = recipe.model_copy(update={"title": "other", "name": "other", "paper": "other"})
    assert key_of(renamed) == key_of(recipe)
    assert key_of(load_recipe("demo", ["seed=1"])) != key_of(recipe)
    assert key_of(load_recipe("demo", ["finetune.epochs=9"])) != key_of(recipe)
    begun = load_recipe("demo", ["init.weights=runs/base"])
    assert key_of(begun) != key_of(recipe)
    noted = begun.init.model_copy(update={"sha256": "ab" * 32})  # as the run does that it makes
    assert key_of(begun.model_copy(update={"init": noted})) == key_of(begun)


def test_a_version_replaces_what_it_names_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(OWN))
    quick = load(tmp_path / "own.yaml", "quick", overrides=["training.epochs=2"])
    assert quick.seeds == (0,)
    assert list(quick.axes["RMP"]) == ["all"]
    assert quick.settings == "quick; training.epochs=2"
    assert plan(quick).jobs[0].recipe.training.epochs == 2
    full = load(tmp_path / "own.yaml", "full")
    assert plan(full).jobs[0].recipe.training.epochs == 50
    assert full.seeds == (0, 1)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "field": ({"colour": 1}, "there is no field 'colour'"),
    "missing": ({"title": None}, "field 'title'"),
    "measure": ({"measure": ["speed"]}, "there is no measure 'speed'; there are test, integers"),
    "no measure": ({"measure": []}, "field 'measure'"),
    "option": ({"measure": [{"noise": {"size": 1}}]}, "measure 'noise' has no option 'size'"),
    "amounts": ({"measure": [{"noise": {"sigma": "big"}}]}, "option 'sigma'"),
    "rule": ({"measure": [{"conversion": {"rules": ["best"]}}]}, "there is no rule 'best'"),
    "twice": ({"measure": ["test", "test"]}, "'test' and 'test' both give 'miou'"),
    "axis in table": ({"table": {"rows": ["size"], "columns": ["miou"]}}, "condition 'size'"),
    "quantity": ({"table": {"rows": ["RMP"], "columns": ["fun"]}}, "there is no quantity 'fun'"),
    "not measured": (
        {"table": {"rows": ["RMP"], "columns": ["operations"]}},
        "no measure of this study gives 'operations'",
    ),
    "other condition": (
        {"table": {"rows": ["RMP"], "columns": ["drop"]}},
        "'drop' is measured by sigma, not by no condition",
    ),
    "mixing": ({"table": {"rows": ["sigma"], "columns": ["drop"]}}, "mix the labels of axis 'RMP'"),
    "empty axis": ({"axes": {"RMP": {}}}, "axis 'RMP' is empty"),
    "no values": ({"axes": {"T": {"field": "encoder.steps", "values": []}}}, "axis 'T' is empty"),
    "label twice": ({"axes": {"T": {"field": "encoder.steps", "values": [2, 2]}}}, "twice, got 2"),
    "not an axis": ({"axes": {"T": 3}}, "axis 'T': expected fields and their values, got 3"),
    "not axes": ({"axes": 3}, "axes: expected fields and their values, got 3"),
    "values": ({"axes": {"T": {"field": "encoder.steps", "values": 4}}}, "a list of values"),
    "group": ({"axes": {"system": {"recipes": "slow"}}}, "one of the groups papers, quick"),
    "two axes": (
        {"axes": {"T": {"field": "encoder.steps", "values": [2]}, "code": {"a": {"encoder": {}}}}},
        "axes 'T' and 'code' both set 'encoder'",
    ),
    "seed": ({"axes": {"s": {"field": "seed", "values": [1]}}}, "use the field seeds"),
    "column": ({"axes": {"sigma": {"a": {}}}}, "axis 'sigma' has the name of another column"),
    "label": (
        {"printed": [{"at": {"RMP": "half"}, "quantity": "miou", "value": 1, "source": "A"}]},
        "axis 'RMP' has no label 'half'; it has all, off",
    ),
    "claim": (
        {"claims": [{"says": "it", "quantity": "miou", "of": {"RMP": "all"}, "source": "A"}]},
        "expected printed, or the sign",
    ),
    "no value of a condition": (
        {"claims": [{**OWN["claims"][0], "of": {"RMP": "all", "sigma": 0.2}}]},
        "condition 'sigma' has no label '0.2': did you mean '0.1'?",
    ),
    "amount twice": (
        {"measure": ["test", {"noise": {"sigma": [0.1, 0.1000000001]}}]},
        "option 'sigma': expected different ones",
    ),
    "words along lines": (
        {"figure": {"x": "RMP", "y": "miou"}},
        "figure 1: a figure of lines needs numbers along x, got 'all': use bars",
    ),
    "layers along lines": (
        {"measure": ["test", "rates"], "figure": {"x": "layer", "y": "rate", "lines": ["RMP"]}},
        "figure 1: lines need numbers along x, not a layer: use kind bars",
    ),
    "points against a condition": (
        {"figure": {"kind": "points", "x": "sigma", "y": "miou", "lines": ["RMP"]}},
        "figure 1: there is no quantity 'sigma'",
    ),
    "points of several labels": (
        {"figure": {"kind": "points", "x": "spikes", "y": "miou"}},
        "figure 1 would mix the labels of axis 'RMP'",
    ),
    "points along nothing": (
        {"figure": {"kind": "points", "x": "spikes", "y": "miou", "along": "T"}},
        "figure 1: there is no axis or condition 'T'",
    ),
    "lines along an axis": (
        {"figure": {"x": "sigma", "y": "drop", "lines": ["RMP"], "along": "RMP"}},
        "figure 1: along joins points: use kind points, not lines",
    ),
    "one side": (
        {"claims": [{**OWN["claims"][0], "of": {}}]},
        "against has a label of axis 'RMP', and of has none",
    ),
    "same sides": (
        {"claims": [{**OWN["claims"][0], "of": {"RMP": "off"}}]},
        "of and against are the same",
    ),
    "no sign": (
        {"claims": [{**OWN["claims"][0], "as": "ratio", "printed": 1}]},
        "printed 1 has no sign",
    ),
    "two signs": (
        {"claims": [{**OWN["claims"][0], "sign": "-"}]},
        "printed 0.7 has not the sign -",
    ),
    "no word": ({"axes": {"RMP": {"": {}, "all": {}}}}, "axis 'RMP': '' is no word"),
    "line break": ({"axes": {"RMP": {"a\nb": {}}}}, "is no word"),
    "no recipe": ({"recipe": None}, "field 'recipe' is missing, and no axis chooses one"),
    "seeds": ({"seeds": [-1]}, "field 'seeds.0'"),
    "name": ({"name": "a/b"}, "field 'name'"),
    "quick": ({"quick": {"axes": {"RMP": []}}}, "axis 'RMP' is empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_study_is_refused_in_one_sentence_that_names_file_and_field(
    case: str, tmp_path: Path
) -> None:
    changes, expected = WRONG[case]
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({**OWN, **changes}))
    with pytest.raises(LavasegError) as caught:
        load(tmp_path / "wrong.yaml")
    assert expected in str(caught.value)
    assert "wrong.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recipe": "nothing"}, "own, RMP off, seed 0: there is no recipe 'nothing'"),
        ({"set": {"training.epoch": 3}}, "there is no field 'training.epoch'"),
        ({"set": {"training.epochs": "many"}}, "field 'training.epochs'"),
        (
            {"measure": ["test", {"noise": {"kind": "drop-events", "share": [0.1]}}], "figure": []},
            "RMP off, seed 0, measure noise: pictures have no events",
        ),
        (
            {"measure": ["test", {"steps": {"steps": [5000]}}], "figure": []},
            "RMP off, seed 0, measure steps: steps must be",
        ),
    ],
)
def test_a_recipe_that_cannot_be_is_named_with_its_place(
    changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(LavasegError, match=expected):
        plan(study_with(**changes))


HELD = {("off", 0): 50.0, ("off", 1): 51.0, ("all", 0): 51.0, ("all", 1): 51.5}


@pytest.mark.parametrize(
    ("gains", "sign", "size"),
    [
        ((1.0, 0.5), "held", True),
        ((3.0, 2.0), "held", False),
        ((0.1, 0.2), "held", False),
        ((-1.0, -0.5), "did not hold", False),
        ((1.0, -0.5), "undecided", False),
        ((1.0, 0.0), "undecided", False),
    ],
)
def test_a_claim_holds_by_the_signs_of_all_pairs_and_in_size_by_their_mean(
    gains: tuple[float, float], sign: str, size: bool
) -> None:
    values = {("off", 0): 50.0, ("off", 1): 60.0}
    values |= {("all", seed): values["off", seed] + gain for seed, gain in enumerate(gains)}
    (verdict,) = verdicts(study_with(), results_of(values))
    assert (verdict.sign, verdict.size) == (sign, size)
    assert verdict.values == pytest.approx(gains)


def test_seeds_that_only_one_side_has_make_no_pair() -> None:
    (verdict,) = verdicts(study_with(), results_of({("off", 0): 50.0, ("all", 1): 51.0}))
    assert verdict.sign == "not measured"
    assert "not measured here" in verdict.sentence


@pytest.mark.parametrize(
    ("how", "printed", "found"), [("ratio", 1.5, 2.0), ("relative", 80.0, 100.0), ("value", 9, 20)]
)
def test_claims_compare_by_difference_ratio_share_or_with_nothing(
    how: str, printed: float, found: float
) -> None:
    claim = {**OWN["claims"][0], "as": how, "printed": printed}
    if how == "value":
        del claim["against"]
    (verdict,) = verdicts(
        study_with(claims=[claim]), results_of({("off", 0): 10.0, ("all", 0): 20.0})
    )
    assert verdict.values == pytest.approx((found,))
    assert verdict.sign == "held"


def test_a_ratio_that_is_printed_below_one_holds_below_one() -> None:
    claim = {**OWN["claims"][0], "as": "ratio", "printed": 0.5}
    values = {("off", 0): 10.0, ("all", 0): 4.0}
    (verdict,) = verdicts(study_with(claims=[claim]), results_of(values))
    assert (verdict.sign, verdict.size) == ("held", True)


def test_a_table_shows_printed_measured_spread_and_seeds() -> None:
    (table,) = tables(study_with(), results_of(HELD))
    assert table.columns == (
        *("RMP", ">mIoU (%), printed", ">mIoU (%), measured", ">spread", "seeds"),
    )
    assert table.rows == (
        ("off", "-", "50.50", "0.71", "0, 1"),
        ("all", "48.48", "51.25", "0.35", "0, 1"),
    )
    assert table.sources == ("A, Table 1",)


def test_where_narrows_the_rows_of_a_table_and_the_lines_of_a_figure() -> None:
    spec = {"rows": ["RMP", "sigma"], "columns": ["drop"], "where": {"sigma": 0.1, "RMP": "all"}}
    printed = [
        {"at": {"RMP": rmp, "sigma": 0.1}, "quantity": "drop", "value": 7, "source": "A"}
        for rmp in ("off", "all")
    ]
    figure = {"x": "sigma", "y": "drop", "lines": ["RMP"], "where": {"RMP": "all"}}
    study = study_with(table=spec, printed=printed, figure=figure)
    (table,) = tables(study, noisy_results())
    assert [row[:3] for row in table.rows] == [("all", "0.1", "7.00")]
    assert [name for name, _ in curves_of(study, noisy_results(), study.figure[0])] == ["all"]


def test_a_quantity_of_fewer_seeds_than_its_row_says_of_which() -> None:
    spikes = Value({"RMP": "all"}, 1, "spikes", 2.0)
    full = results_of(HELD)
    results = Results("standard", full.axes, full.conditions, (*full.values, spikes))
    (table,) = tables(study_with(), results)
    assert table.rows[1] == ("all", "48.48", "51.25", "0.35", "2.000 (seed 1)", "0, 1")


def test_labels_with_dollars_are_drawn_as_they_are(tmp_path: Path) -> None:
    study = study_with(
        axes={"RMP": {"$x^$": {}, "all": {"rmp.weight": 0.1}}}, title="5 $^ or $", claims=[]
    )
    results = results_of({("$x^$", 0): 1.0, ("all", 0): 2.0})
    spec = study.figure[0].model_copy(update={"kind": "bars", "x": "RMP", "y": "miou", "lines": ()})
    draw(study, results, spec, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_values_under_conditions_do_not_enter_a_table_that_names_none() -> None:
    noisy = Value({"RMP": "off", "sigma": "0.1"}, 0, "miou", 3.0)
    clean = results_of(HELD)
    results = Results("standard", clean.axes, clean.conditions, (*clean.values, noisy))
    assert tables(study_with(), results) == tables(study_with(), clean)
    assert results.select("miou", {"RMP": "off"}, ["sigma"]) == [noisy]


def test_every_output_says_that_it_is_quick(tmp_path: Path) -> None:
    text = markdown(study_with(), results_of(HELD, settings="quick; training.epochs=1"))
    assert "Quick version" in text
    assert "training.epochs=1" in text
    write_csv(results_of(HELD, settings="quick"), tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert all(line.startswith(("quick,", "settings,")) for line in lines)


labels = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=9)


@given(
    st.dictionaries(
        st.tuples(labels, labels, st.integers(0, 9)),
        st.floats(allow_nan=False, allow_infinity=False),
        min_size=1,
    )
)
def test_a_csv_file_gives_back_every_value_whatever_its_labels(
    tmp_path_factory: pytest.TempPathFactory, given_values: dict[tuple[str, str, int], float]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    values = tuple(
        Value({"a, b": one, "sigma": two}, seed, "miou", value)
        for (one, two, seed), value in given_values.items()
    )
    results = Results("standard", ("a, b",), ("sigma",), values)
    write_csv(results, path)
    assert read_csv(path) == results


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("settings,", "place,", "is no table of results"),
        ("51.25", "many", "line 2: seed and value must be numbers"),
        ("51.25", "nan", "line 2: seed and value must be numbers"),
        ("miou", "fun", "there is no quantity 'fun'"),
        (",51.25", "", "line 2: expected 6 cells, got 5"),
        ("standard,all,1", "standard,all,0", "line 3: the same value is there twice"),
        ("standard,all,1", "quick,all,1", "results of one study"),
        ("settings,RMP", 'settings,"RMP', "is no table of results"),
        ("standard,all,1", "standard,,1", "line 3: axis 'RMP' has no label"),
        ("standard,all,0,,miou,51.25\nstandard,all,1,,miou,50.0\n", "", "holds no results"),
    ],
)
def test_a_damaged_csv_file_is_refused_with_its_line(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    write_csv(results_of({("all", 0): 51.25, ("all", 1): 50.0}), path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(LavasegError) as caught:
        read_csv(path)
    assert expected in str(caught.value)
    assert "a.csv" in str(caught.value)


def test_a_mark_that_spreadsheets_put_in_front_of_a_csv_file_is_no_damage(tmp_path: Path) -> None:
    write_csv(results_of(HELD), tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace("\n", "\r\n"), "utf-8-sig", newline="")
    assert read_csv(tmp_path / "a.csv") == results_of(HELD)


def noisy_results() -> Results:
    """Two labels, two seeds, three sigmas."""
    values = tuple(
        Value({"RMP": rmp, "sigma": sigma}, seed, "drop", 10 * float(sigma) + seed)
        for rmp, seed, sigma in itertools.product(("off", "all"), (0, 1), ("0", "0.1", "0.05"))
    )
    return Results("standard", ("RMP",), ("sigma",), (*results_of(HELD).values, *values))


def test_a_figure_has_a_curve_for_each_label_with_mean_and_spread_over_seeds(
    tmp_path: Path,
) -> None:
    study = study_with()
    curves = dict(curves_of(study, noisy_results(), study.figure[0]))
    assert list(curves) == ["off", "all"]
    for x, mean, spread in curves["off"]:
        assert mean == pytest.approx(10 * float(x) + 0.5)
        assert spread == pytest.approx(0.5**0.5)
    for kind in ("lines", "bars"):
        spec = study.figure[0].model_copy(update={"kind": kind})
        draw(study, noisy_results(), spec, tmp_path / f"{kind}.png")
        assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def own_page(tmp_path: Path) -> Path:
    """A page with a block of the study rmp, and its results."""
    study = load("rmp")
    cells = itertools.product(*study.axes.values(), study.seeds)
    values = tuple(
        Value(dict(zip(study.axes, given, strict=True)), seed, "miou", 50.0 + seed)
        for *given, seed in cells
    )
    (tmp_path / "results").mkdir()
    write_csv(Results("standard", tuple(study.axes), (), values), tmp_path / "results" / "rmp.csv")
    page = tmp_path / "page.md"
    page.write_text("# Ours\n\n<!-- study: rmp -->\n99.99 typed\n<!-- end -->\n\nProse.\n")
    return page


def test_a_page_is_filled_from_results_and_nothing_in_its_blocks_can_be_typed(
    own_page: Path,
) -> None:
    assert filled(own_page) != own_page.read_text()
    assert refresh(own_page) == ["rmp"]
    text = own_page.read_text()
    assert filled(own_page) == text
    assert "typed" not in text
    assert "| 51.00 |" in text
    assert text.startswith("# Ours\n")
    assert text.endswith("\n\nProse.\n")
    for picture in own_page.parent.glob("results/*.png"):
        assert f"(results/{picture.name})" in text


def test_the_command_of_a_page_names_other_seeds_than_the_studys(own_page: Path) -> None:
    assert "--seeds" not in filled(own_page)
    csv = own_page.parent / "results" / "rmp.csv"
    lines = csv.read_text().splitlines()
    at = lines[0].split(",").index("seed")
    kept = [line for line in lines if line.split(",")[at] != "1"]
    words = [line.replace("standard,", "standard; encoder.steps=4,") for line in kept]
    csv.write_text("\n".join(words) + "\n")
    assert "lavaseg study run rmp --set encoder.steps=4 --seeds 0,2\n" in filled(own_page)


def test_a_block_without_end_or_results_is_refused(own_page: Path) -> None:
    text = own_page.read_text()
    own_page.write_text(text.replace("rmp -->", "conversion -->"))
    with pytest.raises(LavasegError, match=r"conversion\.csv"):
        filled(own_page)
    own_page.write_text(text.replace("<!-- end -->", ""))
    with pytest.raises(LavasegError, match="has no `<!-- end -->`"):
        filled(own_page)


def test_the_blocks_of_our_results_are_what_their_csv_files_give() -> None:
    page = ROOT / "docs" / "results.md"
    assert filled(page) == page.read_text("utf-8"), "`lavaseg study page` fills it anew"


def test_outputs_are_the_same_from_the_csv_alone(tmp_path: Path) -> None:
    study, results = study_with(), noisy_results()
    (tmp_path / "study.yaml").write_text(dump(study))
    write_outputs(study, results, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"results.csv", "table.md", "figure.png"} < set(before)
    write_outputs(*shown(tmp_path / "results.csv"), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_results_of_other_axes_are_refused(tmp_path: Path) -> None:
    write_csv(results_of(HELD), tmp_path / "rmp.csv")
    with pytest.raises(LavasegError, match=r"has the axes RMP, the study 'rmp' has"):
        shown(tmp_path / "rmp.csv")
    write_csv(results_of(HELD), tmp_path / "unknown.csv")
    with pytest.raises(LavasegError, match="there is no study 'unknown'"):
        shown(tmp_path / "unknown.csv")


def test_the_study_of_ones_own_in_the_documents_has_ten_lines_and_can_be_planned(
    tmp_path: Path,
) -> None:
    text = (ROOT / "docs" / "studies.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    assert block.count("\n") == 10
    (tmp_path / "own.yaml").write_text(block)
    study = load(tmp_path / "own.yaml")
    assert len(plan(study).jobs) == study.count == 9
    values = tuple(
        Value({"T": steps}, seed, "miou", float(steps))
        for steps, seed in itertools.product(study.axes["T"], study.seeds)
    )
    results = Results("standard", ("T",), (), values)
    assert [verdict.sign for verdict in verdicts(study, results)] == ["held"]
    assert len(tables(study, results)[0].rows) == 3


def test_the_documents_list_every_measure_with_its_options_and_every_field() -> None:
    text = (ROOT / "docs" / "studies.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", text, re.M))
    for name, measure in MEASURES.items():
        for option in measure.options.model_fields:
            assert f"`{option}`" in rows[name], f"{name}: {option}"
    for field in {*Study.model_fields} - {"settings", "note"}:
        assert f"`{field}`" in text, field


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_exists_and_gives_quantities_that_are_known(name: str) -> None:
    measure = MEASURES[name]
    module, _, function = measure.function.partition(":")
    assert callable(getattr(import_module(f"lavaseg.studies.measuring.{module}"), function))
    needed = {"noise": {"sigma": [0.1]}, "steps": {"steps": [2]}}
    for quantity, *_ in measure.gives(measure.parse(name, needed.get(name, {}))):
        assert quantity in QUANTITIES
