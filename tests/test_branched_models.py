"""Networks with branches on real data: trained, exported, read back and verified on Lava."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lavaseg import export, recipes
from lavaseg.deploy import verify
from lavaseg.network import Population
from lavaseg.training import train


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
    back = export.read(run.path / "net.net")
    pictures = np.stack([run.data.test[index][0] for index in range(2)])
    verdict = verify(back, pictures, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    assert sum(row.spikes for row in verdict.rows) > 0
