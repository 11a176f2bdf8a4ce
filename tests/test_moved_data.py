"""A data folder that moved is given to every command; a report sets several runs beside one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.runs import Run
from lavaseg.training import train


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run whose data lie somewhere else now, and where."""
    root = tmp_path_factory.mktemp("moved")
    rng = np.random.default_rng(0)
    for kind, shape, most in (("pictures", (16, 16, 3), 256), ("labels", (16, 16), 2)):
        (root / "data" / kind).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, most, shape, np.uint8)
            Image.fromarray(pixels).save(root / "data" / kind / f"{number}.png")
    recipe = recipes.load(
        "demo",
        [
            "data.name=folder",
            f"data.options={{root: {root / 'data'}, classes: 2}}",
            "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
            "encoder={kind: direct, steps: 2}",
            "training.epochs=2",
            "training.batch_size=4",
            "finetune.epochs=1",
        ],
    )
    train(recipe, root / "run", progress=False)
    shutil.move(root / "data", root / "elsewhere")
    return root / "run", root / "elsewhere"


def test_each_command_takes_the_new_place(moved: tuple[Path, Path], tmp_path: Path) -> None:
    run, place = moved
    option = ("--set", f"data.options.root={place}")
    before = (run / "recipe.yaml").read_bytes()
    net = run / "net.net"
    kept = {"evaluate": run / "evaluation.json", "export": net}
    for command in (
        ("evaluate", run),
        ("export", run),
        ("evaluate", net),
        ("verify", run, "--backend", "torch", "-n", "2"),
        ("verify", net, "--backend", "torch", "-n", "2"),
        ("record", run, "-n", "1", "-o", tmp_path / "r.npz"),
        ("record", net, "-n", "1", "-o", tmp_path / "r.npz"),
    ):
        refused = call(*command)
        assert refused.exit_code == 2, (command, refused.output)
        assert "there is no folder" in refused.stderr
        taken = call(*command, *option)
        assert taken.exit_code == 0, (command, taken.output)
        if command[1] == run and command[0] in kept:
            assert kept[str(command[0])].exists()
    assert (run / "evaluation-net.json").exists()  # whole test set, of its own network
    assert "no pictures and membranes" in _page(run, tmp_path)
    assert call("report", run, *option, "-o", tmp_path / "page.html").exit_code == 0
    assert "no pictures and membranes" not in (tmp_path / "page.html").read_text("utf-8")
    assert (run / "recipe.yaml").read_bytes() == before


def _page(run: Path, folder: Path) -> str:
    assert call("report", run, "-o", folder / "page.html").exit_code == 0
    return (folder / "page.html").read_text("utf-8")


@pytest.mark.parametrize("item", ["training.epochs=3", "data.options.classes=3", "root", "root="])
def test_nothing_else_of_a_run_is_changed(moved: tuple[Path, Path], item: str) -> None:
    result = call("evaluate", moved[0], "--set", item)
    assert result.exit_code == 2
    assert "a run keeps its recipe, but for data.options.root=FOLDER" in result.stderr


def test_a_run_goes_on_with_data_that_moved(moved: tuple[Path, Path], tmp_path: Path) -> None:
    run, place = moved
    shutil.copytree(run, tmp_path / "run", copy_function=shutil.copy2)
    recipe = Run.open(run).with_data_in(str(place)).recipe
    again = train(recipe, tmp_path / "run", resume=True, progress=False)
    assert again.recipe.data.options["root"] == str(place)
    assert len(again.history()) == 2


def test_results_of_a_run_are_not_overwritten_by_another_kind(
    moved: tuple[Path, Path], tmp_path: Path
) -> None:
    run, _ = moved
    before = (run / "model.safetensors").read_bytes()
    for command in ("export", "report"):
        result = call(command, run, "-o", run / "model.safetensors")
        assert result.exit_code == 2
        assert "would overwrite the input" in result.stderr
    assert (run / "model.safetensors").read_bytes() == before
