"""Names stay text, whatever else YAML would make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavaseg import recipes
from lavaseg.cli.inputs import set_options
from lavaseg.errors import LavasegError

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
