"""`lavaseg models`: figures of the papers, why a model cannot be deployed, mistakes named."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from lavaseg import models
from lavaseg.cli import app
from lavaseg.models.analog import ANALOG
from lavaseg.models.size import size
from lavaseg.network import Input


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["models", *words])


def figures(*words: str) -> dict[str, dict[str, object]]:
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, dict[str, object]] = json.loads(result.stdout)
    return found


@pytest.mark.slow
def test_every_model_is_listed_and_every_default_spiking_one_can_be_deployed() -> None:
    found = figures("--input", "3x32x32", "--classes", "2")
    assert list(found) == [*models.MODELS, *ANALOG]
    for name, row in found.items():
        assert row["obstacle"] == (None if name in models.MODELS else "no: artificial"), name
        assert row["parameters"]


def test_one_model_shows_the_layers_that_its_figures_sum_up() -> None:
    row = figures("spiking_deeplab")["spiking_deeplab"]
    assert row["weights"] == row["memory"] == 4_115_136
    layers = row["layers"]
    assert isinstance(layers, list)
    assert sum(layer["macs"] for layer in layers) == row["macs"] == 1_371_537_408
    assert round(float(str(row["ann_millijoules"])), 2) == 6.31
    table = call("spiking_deeplab").stdout
    assert "4,119,488" in table
    assert "1.3715" in table


def test_options_and_input_reach_the_model() -> None:
    row = figures(
        "mfs_seg", "--input", "2x16x24", "--classes", "6", "--set", "n=1", "--set", "base=4"
    )
    network = models.build("mfs_seg", Input("input", (2, 16, 24)), 6, n=1, base=4)
    assert row["mfs_seg"]["macs"] == size(network).macs
    assert row["mfs_seg"]["latency"] == network.latency


def test_what_stands_against_deploying_is_said() -> None:
    row = figures("spiking_deeplab", "--set", "preset=published", "--set", "width=4")
    assert "soft reset" in str(row["spiking_deeplab"]["obstacle"])
    assert row["spiking_deeplab"]["memory"] is None
    hard = ["--set", "preset=published", "--set", "width=4", "--set", "reset=hard"]
    row = figures("spiking_fcn", *hard)
    assert "resizes bilinearly" in str(row["spiking_fcn"]["obstacle"])
    row = figures("spiking_fcn", *hard, "--set", "resize=crop")
    assert "current 'score'" in str(row["spiking_fcn"]["obstacle"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vnet",), "no model 'vnet'"),
        (("unet", "--input", "64"), "--input must be"),
        (("unet", "--set", "width"), "expected option=value"),
        (("unet", "--set", "colour=3"), "no option 'colour'"),
        (("--set", "width=3"), "name it"),
        (("mfs_seg", "--input", "3x30x30"), "divisible by 4"),
    ],
)
def test_a_mistake_is_one_sentence(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
