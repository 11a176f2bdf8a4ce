"""The reference: every field and option is described, found, and in the schema for editors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.guide import reference
from lavaseg.guide.commented import chosen, commented
from lavaseg.guide.descriptions import descriptions, resolved
from lavaseg.guide.lookup import find
from lavaseg.guide.page import COMMAND, page
from lavaseg.guide.schema import recipe_schema
from lavaseg.guide.types import type_in_words, value_in_words
from lavaseg.models import MODELS, build, option_names
from lavaseg.models.analog import ANALOG
from lavaseg.network import Input, Network
from lavaseg.recipes import Recipe, load, names, parse
from lavaseg.system.settings import read_yaml
from lavaseg.system.words import or_like

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted((ROOT / "lavaseg" / "recipes").rglob("*.yaml"))


def lavaseg(*words: str) -> Any:
    return CliRunner().invoke(app, words)


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_field_and_option_has_a_description() -> None:
    missing = reference.undescribed()
    assert not missing, "\n".join(missing)


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == page(), f"run `{COMMAND}`"


def test_an_option_without_a_description_is_named_with_its_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bare(input_: Input, classes: int, *, colour: int = 3) -> Network:
        """A model whose option nobody described."""
        raise NotImplementedError

    bare.__module__ = "lavaseg.models.bare"
    reference.sections.cache_clear()
    monkeypatch.setitem(MODELS, "bare", bare)
    try:
        assert any("lavaseg.models.bare" in s and "'colour'" in s for s in reference.undescribed())
        assert "| `model.options.colour` | a whole number | `3` |  |" in page()
    finally:
        reference.sections.cache_clear()


def test_every_option_that_can_be_set_is_in_the_reference() -> None:
    known = {(s.kind, s.name): {e.name for e in s.entries} for s in reference.sections()}
    for name in (*MODELS, *ANALOG):
        assert known["model", name] == {*option_names(name)}
    assert known["recipe", "training"] == {*Recipe.model_fields["training"].annotation.model_fields}  # type: ignore[union-attr]
    assert known["data", "folder"] >= {"root", "classes", "ignore", "size", "large"}
    assert known["encoder", "direct"] == {"kind", "steps", "bits"}
    assert known["measure", "noise"] >= {"kind", "sigma", "share"}
    assert known["study", "claims"] >= {"says", "as"}


def test_descriptions_follow_as_another_function() -> None:
    fcn, deeplab = MODELS["spiking_fcn"], MODELS["spiking_deeplab"]
    words = descriptions(fcn)["reset"]
    assert words.startswith("as `spiking_deeplab`")
    assert resolved(words, "reset", MODELS) == descriptions(deeplab)["reset"]
    assert not [
        entry
        for section in reference.sections()
        for entry in section.entries
        if section.kind in ("model", "data") and entry.words.startswith(("as `", "as of `"))
    ]


def test_defaults_in_the_reference_build_what_no_options_build() -> None:
    section = find("spiking_deeplab").sections[0]
    given = {e.name: read_yaml(e.default) for e in section.entries}
    source = Input("input", (3, 64, 64), 0)
    assert build("spiking_deeplab", source, 3, **given) == build("spiking_deeplab", source, 3)


def test_types_and_limits_are_said_in_words() -> None:
    training = {e.name: e for s in find("training").sections for e in s.entries}
    assert training["epochs"].type == "a whole number, 1 or more"
    assert training["epochs"].default == "required"
    assert training["label_smoothing"].type == "a number, 0 or more and below 1"
    assert training["milestones"].type == "a list of numbers, each above 0 and below 1"
    assert training["milestones"].default == "[0.5, 0.8]"
    assert find("augment.hue").entries[0][1].type == "a number, 0 to 0.5"
    assert type_in_words(int | None) == "a whole number or null"
    assert value_in_words({"a": (1, True), "b": None}) == "{a: [1, true], b: null}"


@pytest.mark.parametrize("word", ["epochs", "training.epochs", "surrogate.width"])
def test_help_finds_fields_by_the_last_parts_of_their_names(word: str) -> None:
    result = lavaseg("help", word)
    assert result.exit_code == 0
    assert word in result.stdout
    assert "default" in result.stdout or "required" in result.stdout


@pytest.mark.parametrize("word", ["spiking_fcn", "folder", "poisson", "noise", "rmp"])
def test_help_shows_what_has_options(word: str) -> None:
    section = find(word).sections[0]
    result = lavaseg("help", word)
    assert result.exit_code == 0
    assert all(entry.path in result.stdout for entry in section.entries)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("epocs", "epochs"),
        ("spiking_deplab", "spiking_deeplab"),
        ("Learning_Rate", "learning_rate"),
    ],
)
def test_help_asks_whether_a_misspelt_field_was_meant(word: str, meant: str) -> None:
    result = lavaseg("help", word)
    assert result.exit_code == 2
    assert "did you mean" in result.stderr
    assert repr(meant) in result.stderr


def test_help_lists_everything_that_has_fields_and_gives_json() -> None:
    listed = lavaseg("help").stdout
    assert all(section.name in listed for section in reference.sections())
    given = json.loads(lavaseg("help", "--json").stdout)
    assert [section["name"] for section in given] == [s.name for s in reference.sections()]
    fields = json.loads(lavaseg("help", "batch_size", "--json").stdout)["fields"]
    assert [field["path"] for field in fields] == ["training.batch_size"]


def test_help_on_a_command_shows_its_help() -> None:
    result = lavaseg("help", "export")
    assert result.exit_code == 0
    assert "lavaseg export" in result.stdout
    assert "A command has that name, too: `lavaseg data --help`" in lavaseg("help", "data").stdout


def test_help_writes_the_page(tmp_path: Path) -> None:
    assert lavaseg("help", "--page", str(tmp_path / "page.md")).exit_code == 0
    assert (tmp_path / "page.md").read_text("utf-8") == page()
    assert lavaseg("help", "epochs", "--page", str(tmp_path / "other.md")).exit_code == 2


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_recipes_that_ship_satisfy_the_schema(validator: Any, file: Path) -> None:
    assert not [*validator.iter_errors(read_yaml(file.read_text("utf-8")))]


def broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    fields = read_yaml((ROOT / "lavaseg" / "recipes" / "demo.yaml").read_text("utf-8"))
    change(fields)
    return fields


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["training"].update(epocs=3), "'epocs' was unexpected"),
        (lambda r: r["training"].pop("epochs"), "'epochs' is a required property"),
        (lambda r: r["training"].update(epochs=0), "0 is less than the minimum"),
        (lambda r: r["model"]["options"].update(chanels=3), "'chanels' was unexpected"),
        (lambda r: r["model"]["options"].update(preset="fast"), "'fast' is not one of"),
        (lambda r: r["data"].update(name="digits"), "'digits' is not one of"),
        (lambda r: r["encoder"].update(levels=3), "'levels' was unexpected"),
        (lambda r: r["encoder"].pop("steps"), "'steps' is a required property"),
        (lambda r: r["data"].update(name="folder", options={}), "'root' is a required property"),
    ],
)
def test_the_schema_marks_what_a_recipe_may_not_hold(
    validator: Any, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    found = [*validator.iter_errors(broken(change))]
    messages = [error.message for error in found]
    messages += [inner.message for error in found for inner in error.context or ()]
    assert any(said in message for message in messages), messages


def test_the_schema_describes_fields_and_options() -> None:
    schema = recipe_schema()
    assert schema["properties"]["seed"]["description"]
    assert schema["$defs"]["Training"]["properties"]["epochs"]["description"]
    model = next(
        case["then"]
        for case in schema["properties"]["model"]["allOf"]
        if case["if"]["properties"]["name"]["const"] == "spiking_fcn"
    )
    assert model["properties"]["options"]["properties"]["width"]["description"]


@pytest.mark.parametrize("name", ["demo", "kim-fcn-voc", "nmnist", "quick-unet"])
def test_what_show_prints_is_the_recipe_again(name: str) -> None:
    recipe = load(name)
    assert parse(read_yaml(chosen(recipe))) == recipe
    again = parse(read_yaml(commented(recipe)))
    assert again.model_copy(update={"model": recipe.model, "data": recipe.data}) == recipe
    assert again.model.options.items() >= recipe.model.options.items()
    assert {*again.model.options} == {*option_names(recipe.model.name)}


def test_show_says_what_every_field_means() -> None:
    text = lavaseg("recipes", "show", "demo", "--all").stdout
    words = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    for section in ("recipe", "training", "rmp"):
        for entry in find(section).sections[0].entries:
            if entry.name != "like":
                assert entry.words.rstrip(".") in words, entry.path
    assert json.loads(lavaseg("recipes", "show", "demo", "--json").stdout)["name"] == "demo"


def test_show_writes_a_recipe_with_its_schema_and_overwrites_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    result = lavaseg("recipes", "show", "camvid", "-o", str(path))
    assert result.exit_code == 0
    assert f"Next: `lavaseg train {path}`" in result.stdout
    assert load(path) == load("camvid")
    first = path.read_text("utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = tmp_path / first.partition("=")[2]
    assert json.loads(schema.read_text("utf-8")) == json.loads(json.dumps(recipe_schema()))
    again = lavaseg("recipes", "show", "demo", "-o", str(path))
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert load(path) == load("camvid")


def test_recipes_alone_lists_them() -> None:
    assert lavaseg("recipes").stdout == lavaseg("recipes", "list").stdout
    listed = json.loads(lavaseg("recipes", "--json").stdout)
    assert [recipe["name"] for recipe in listed] == names()
    assert "did you mean 'camvid'?" in lavaseg("recipes", "show", "camvdi").stderr


def test_words_that_are_close_are_asked_for_and_others_are_listed() -> None:
    assert or_like("epocs", ["epochs", "seed"]) == ": did you mean 'epochs'?"
    assert or_like("zzz", ["epochs", "seed"], "it has") == "; it has epochs, seed"
    assert recipes.names()
