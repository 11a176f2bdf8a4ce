"""The learning-rate range test: what it suggests, and what it leaves alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_durable_runs import FIELDS, small
from typer.testing import CliRunner

from lavaseg import training
from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.training import RateTest, place, try_rates
from lavaseg.training.rates import STEPS
from lavaseg.training.segmenter import Segmenter

RATES = tuple(np.geomspace(1e-6, 1, STEPS).tolist())


def test_the_rate_is_suggested_at_which_the_loss_falls_fastest() -> None:
    """A loss that falls as a sigmoid around 1e-3, and diverges from 0.1 on."""
    falling = 1 / (1 + (np.array(RATES) / 1e-3) ** 1.5) + 0.1
    diverging = np.maximum(np.array(RATES) / 0.1, 1) - 1
    found = RateTest(RATES, tuple((falling + diverging).tolist()))
    assert found.suggestion is not None
    assert 3e-4 < found.suggestion < 3e-3
    assert found.lowest is not None
    assert found.suggestion < found.lowest < 0.2


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_nothing_is_suggested_where_the_loss_does_not_fall(count: int) -> None:
    assert RateTest(RATES[:count], (0.7,) * count).suggestion is None
    rising = tuple(np.linspace(0.7, 2, count).tolist())
    assert RateTest(RATES[:count], rising).suggestion is None


def test_the_loss_begins_with_that_of_the_weights_and_rates_rise_step_by_step() -> None:
    found = try_rates(small("training.optimiser=sgd"), steps=6, progress=False)
    assert found.losses[0] == pytest.approx(np.log(2), rel=0.5)  # two classes, nothing learned
    assert 2 <= len(found.rates) == len(found.losses) <= 6
    assert found.rates == tuple(np.geomspace(1e-5, 10, 6)[: len(found.rates)].tolist())
    assert np.isfinite(found.losses).all()
    with pytest.raises(LavasegError, match="steps must be 2 or more"):
        try_rates(small(), steps=1)


def test_it_takes_the_threads_and_refuses_the_machine_that_training_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest, seen = Segmenter.training_step, set[int]()

    def counting(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
        seen.add(torch.get_num_threads())
        return honest(self, batch, index)

    monkeypatch.setattr(Segmenter, "training_step", counting)
    monkeypatch.setattr(place, "cores", lambda: 3)
    before = torch.get_num_threads()
    try_rates(small("machine.threads=3"), steps=2, progress=False)
    assert seen == {3}
    assert torch.get_num_threads() == before
    with pytest.raises(LavasegError, match="there is no device 'cuda:99'"):
        try_rates(small("machine.device=cuda:99"), steps=2, progress=False)


def test_a_loss_that_diverges_ends_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Segmenter.training_step
    losses = iter([1.0, 0.5, 5.0, 5.0, 5.0, 5.0, 5.0])

    def diverging(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
        return honest(self, batch, index) * 0 + next(losses)

    monkeypatch.setattr(Segmenter, "training_step", diverging)
    found = try_rates(small(), steps=7, progress=False)
    assert found.losses == (1.0, 0.5, 5.0, 5.0, 5.0)


def test_the_command_writes_a_picture_and_a_table_beside_the_run_and_names_what_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "mine"
    words = ["train", "demo", "--try-rates", "--out", str(run)]
    for field in FIELDS:
        words += ["--set", field]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in run.parent.iterdir()) == ["mine-rates.csv", "mine-rates.png"]
    with (run.parent / "mine-rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["learning_rate"]) == pytest.approx(1e-6)
    Image.open(run.parent / "mine-rates.png").verify()
    assert "suggested" in result.stdout
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith("Next: `lavaseg train demo --set")
    assert f"--out {run} --set training.learning_rate=" in last
    (run / "metrics.csv").parent.mkdir()
    for name in ("recipe.yaml", "metrics.csv"):  # of a run that is there by now
        (run / name).touch()
    monkeypatch.setattr(training, "try_rates", lambda *_, **__: RateTest(RATES, (0.7,) * STEPS))
    taken = CliRunner().invoke(app, words)
    assert f"{run} already holds a run" in taken.stdout.replace("\n", " ")
    assert (run.parent / "mine-2-rates.png").exists()
    both = CliRunner().invoke(app, [*words, "--dry-run"])
    assert both.exit_code == 2
    assert "leave one of them out" in both.stderr
    refused = CliRunner().invoke(app, [*words, "--resume"])
    assert refused.exit_code == 2
    assert "leave out --resume" in refused.stderr
