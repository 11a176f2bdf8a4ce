"""Networks with branches on real data: trained, exported, read back and verified on Lava."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lavaseg import export, netx, recipes
from lavaseg.deploy import verify, verify_spikes
from lavaseg.encoders import Direct
from lavaseg.export.lowering import choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.models import build
from lavaseg.network import Input, Population
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import check_ranges
from lavaseg.training import SpikingNetwork, train


def untrained_integers(
    model: str, options: dict[str, Any], sides: tuple[int, int]
) -> IntegerNetwork:
    """A model with random weights and norms in integers: 3 graded channels, 3 steps, 3 classes."""
    torch.manual_seed(0)
    network = SpikingNetwork(build(model, Input("input", (3, *sides), 6), 3, **options))
    for norm in network.norms.values():
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 2)
        norm.bias.data.normal_(0.3, 0.3)
    weighted = lower(WeightedNetwork.from_model(network.eval()))
    net = quantise(
        weighted, choose_quantisation(weighted), Direct(3, bits=6), ("sky", "road", "car")
    )
    check_ranges(net)
    return net


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("spiking_deeplab", {"width": 4}),
        ("spiking_deeplab", {"width": 4, "aspp": (1, 2, 3)}),
        ("spiking_deeplab", {"width": 4, "preset": "published", "reset": "hard"}),
        ("spiking_deeplab", {"width": 4, "aspp": (1, 2), "classifier_layers": 3}),
        ("spiking_fcn", {"width": 4}),
        ("spiking_fcn", {"width": 4, "preset": "published", "reset": "hard", "resize": "crop"}),
        ("spiking_resnet", {"channels": (4, 6), "blocks": 2}),
        ("spiking_unet", {"width": 4, "depth": 3}),
        ("mfs_seg", {"base": 4, "n": 1}),
        ("mfs_seg", {"base": 4, "n": 2, "block": "ms", "multi_scale": False}),
        ("mfs_seg", {"base": 4, "n": 1, "block": "fire", "inception": False}),
        ("mfs_seg", {"base": 4, "n": 1, "block": "shuffle", "group": False}),
        ("spiking_deeplab", {"width": 4, "branches": True}),
        ("spike_brgnet", {"width": 4, "blocks": (1, 2), "output_stride": 2, "branches": True}),
    ],
)
def test_every_model_runs_on_lava_spike_for_spike(model: str, options: dict[str, Any]) -> None:
    """With random weights and norms, rounded as they are; three samples streamed."""
    net = untrained_integers(model, options, (16, 24))
    spikes = np.random.default_rng(0).integers(0, 64, (3, 3, 3, 16, 24), np.uint8)
    verdict = verify_spikes(net, spikes, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    alive = {row.population for row in verdict.rows if row.spikes}
    assert len(alive) > 0.8 * (len(net.network.nodes) - 1)  # the read-out never spikes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("spiking_unet", {"width": 4, "depth": 2}),
        ("spiking_resnet", {"channels": [4, 6], "blocks": 1}),
    ],
)
def test_a_branched_model_learns_and_runs_on_lava_spike_for_spike(
    model: str, options: dict[str, Any], tmp_path: Path
) -> None:
    recipe = recipes.load(
        "demo",
        [
            "data.options={train: 160, test: 10}",
            f"model.name={model}",
            f"model.options={options}",
            "encoder={kind: direct, steps: 3, bits: 6}",
            "training.epochs=3",
            "finetune.epochs=1",
        ],
    )
    run = train(recipe, tmp_path / "run", progress=False)
    losses = [row["loss"] for row in run.history()]
    assert losses[-1] < 0.9 * losses[0]
    net = export.export(run, progress=False)
    assert all(isinstance(node, Population) for node in net.network.nodes)
    back = netx.read(run.path / "net.net")
    pictures = np.stack([run.data.test[index][0] for index in range(2)])
    verdict = verify(back, pictures, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    assert sum(row.spikes for row in verdict.rows) > 0
