"""Quick recipes: every system of the papers learns, and runs on Lava exactly or says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from lavaseg import export, models, netx, recipes
from lavaseg.deploy import verify
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import Input, Network, Population
from lavaseg.network.ranges import check_ranges
from lavaseg.training import SpikingNetwork, train

QUICK = recipes.names("quick")
TWICE = [name for name in QUICK if "camvid" in name]
"""Recipes with other data for a network that another recipe trains, too: not trained again."""
TRAIN_ONLY = {
    "quick-aspp-published": "soft reset",
    "quick-deeplab-published": "soft reset",
    "quick-fcn-published": "soft reset",
    "quick-fcn-table1": "soft reset",
}
PICTURES = 4
KINDS = {
    "quick-ann-deeplab",
    "quick-deeplab-levels",
    "quick-deeplab",
    "quick-deeplab-branches",
    "quick-deeplab-published",
    "quick-fcn",
    "quick-mfs-efs",
    "quick-unet",
}
"""One recipe for each kind of network, trained by `make test`; the others are variants of these."""


def each_kind_first(names: list[str]) -> list[Any]:
    """Names as parameters of a test, the variants for `make test-full` alone."""
    return [pytest.param(n, marks=[] if n in KINDS else [pytest.mark.full]) for n in names]


def test_every_model_has_a_quick_recipe() -> None:
    trained = {recipes.load(name).model.name for name in QUICK}
    assert trained == {*models.MODELS, *models.ANALOG} - {"spiking_resnet"}  # no paper's own system


@pytest.mark.slow
@pytest.mark.parametrize("name", each_kind_first([name for name in QUICK if name not in TWICE]))
def test_a_quick_recipe_learns_and_runs_on_lava_spike_for_spike(name: str, tmp_path: Path) -> None:
    """On digits and photographs that ship; docs/results.md has what it reaches on MNIST-CIFAR10."""
    recipe = recipes.load(
        name,
        [
            f"data={{name: digits-photos, options: {{train: 120, test: {PICTURES}}}}}",
            "training.epochs=3",
            "finetune.epochs=0",
        ],
    )
    run = train(recipe, tmp_path / "run", progress=False)
    losses = [row["loss"] for row in run.history()]
    assert losses[-1] < 0.9 * losses[0]
    reason = "artificial network" if recipe.model.name in models.ANALOG else TRAIN_ONLY.get(name)
    if reason is not None:
        with pytest.raises(LavasegError, match=reason):
            export.export(run, progress=False)
        return
    net = export.export(run, progress=False)
    assert not any(
        isinstance(node, Population) and node.norm != "none" for node in net.network.nodes
    )
    pictures = np.stack([run.data.test[index][0] for index in range(PICTURES)])
    back = netx.read(run.path / "net.net")
    verdict = verify(back, pictures, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    assert sum(row.spikes for row in verdict.rows) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["quick-deeplab", "quick-fcn", pytest.param("quick-mfs-efs", marks=pytest.mark.full)],
)
def test_a_trained_system_runs_at_64x64_in_lavas_own_runtime(name: str, tmp_path: Path) -> None:
    """One OS process for each Lava process; four samples streamed, each of four test pictures."""
    recipe = recipes.load(
        name,
        [
            "data={name: digits-photos, options: {train: 80, test: 16}}",
            "training.epochs=2",
            "encoder.steps=3",
        ],
    )
    run = train(recipe, tmp_path / "run", progress=False)
    encoder = recipe.encoder_object
    sheet = Input("input", (3, 64, 64), encoder.message_bits)
    network = models.build(recipe.model.name, sheet, 2, **recipe.model.options)
    assert isinstance(network, Network)
    model = SpikingNetwork(network, steps=encoder.steps)
    model.load_state_dict(load_file(run.weights))  # convolutions of a sheet of any size
    weighted = lower(WeightedNetwork.from_model(model.eval()))
    net = quantise(weighted, choose_quantisation(weighted), encoder, run.classes)
    check_ranges(net)
    small = [run.data.test[index][0] for index in range(4 * PICTURES)]
    pictures = np.stack(
        [
            np.concatenate(
                [np.concatenate(small[i : i + 2], 2), np.concatenate(small[i + 2 : i + 4], 2)], 1
            )
            for i in range(0, len(small), 4)
        ]
    )
    assert isinstance(encoder, Direct)
    assert pictures.shape == (PICTURES, 3, 64, 64)
    verdict = verify(net, pictures, backends=("lava",), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    assert sum(row.spikes for row in verdict.rows) > 0
