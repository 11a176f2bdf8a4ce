"""Quick recipes: every system of the papers, narrow, learns by its recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from lavaseg import recipes
from lavaseg.training import train

QUICK = [name for name in recipes.names() if name.startswith("quick-")]


def test_every_model_has_a_quick_recipe() -> None:
    from lavaseg.models import ANALOG, MODELS

    trained = {recipes.load(name).model.name for name in QUICK}
    assert trained == {*MODELS, *ANALOG} - {"spiking_resnet"}  # no paper's own system


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_quick_recipe_lowers_its_loss(name: str, tmp_path: Path) -> None:
    """On digits and photographs that ship; docs/results.md has what it reaches on MNIST-CIFAR10."""
    recipe = recipes.load(
        name, ["data={name: digits-photos, options: {train: 200, test: 10}}", "training.epochs=3"]
    )
    losses = [row["loss"] for row in train(recipe, tmp_path / "run", progress=False).history()]
    assert losses[-1] < 0.8 * losses[0]
