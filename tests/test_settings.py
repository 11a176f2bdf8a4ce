"""Names stay text and numbers are what they look like, whatever else YAML would make of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.cli.inputs import data_options, set_options
from lavaseg.errors import LavasegError
from lavaseg.system.settings import read_yaml, write_yaml

WORDS = ["off", "on", "no", "yes", "null", "~", "1", "1e3", "2024-01-01", "True", "sky"]
FLOW = "[" + ", ".join(WORDS) + "]"


def test_class_names_stay_as_they_are_written_on_the_command_line() -> None:
    assert set_options([f"classes={FLOW}"], "")["classes"] == WORDS
    assert set_options(["classes={off: 0, on: [1, 2, 3]}"], "")["classes"] == {
        "off": 0,
        "on": [1, 2, 3],
    }
    assert set_options(["classes=3", "download=true", "root=2024"], "") == {
        "classes": 3,
        "download": True,
        "root": "2024",
    }


def test_class_names_stay_as_they_are_written_in_recipes(tmp_path: Path) -> None:
    options = f"{{root: 2024, classes: {FLOW}}}"
    text = f"like: demo\nname: off\ndata: {{name: folder, options: {options}}}\n"
    (tmp_path / "a.yaml").write_text(text)
    recipe = recipes.load(tmp_path / "a.yaml")
    assert (recipe.name, recipe.data.options) == ("off", {"root": "2024", "classes": WORDS})
    (tmp_path / "b.yaml").write_text(recipes.dump(recipe))
    assert recipes.load(tmp_path / "b.yaml") == recipe
    for override in (f"data.options.classes={FLOW}", f"data.options={{classes: {FLOW}}}"):
        assert recipes.load("demo", [override]).data.options["classes"] == WORDS


def test_a_recipe_that_holds_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("&a {name: x, data: *a}")
    with pytest.raises(LavasegError):
        recipes.load(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("010", 10), ("-7", -7), ("0x10", 16), ("0o17", 15), ("1e3", 1000.0), ("1e-3", 0.001)),
        *(("2.5", 2.5), (".5", 0.5), ("-1.", -1.0), ("+1.5E+2", 150.0), ("1:30", "1:30")),
    ],
)
def test_numbers_are_what_they_look_like(text: str, number: object) -> None:
    value = read_yaml(text)
    assert (value, type(value)) == (number, type(number))


WRITTEN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.from_regex(r"[-+0-9.:oxeE_]{1,8}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(WRITTEN)
def test_settings_are_read_back_as_they_were_written(value: object) -> None:
    found = read_yaml(write_yaml({"field": value}))
    assert repr(found) == repr({"field": value})


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nname: b\n",
        "name: a\ntraining: {epochs: 1, epochs: 2}\n",
        "name: a\ndata: {name: folder, options: {classes: {yes: 0, yes: 1}}}\n",
    ],
)
def test_a_field_that_is_given_twice_in_a_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text("like: demo\n" + text, newline="\r\n")
    with pytest.raises(LavasegError, match=r"a\.yaml.*'(name|epochs|yes)' is given twice, line \d"):
        recipes.load(tmp_path / "a.yaml")


def test_of_a_field_that_is_set_twice_the_last_value_holds_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    items = ["classes=3", "test=5", "classes=[a, b]"]
    assert data_options(items) == {"classes": ["a", "b"], "test": 5}
    said = "--set gives classes 2 times: the last one holds, 'classes=[a, b]'\n"
    assert capsys.readouterr().err == said
    ended = CliRunner().invoke(app, ["train", "demo", "--set", "seed=1", "--set", "seed=-1"])
    assert ended.exit_code == 2
    assert "seed 2 times" in ended.stderr


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("training.learning_rate=.inf", "finite"),
        ("training.learning_rate=nan", "finite"),
        ("training.epochs=yes", "expected a number, got True"),
        ("rmp.weight=on", "expected a number, got True"),
        ("augment.scale=[yes, 2]", "expected numbers, got"),
        ("training.epochs=1:30", "whole number"),
        ("name=../elsewhere", "without slashes"),
        ("name=..", "without slashes"),
        ("name=''", "without slashes"),
    ],
)
def test_a_value_that_would_mean_something_else_is_refused(item: str, words: str) -> None:
    field = item.partition("=")[0]
    with pytest.raises(LavasegError, match=f"field '{re.escape(field)}': .*{words}"):
        recipes.load("demo", [item])
